import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Metric, Schema, Scope } from "effect"
import { EndReason, Session, SessionMetrics } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Room extends Session.Service<Room>()("Room", {
  state: Schema.Int,
  protocol: [Rpc.make("Add"), Rpc.make("Nothing")]
}) {}

const rooms = (options: Parameters<typeof Room.toLayer>[1]) =>
  Effect.provide(TestSessions.layer(
    Room.toLayer(
      Room.behavior({
        init: () => 0,
        handlers: { Add: ({ state }) => [state + 1], Nothing: ({ state }) => [state] }
      }),
      options
    )
  ))

const provide = rooms({ reconnectWindow: "30 seconds" })

/** Gives what disconnects it. */
const connect = (ref: Session.Ref<typeof Room>) =>
  Effect.flatMap(Scope.make(), (scope) => Effect.as(Scope.provide(ref.attach, scope), Scope.close(scope, Exit.void)))

describe("attach", () => {
  it.effect("a session ends when its last client is gone for the reconnect window", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      const leave1 = yield* connect(ref)
      const leave2 = yield* connect(ref)
      assert.strictEqual((yield* ref.info).connections, 2)
      yield* leave1
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* ref.info).connections, 1)
      yield* leave2
      yield* TestClock.adjust("29 seconds")
      assert.isTrue(yield* ref.isLive)
      yield* TestClock.adjust("1 seconds")
      assert.isFalse(yield* ref.isLive)
      const [stop] = yield* (yield* TestSessions.Recorder).of("Stop")
      assert.deepStrictEqual(stop?.reason, EndReason.disconnected)
    }).pipe(provide))

  it.effect("a client that reconnects in time keeps the session, any number of times", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      for (let i = 0; i < 5; i++) {
        yield* yield* connect(ref)
        yield* TestClock.adjust("29 seconds")
      }
      assert.isTrue(yield* ref.isLive)
      yield* TestClock.adjust("1 seconds")
      assert.isFalse(yield* ref.isLive)
    }).pipe(provide))

  it.effect("a session to which no client ever connected does not end for that", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(yield* ref.isLive)
    }).pipe(provide))

  it.effect("without a window, no disconnect ends a session", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      yield* yield* connect(ref)
      yield* TestClock.adjust("59 minutes")
      assert.isTrue(yield* ref.isLive)
    }).pipe(rooms({})))

  it.effect("counts as activity, and going twice counts once", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      const stay = yield* connect(ref)
      yield* TestClock.adjust("50 minutes")
      const leave = yield* connect(ref)
      yield* TestClock.adjust("50 minutes")
      assert.isTrue(yield* ref.isLive)
      yield* leave
      yield* leave
      assert.strictEqual((yield* ref.info).connections, 1)
      yield* stay
      assert.strictEqual((yield* ref.info).connections, 0)
    }).pipe(provide))

  it.effect("a session that ends for another reason forgets its window", () =>
    Effect.gen(function*() {
      const room = yield* Room
      const ref = yield* room.start("a")
      yield* yield* connect(ref)
      yield* ref.end()
      const again = yield* room.start("a")
      yield* TestClock.adjust("10 minutes")
      assert.isTrue(yield* again.isLive)
    }).pipe(provide))

  it.effect("what a session did is part of its `Stop` event and counted", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      const leave = yield* connect(ref)
      yield* yield* connect(ref)
      for (let i = 0; i < 3; i++) yield* ref.call("Add")
      yield* TestClock.adjust("1 minute")
      const attributes = { kind: "Room" }
      const gauge = Metric.value(Metric.withAttributes(SessionMetrics.connections, attributes))
      assert.strictEqual((yield* gauge).value, 1)
      yield* leave
      assert.strictEqual((yield* gauge).value, 0)
      assert.strictEqual((yield* Metric.value(Metric.withAttributes(SessionMetrics.connected, attributes))).count, 2)
      yield* ref.end()
      const { of } = yield* TestSessions.Recorder
      const [stop] = yield* of("Stop")
      assert.deepInclude(stop, { duration: 60_000, messages: 3, connections: 2 })
      assert.deepStrictEqual((yield* of("Connect")).map(({ connections }) => connections), [1, 2])
      assert.deepStrictEqual(
        (yield* of("Disconnect")).map(({ connections, duration }) => [connections, duration]),
        [[1, 0], [0, 60_000]]
      )
    }).pipe(provide))

  it.effect("there is nothing to connect to when no session is live", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped((yield* Room).ref("a").attach))
      assert.strictEqual(error._tag, "SessionNotFound")
    }).pipe(provide))
})

describe("watch", () => {
  it.effect("gives each change, with its version, and the end", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      yield* ref.call("Add")
      const seen: Array<unknown> = []
      const first = yield* ref.watch({
        changed: (state, version, epoch) => seen.push([state, version, epoch]),
        ended: (reason) => seen.push(reason)
      })
      const { epoch } = first
      assert.deepStrictEqual(first, { state: 1, version: 1, epoch })
      yield* ref.call("Nothing")
      yield* ref.call("Add")
      yield* ref.call("Add")
      yield* ref.end({ reason: EndReason.evicted })
      assert.deepStrictEqual(seen, [[2, 2, epoch], [3, 3, epoch], EndReason.evicted])
    }).pipe(Effect.scoped, provide))

  it.effect("is over with its Scope", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      const seen: Array<number> = []
      yield* Effect.scoped(ref.watch({ changed: (state) => seen.push(state), ended() {} }))
      yield* ref.call("Add")
      assert.deepStrictEqual(seen, [])
      assert.strictEqual((yield* ref.info).watchers, 0)
    }).pipe(provide))

  it.effect("a watcher that throws disturbs no other", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Room).start("a")
      const seen: Array<number> = []
      yield* ref.watch({
        changed() {
          throw new Error("bad")
        },
        ended() {
          throw new Error("bad")
        }
      })
      yield* ref.watch({ changed: (state) => seen.push(state), ended: () => seen.push(-1) })
      yield* ref.call("Add")
      assert.strictEqual(yield* ref.state, 1)
      yield* ref.end()
      assert.deepStrictEqual(seen, [1, -1])
    }).pipe(Effect.scoped, provide))
})
