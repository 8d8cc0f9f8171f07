import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Fiber, Latch, Layer, Option, Schedule, Schema, Stream } from "effect"
import {
  DeadLetters,
  Expiry,
  MessageLimiter,
  Session,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import { Counter, layer } from "./counter.ts"

const provide = Effect.provide(TestSessions.layer(layer({ idleTimeout: "30 minutes", absoluteTimeout: "2 hours" })))

const stops = Effect.gen(function*() {
  const { of } = yield* TestSessions.Recorder
  return (yield* of("Stop")).map(({ id, reason }) => ({ id, reason }))
})

const idle = { _tag: "Expired", limit: "idle" } as const

describe("Lifetime", () => {
  const activities = {
    call: (ref) => ref.call("All"),
    cast: (ref) => ref.cast("Add", 1),
    castUnsafe: (ref) => Effect.sync(() => ref.castUnsafe("Add", 1)),
    touch: (ref) => ref.touch,
    reach: () => Effect.flatMap(Counter, (counters) => counters.reach("a")),
    "start again": () => Effect.flatMap(Counter, (counters) => counters.start("a"))
  } satisfies Record<string, (ref: Session.Ref<typeof Counter>) => Effect.Effect<unknown, unknown, Counter>>

  for (const [name, act] of Object.entries(activities)) {
    it.effect(`${name} is activity: the session lives on`, () =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        yield* TestSessions.elapse("29 minutes")
        yield* act(ref)
        yield* TestSessions.elapse("29 minutes")
        assert.isTrue(yield* ref.isLive)
        yield* TestSessions.elapse("1 minute")
        assert.isFalse(yield* ref.isLive)
        assert.deepStrictEqual(yield* stops, [{ id: "a", reason: idle }])
      }).pipe(provide))
  }

  it.effect("looking at a session is not activity", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ref = yield* counters.start("a")
      yield* TestSessions.elapse("29 minutes")
      yield* ref.state
      yield* ref.info
      yield* counters.find("a")
      yield* counters.list
      yield* TestSessions.elapse("1 minute")
      assert.isFalse(yield* counters.has("a"))
    }).pipe(provide))

  it.effect("the absolute timeout ends even an active session", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      for (let i = 0; i < 11; i++) {
        yield* TestSessions.elapse("10 minutes")
        yield* ref.touch
      }
      assert.isTrue(yield* ref.isLive)
      yield* TestSessions.elapse("10 minutes")
      assert.deepStrictEqual(yield* stops, [{ id: "a", reason: { _tag: "Expired", limit: "absolute" } }])
    }).pipe(provide))

  it.effect("an expired session is never reached, even before it is swept", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ref = yield* counters.start("a")
      yield* ref.call("Add", 1)
      yield* TestClock.adjust("30 minutes")
      assert.isTrue(Option.isNone(yield* counters.find("a")))
      yield* counters.start("b")
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual((yield* Effect.flip(counters.ref("b").call("All")))._tag, "SessionNotFound")
      assert.isFalse(counters.ref("b").castUnsafe("Add", 1))
      // A start finds no live session and starts a new one.
      const again = yield* counters.start("a")
      assert.deepStrictEqual(yield* again.call("All"), [])
    }).pipe(Effect.provide(TestSessions.layer(
      layer({ idleTimeout: "30 minutes" }),
      { sweepInterval: "1 day" }
    ))))

  it.effect("watchers and waiting callers are notified when the session expires, long before the sweep", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const watched = yield* counters.start("watched")
      const awaited = yield* counters.start("awaited")
      yield* counters.start("alone")
      const stream = yield* Effect.forkChild(Effect.flip(Stream.runDrain(watched.changes())))
      const end = yield* Effect.forkChild(awaited.awaitEnd)
      yield* TestSessions.settle
      yield* TestClock.adjust("29 minutes")
      yield* watched.touch
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* Fiber.join(end), idle)
      assert.isUndefined(stream.pollUnsafe())
      yield* TestClock.adjust("29 minutes")
      const error = yield* Fiber.join(stream)
      assert.isTrue(error._tag === "SessionEnded" && error.reason._tag === "Expired")
      assert.deepStrictEqual((yield* stops).map(({ id }) => id), ["awaited", "watched"])
    }).pipe(Effect.provide(TestSessions.layer(
      layer({ idleTimeout: "30 minutes" }),
      { sweepInterval: "1 day" }
    ))))

  it.effect("a sweep ends what has expired and nothing else, and counts it", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* counters.startAll(["a", "b", "c", "d"])
      yield* TestClock.adjust("20 minutes")
      yield* counters.ref("b").touch
      yield* counters.ref("d").setIdleTimeout("5 minutes")
      yield* TestClock.adjust("10 minutes")
      const { expired } = yield* Expiry
      assert.deepStrictEqual(Array.from(expired, ({ id }) => id).sort(), ["a", "c", "d"])
      assert.strictEqual(yield* (yield* Sessions).sweep, 3)
      assert.deepStrictEqual((yield* counters.list).map(({ id }) => id), ["b"])
    }).pipe(Effect.provide(TestSessions.layer(
      layer({ idleTimeout: "30 minutes" }),
      { sweepInterval: "1 day" }
    ))))

  it.effect("the schedule of sweeps can be replaced", () =>
    Effect.gen(function*() {
      yield* (yield* Counter).start("a")
      const counts: Array<number> = []
      yield* (yield* SessionEvents).listen((event) => {
        if (event._tag === "AutoCleanup") counts.push(event.count)
      })
      yield* TestClock.adjust("59 minutes")
      assert.deepStrictEqual(counts, [])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(counts, [1])
    }).pipe(Effect.provide(
      layer({ idleTimeout: "10 minutes" }).pipe(
        Layer.provideMerge(Sessions.layerNoDeps),
        Layer.provideMerge(Layer.mergeAll(
          Expiry.layerSchedule(Schedule.spaced("1 hour")),
          StartLimiter.layer,
          MessageLimiter.layer,
          SessionEvents.layer,
          DeadLetters.layer
        )),
        Layer.provide(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make()))
      )
    )))

  it.effect("one session may have an idle timeout of its own", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* counters.start("short", { idleTimeout: "1 minute" })
      yield* counters.start("long", { idleTimeout: "1 day" })
      yield* counters.start("usual")
      yield* TestSessions.elapse("1 minute")
      assert.isFalse(yield* counters.has("short"))
      yield* TestSessions.elapse("59 minutes")
      assert.isFalse(yield* counters.has("usual"))
      yield* TestSessions.elapse("22 hours")
      assert.isTrue(yield* counters.has("long"))
    }).pipe(Effect.provide(TestSessions.layer(layer({ idleTimeout: "30 minutes" })))))

  it.effect("a session that handles a message is not idle, however long that takes", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = Latch.makeUnsafe()
      yield* ref.cast("AddWhen", { latch, n: 1 })
      yield* TestSessions.elapse("90 minutes")
      assert.isTrue(yield* ref.isLive)
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [1])
      yield* TestSessions.elapse("30 minutes")
      assert.isFalse(yield* ref.isLive)
    }).pipe(provide))

  it.effect("a session that was busy beyond its deadline is idle from when it is done", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = Latch.makeUnsafe()
      yield* ref.cast("AddWhen", { latch, n: 1 })
      yield* TestClock.adjust("31 minutes")
      yield* latch.open
      yield* TestSessions.elapse("29 minutes")
      assert.isTrue(yield* ref.isLive)
      yield* TestSessions.elapse("1 minute")
      assert.isFalse(yield* ref.isLive)
    }).pipe(Effect.provide(TestSessions.layer(layer({ idleTimeout: "30 minutes" }), { sweepInterval: "7 minutes" }))))

  it.effect("a touch from a session's own work counts, even after the deadline was noticed", () =>
    Effect.gen(function*() {
      class Toucher
        extends Session.Service<Toucher>()("Toucher", { state: Schema.Void, protocol: [Rpc.make("Work")] })
      {}
      const ToucherLayer = Toucher.toLayer(
        Toucher.behavior({
          init: () => undefined,
          handlers: {
            Work: ({ self }) =>
              Effect.as(self.fork(Effect.andThen(Effect.sleep("31 minutes"), self.touch)), [undefined] as const)
          }
        }),
        { idleTimeout: "30 minutes" }
      )
      yield* Effect.gen(function*() {
        const ref = yield* (yield* Toucher).start("a")
        yield* ref.call("Work")
        yield* TestClock.adjust("32 minutes")
        yield* (yield* Sessions).sweep
        assert.isTrue(yield* ref.isLive)
        yield* TestClock.adjust("29 minutes")
        yield* (yield* Sessions).sweep
        assert.isFalse(yield* ref.isLive)
      }).pipe(Effect.provide(TestSessions.layer(ToucherLayer, { sweepInterval: "1 day" })))
    }))

  it.effect("a start with an idle timeout that is none leaves nothing behind", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      for (const idleTimeout of [0, -5, NaN, "bogus" as never]) {
        const exit = yield* Effect.exit(counters.start("a", { idleTimeout }))
        assert.isTrue(exit._tag === "Failure" && Cause.hasDies(exit.cause))
        assert.strictEqual(yield* counters.count, 0)
      }
      yield* counters.start("a")
    }).pipe(provide))

  it.effect("info says when the session expires", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      yield* TestSessions.elapse("10 minutes")
      yield* ref.touch
      const { endsAt, expiresAt, lastActiveAt, startedAt } = yield* ref.info
      assert.deepStrictEqual({ endsAt, expiresAt, lastActiveAt, startedAt }, {
        startedAt: 0,
        lastActiveAt: 600_000,
        expiresAt: 2_400_000,
        endsAt: 7_200_000
      })
      yield* (yield* Counter).start("forever", { idleTimeout: "Infinity" })
    }).pipe(provide))

  it.effect("an ended session leaves nothing behind", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const expiry = yield* Expiry
      for (let i = 0; i < 1_000; i++) {
        yield* counters.start("a")
        yield* counters.end("a")
      }
      assert.strictEqual(expiry.size(), 0)
      assert.strictEqual((yield* (yield* Sessions).count).count, 0)
    }).pipe(provide))
})
