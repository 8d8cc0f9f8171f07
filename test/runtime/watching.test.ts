import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream, SubscriptionRef } from "effect"
import { Session } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

class Board extends Session.Service<Board>()("Board", {
  state: Schema.Struct({ title: Schema.String, n: Schema.Int }),
  protocol: [
    Rpc.make("Rename", { payload: Schema.String }),
    Rpc.make("Count"),
    Rpc.make("Nothing"),
    Rpc.make("Burst", { payload: Schema.Int }),
    Rpc.make("Die")
  ]
}) {}

const provide = Effect.provide(TestSessions.layer(Board.toLayer(Board.behavior({
  init: () => ({ title: "", n: 0 }),
  handlers: {
    Rename: ({ payload, state }) => [{ ...state, title: payload }],
    Count: ({ state }) => [{ ...state, n: state.n + 1 }],
    Nothing: ({ state }) => [state],
    Burst: ({ payload, state }) => [{ ...state, n: payload }],
    Die: () => Effect.die("dead")
  }
}))))

describe("changes", () => {
  it.effect("gives the value at once, then only what changed of the selection", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const titles = yield* TestSessions.collect(ref.changes((state) => state.title))
      const all = yield* TestSessions.collect(ref.changes())
      for (const title of ["x", "x", "y"]) {
        yield* ref.call("Rename", title)
        yield* ref.call("Count")
        yield* ref.call("Nothing")
        yield* TestSessions.settle
      }
      assert.deepStrictEqual(titles.seen, ["", "x", "y"])
      assert.deepStrictEqual(all.seen.map(({ n, title }) => `${title}${n}`), ["0", "x1", "x2", "y3"])
    }).pipe(provide))

  it.effect("a slow reader gets the newest value and costs one place, however many it missed", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const seen: Array<number> = []
      yield* Effect.forkChild(Stream.runForEach(ref.changes((state) => state.n), (n) =>
        Effect.gen(function*() {
          seen.push(n)
          yield* Effect.sleep("1 second")
        })))
      yield* TestSessions.settle
      for (let n = 1; n <= 1_000; n++) yield* ref.call("Burst", n)
      yield* TestSessions.elapse("1 minute")
      assert.deepStrictEqual([seen[0], seen.at(-1)], [0, 1_000])
      assert.isAtMost(seen.length, 4)
    }).pipe(provide))

  it.effect("a reader that missed a change and its opposite gets nothing", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const counts = yield* TestSessions.collect(ref.changes((state) => state.n))
      for (const n of [1, 0]) yield* ref.call("Burst", n)
      yield* TestSessions.settle
      for (const n of [1, 0, 2]) yield* ref.call("Burst", n)
      yield* TestSessions.settle
      assert.deepStrictEqual(counts.seen, [0, 2])
    }).pipe(provide))

  it.effect("the equivalence can be given", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const parity = yield* TestSessions.collect(
        ref.changes((state) => ({ n: state.n }), { equivalence: (a, b) => a.n % 2 === b.n % 2 })
      )
      for (const n of [2, 4, 5, 7, 8]) {
        yield* ref.call("Burst", n)
        yield* TestSessions.settle
      }
      assert.deepStrictEqual(parity.seen.map(({ n }) => n), [0, 5, 8])
    }).pipe(provide))

  it.effect("a selector that throws ends its own stream only", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const bad = yield* TestSessions.collect(ref.changes((state) => {
        if (state.n > 0) throw new Error("bad selector")
        return state.n
      }))
      const good = yield* TestSessions.collect(ref.changes((state) => state.n))
      yield* ref.call("Count")
      yield* TestSessions.settle
      assert.isTrue((yield* Fiber.join(bad.fiber))._tag === "Failure")
      assert.deepStrictEqual(good.seen, [0, 1])
    }).pipe(provide))

  it.effect("goes on over a crash", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const counts = yield* TestSessions.collect(ref.changes((state) => state.n))
      yield* Effect.flip(ref.call("Die"))
      yield* ref.call("Count")
      yield* TestSessions.settle
      assert.deepStrictEqual(counts.seen, [0, 1])
    }).pipe(provide))

  it.effect("fails with a typed error when there is no session", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Stream.runDrain((yield* Board).ref("nobody").changes()))
      assert.strictEqual(error._tag, "SessionNotFound")
    }).pipe(provide))

  it.effect("a watcher that goes is removed by itself", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const watchers = yield* Effect.forEach([1, 2, 3], () => TestSessions.collect(ref.changes()))
      assert.strictEqual((yield* ref.info).watchers, 3)
      yield* Effect.forEach(watchers, ({ fiber }) => Fiber.interrupt(fiber))
      assert.strictEqual((yield* ref.info).watchers, 0)
      const { of } = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* of("Subscribe")).map(({ watchers }) => watchers), [1, 2, 3])
      assert.deepStrictEqual((yield* of("Unsubscribe")).map(({ watchers }) => watchers), [2, 1, 0])
    }).pipe(provide))
})

describe("subscriptionRef", () => {
  it.effect("is the state, the same ref for all callers, and follows every change", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      yield* ref.call("Count")
      const one = yield* ref.subscriptionRef
      const two = yield* ref.subscriptionRef
      assert.strictEqual(one, two)
      assert.strictEqual((yield* SubscriptionRef.get(one)).n, 1)
      const counts = yield* TestSessions.collect(Stream.map(SubscriptionRef.changes(one), (state) => state.n))
      yield* ref.call("Count")
      yield* ref.call("Count")
      yield* TestSessions.settle
      assert.deepStrictEqual(counts.seen, [1, 2, 3])
      assert.strictEqual(SubscriptionRef.getUnsafe(one), yield* ref.state)
    }).pipe(provide))

  it.effect("keeps the last value when the session has ended", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Board).start("a")
      const state = yield* ref.subscriptionRef
      yield* ref.call("Count")
      yield* ref.end()
      assert.strictEqual((yield* SubscriptionRef.get(state)).n, 1)
      assert.strictEqual((yield* Effect.flip(ref.subscriptionRef))._tag, "SessionNotFound")
    }).pipe(provide))
})

describe("awaitEnd", () => {
  it.effect("gives the reason to every waiting caller", () =>
    Effect.gen(function*() {
      const boards = yield* Board
      const ref = yield* boards.start("a")
      const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(ref.awaitEnd))
      yield* TestSessions.settle
      yield* boards.end("a", { reason: { _tag: "Disconnected" } })
      assert.deepStrictEqual(
        yield* Effect.forEach(waiting, Fiber.join),
        Array.from(waiting, () => ({ _tag: "Disconnected" }))
      )
      assert.strictEqual((yield* Effect.flip(ref.awaitEnd))._tag, "SessionNotFound")
    }).pipe(provide))
})
