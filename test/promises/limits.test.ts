import { assert, describe, it } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Retry, Sessions, StartLimiter } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"
import { Counter, layer } from "./counter.ts"

describe("Limits", () => {
  it.effect("no more sessions are live than the limit, and a live one is reached all the same", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* counters.start("a")
      yield* counters.start("b")
      const error = yield* Effect.flip(counters.start("c"))
      assert.strictEqual(error._tag, "SessionLimitReached")
      assert.strictEqual((yield* counters.start("a")).id, "a")
      assert.deepInclude(yield* (yield* Sessions).count, { count: 2, limit: 2, utilisation: 100 })
      yield* counters.end("b")
      yield* counters.start("c")
    }).pipe(Effect.provide(TestSessions.layer(layer(), { maxSessions: 2 }))))

  it.effect("an expired session does not count against the limit, swept or not", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const { count } = yield* Sessions
      yield* counters.start("a", { idleTimeout: "10 seconds" })
      yield* counters.start("b")
      yield* TestClock.adjust("20 seconds")
      assert.deepInclude(yield* count, { count: 1, kinds: { Counter: 1 } })
      assert.strictEqual(yield* counters.count, 1)
      yield* counters.start("c")
      assert.strictEqual((yield* Effect.flip(counters.start("d")))._tag, "SessionLimitReached")
    }).pipe(Effect.provide(TestSessions.layer(layer(), { maxSessions: 2, sweepInterval: "1 day" }))))

  it.effect("starts are limited in a sliding window, and reaching a live session is not a start", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* counters.start("a")
      yield* TestClock.adjust("40 seconds")
      yield* counters.start("b")
      const error = yield* Effect.flip(counters.start("c"))
      assert.isTrue(error._tag === "StartRateExceeded" && error.retryAfter === 20_000)
      for (let i = 0; i < 100; i++) yield* counters.start("a")
      const { status } = yield* StartLimiter
      assert.deepStrictEqual(yield* status, {
        limit: 2,
        window: 60_000,
        current: 2,
        utilisation: 100,
        retryAfter: 20_000
      })
      yield* TestClock.adjust("20 seconds")
      yield* counters.start("c")
      // The start of b still counts.
      assert.strictEqual((yield* Effect.flip(counters.start("d")))._tag, "StartRateExceeded")
    }).pipe(Effect.provide(TestSessions.layer(layer(), { startRate: { limit: 2, window: "1 minute" } }))))

  it.effect("a start that is refused for another reason does not use up the rate", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      for (let i = 0; i < 5; i++) {
        assert.strictEqual((yield* Effect.flip(counters.start("not an id")))._tag, "InvalidSessionId")
      }
      yield* counters.start("a")
      for (let i = 0; i < 5; i++) {
        assert.strictEqual((yield* Effect.flip(counters.start("b")))._tag, "SessionLimitReached")
      }
      assert.strictEqual((yield* (yield* StartLimiter).status).current, 1)
    }).pipe(Effect.provide(TestSessions.layer(layer(), {
      maxSessions: 1,
      startRate: { limit: 2, window: "1 minute" }
    }))))

  it.effect("starts from one address are limited without limiting the others", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* counters.start("a", { address: "10.0.0.1" })
      const error = yield* Effect.flip(counters.start("b", { address: "10.0.0.1" }))
      assert.strictEqual(error._tag, "StartRateExceeded")
      yield* counters.start("b", { address: "10.0.0.2" })
      yield* counters.start("c")
      assert.strictEqual(yield* (yield* StartLimiter).addresses, 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* (yield* StartLimiter).addresses, 0)
    }).pipe(Effect.provide(TestSessions.layer(layer(), {
      startRatePerAddress: { limit: 1, window: "1 minute" }
    }))))

  it.effect("a session that gets too many messages refuses them, and other sessions go on", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const a = yield* counters.start("a")
      const b = yield* counters.start("b")
      for (const n of [1, 2, 3]) yield* a.call("Add", n)
      const error = yield* Effect.flip(a.call("Add", 4))
      assert.isTrue(error._tag === "MessageRateExceeded" && error.retrySafe)
      assert.strictEqual((yield* Effect.flip(a.cast("Add", 4)))._tag, "MessageRateExceeded")
      assert.isFalse(a.castUnsafe("Add", 4))
      yield* b.call("Add", 1)
      assert.deepStrictEqual(yield* a.state, [1, 2, 3])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* a.call("Add", 4), 4)
    }).pipe(Effect.provide(TestSessions.layer(layer({ messageRate: { limit: 3, window: "1 second" } })))))

  it.effect("many starts of one id together start it once", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const refs = yield* Effect.all(Array.from({ length: 50 }, () => counters.start("a")), {
        concurrency: "unbounded"
      })
      assert.strictEqual(new Set(refs).size, 1)
      assert.strictEqual(yield* counters.count, 1)
      const { of } = yield* TestSessions.Recorder
      assert.strictEqual((yield* of("Start")).length, 1)
    }).pipe(Effect.provide(TestSessions.layer(layer()))))

  it.effect("a batch gives a result for each id", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const results = yield* counters.startAll(["a", "b", "", "c", "a"])
      assert.deepStrictEqual(
        Array.from(results, ([id, result]) => [id, Result.isSuccess(result) ? result.success.id : result.failure._tag]),
        [["a", "a"], ["b", "b"], ["", "InvalidSessionId"], ["c", "SessionLimitReached"]]
      )
      assert.deepStrictEqual(Array.from(yield* counters.endAll(["b", "x"])), [["b", true], ["x", false]])
      assert.deepStrictEqual(Array.from(yield* counters.endAll()), [["a", true]])
    }).pipe(Effect.provide(TestSessions.layer(layer(), { maxSessions: 2 }))))

  it.effect("a refused start can be tried again when its time has come", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      yield* counters.start("a")
      const second = yield* Effect.forkChild(counters.start("b").pipe(Retry.whenSafe()))
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("1 second")
      yield* TestSessions.settle
      assert.isTrue(yield* counters.has("b"))
    }).pipe(Effect.provide(TestSessions.layer(layer(), { startRate: { limit: 1, window: "1 minute" } }))))
})
