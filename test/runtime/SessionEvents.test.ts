import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Schema, Scope, Stream } from "effect"
import {
  DeadLetters,
  Expiry,
  MessageLimiter,
  Session,
  type SessionEvent,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

const event = (id: string | number): SessionEvent.SessionEvent => ({
  _tag: "RateLimitCheck",
  kind: "Kind",
  id: String(id),
  at: 0
})

const bus = Effect.provide(SessionEvents.layer)

describe("SessionEvents", () => {
  it.effect("hands each event to each listener, in order", () =>
    bus(Effect.gen(function*() {
      const events = yield* SessionEvents
      const first: Array<string> = []
      const second: Array<string> = []
      yield* events.listen(({ id }) => first.push(id))
      events.publish(event(1))
      yield* events.listen(({ id }) => second.push(id))
      events.publish(event(2))
      events.publish(event(3))
      assert.deepStrictEqual(first, ["1", "2", "3"])
      assert.deepStrictEqual(second, ["2", "3"])
    })))

  it.effect("is active only while there is a listener", () =>
    bus(Effect.gen(function*() {
      const events = yield* SessionEvents
      assert.isFalse(events.active)
      const removeOne = events.listenUnsafe(() => {})
      const removeOther = events.listenUnsafe(() => {})
      assert.isTrue(events.active)
      removeOne()
      removeOne()
      assert.isTrue(events.active)
      removeOther()
      assert.isFalse(events.active)
    })))

  it.effect("removes a listener with its Scope", () =>
    bus(Effect.gen(function*() {
      const events = yield* SessionEvents
      const heard: Array<string> = []
      const scope = yield* Scope.make()
      yield* Scope.provide(events.listen(({ id }) => heard.push(id)), scope)
      events.publish(event(1))
      yield* Scope.close(scope, Exit.void)
      events.publish(event(2))
      assert.deepStrictEqual(heard, ["1"])
      assert.isFalse(events.active)
    })))

  it.effect("calls a callback that was added twice twice, and removes each by itself", () =>
    bus(Effect.gen(function*() {
      const events = yield* SessionEvents
      const heard: Array<string> = []
      const listener = ({ id }: SessionEvent.SessionEvent) => {
        heard.push(id)
      }
      const remove = events.listenUnsafe(listener)
      events.listenUnsafe(listener)
      events.publish(event(1))
      remove()
      events.publish(event(2))
      assert.deepStrictEqual(heard, ["1", "1", "2"])
    })))

  it.effect("logs what a listener throws, and neither the others nor the publisher feel it", () =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      yield* Effect.gen(function*() {
        const events = yield* SessionEvents
        const heard: Array<string> = []
        yield* events.listen(() => {
          throw new Error("a bad listener")
        })
        yield* events.listen(({ id }) => heard.push(id))
        events.publish(event(1))
        events.publish(event(2))
        yield* TestSessions.settle
        assert.deepStrictEqual(heard, ["1", "2"])
        assert.strictEqual(logged.length, 2)
        assert.include(logged[0], "a listener to session events threw")
        assert.include(logged[0], "a bad listener")
      }).pipe(Effect.provide(
        SessionEvents.layer.pipe(
          Layer.provide(Logger.layer([Logger.map(Logger.formatSimple, (line) => logged.push(line))]))
        )
      ))
    }))

  it.effect("can be read as a stream, which listens only while it is read", () =>
    bus(Effect.gen(function*() {
      const events = yield* SessionEvents
      const stream = events.stream()
      events.publish(event("too early"))
      assert.isFalse(events.active)
      const fiber = yield* Effect.forkChild(
        stream.pipe(Stream.take(3), Stream.map(({ id }) => id), Stream.runCollect),
        { startImmediately: true }
      )
      yield* TestSessions.settle
      assert.isTrue(events.active)
      for (let i = 1; i <= 5; i++) events.publish(event(i))
      assert.deepStrictEqual(yield* Fiber.join(fiber), ["1", "2", "3"])
      assert.isFalse(events.active)
    })))

  /** A stream whose reader stands still at its first event until all `count` were published. */
  const slowReader = (count: number, bufferSize?: number) =>
    Effect.gen(function*() {
      const events = yield* SessionEvents
      const gate = yield* Deferred.make<void>()
      const read: Array<number> = []
      const fiber = yield* Effect.forkChild(
        events.stream(bufferSize === undefined ? undefined : { bufferSize }).pipe(
          Stream.map(({ id }) => Number(id)),
          Stream.runForEach((id) => {
            read.push(id)
            return Deferred.await(gate)
          })
        )
      )
      yield* TestSessions.settle
      events.publish(event(0))
      yield* TestSessions.settle
      for (let i = 1; i <= count; i++) events.publish(event(i))
      yield* Deferred.succeed(gate, undefined)
      yield* TestSessions.settle
      yield* Fiber.interrupt(fiber)
      return read
    })

  it.effect("loses the oldest events of a reader that falls behind its buffer", () =>
    bus(Effect.gen(function*() {
      assert.deepStrictEqual(yield* slowReader(10, 3), [0, 8, 9, 10])
      assert.deepStrictEqual(yield* slowReader(3, 3), [0, 1, 2, 3])
    })))

  it.effect("buffers 1,024 events by default", () =>
    bus(Effect.gen(function*() {
      const read = yield* slowReader(5_000)
      assert.strictEqual(read.length, 1 + 1_024)
      assert.deepStrictEqual([read[1], read.at(-1)], [5_000 - 1_023, 5_000])
    })))

  it.effect("loses events for a slow reader only", () =>
    bus(Effect.gen(function*() {
      const events = yield* SessionEvents
      const heard: Array<string> = []
      yield* events.listen(({ id }) => heard.push(id))
      yield* slowReader(100, 1)
      assert.strictEqual(heard.length, 101)
    })))
})

class Kind extends Session.Service<Kind>()("Kind", {
  state: Schema.Int,
  protocol: [Rpc.make("Add", { success: Schema.Int }), Rpc.make("Die")]
}) {}
const KindLayer = Kind.toLayer(Kind.behavior({
  init: () => 0,
  handlers: {
    Add: ({ state }) => [state + 1, state + 1],
    Die: () => {
      throw new Error("dead")
    }
  },
  end: () => Effect.void
}))

/** A bit of everything that makes events. */
const life = Effect.gen(function*() {
  const kinds = yield* Kind
  const ref = yield* kinds.start("a")
  yield* Effect.flip(kinds.start("b c"))
  yield* ref.call("Add")
  yield* ref.cast("Add")
  yield* Stream.runDrain(Stream.take(ref.changes(), 1))
  yield* Effect.flip(ref.call("Die"))
  yield* kinds.broadcast("Add")
  yield* (yield* Sessions).sweep
  yield* kinds.end("a")
})

/** The same graph with a bus of one's own. */
const withBus = (events: SessionEvents["Service"]) =>
  KindLayer.pipe(
    Layer.provideMerge(Sessions.layerNoDeps),
    Layer.provideMerge(Layer.mergeAll(
      Expiry.layer,
      StartLimiter.layer,
      MessageLimiter.layer,
      DeadLetters.layer,
      Layer.succeed(SessionEvents, events)
    )),
    Layer.provideMerge(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make()))
  )

describe("the events of sessions", () => {
  it.effect("describe a life in order, each with kind, id and time", () =>
    Effect.gen(function*() {
      const recorder = yield* TestSessions.Recorder
      yield* recorder.clear
      yield* life
      const events = yield* recorder.events
      assert.deepStrictEqual(events.map(({ _tag }) => _tag), [
        "RateLimitCheck",
        "Start",
        "StartError",
        "Call",
        "Cast",
        "Subscribe",
        "Unsubscribe",
        "Call",
        "Crash",
        "Cast",
        "BroadcastReceive",
        "Broadcast",
        "AutoCleanup",
        "Cleanup",
        "Stop"
      ])
      for (const event of events) {
        const ofAll = event._tag === "AutoCleanup"
        assert.strictEqual(event.kind, ofAll ? "" : "Kind")
        assert.strictEqual(
          event.id,
          ofAll || event._tag === "Broadcast" ? "" : event._tag === "StartError" ? "b c" : "a"
        )
        assert.strictEqual(event.at, 0)
      }
    }).pipe(Effect.provide(TestSessions.layer(KindLayer))))

  it.effect("are not created without a listener", () => {
    const made: Array<SessionEvent.SessionEvent> = []
    return life.pipe(
      Effect.provide(withBus({
        active: false,
        publish: (event) => made.push(event),
        listenUnsafe: () => () => {},
        listen: () => Effect.void,
        stream: () => Stream.empty
      })),
      Effect.tap(() => Effect.sync(() => assert.deepStrictEqual(made, [])))
    )
  })

  it.effect("go to the bus that replaces the ordinary one", () => {
    const made: Array<SessionEvent.SessionEvent> = []
    return life.pipe(
      Effect.provide(withBus({
        active: true,
        publish: (event) => made.push(event),
        listenUnsafe: () => () => {},
        listen: () => Effect.void,
        stream: () => Stream.empty
      })),
      Effect.tap(() => Effect.sync(() => assert.isAbove(made.length, 10)))
    )
  })

  it.effect("do not disturb a session when their listener throws", () =>
    Effect.gen(function*() {
      yield* (yield* SessionEvents).listen(() => {
        throw new Error("a bad listener")
      })
      yield* life
      const ref = yield* (yield* Kind).start("c")
      assert.strictEqual(yield* ref.call("Add"), 1)
    }).pipe(
      Effect.provide(Layer.provide(TestSessions.layer(KindLayer), Logger.layer([])))
    ))
})
