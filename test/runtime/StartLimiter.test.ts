import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Session, SessionError, SessionsConfig, StartLimiter } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

const limiter = (options: SessionsConfig.Options) =>
  Effect.provide(
    Layer.provide(
      StartLimiter.layer,
      Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make({ startRate: false, ...options }))
    )
  )

/** Asks for starts and gives how many were allowed. */
const starts = (count: number, address?: string) =>
  Effect.gen(function*() {
    const { check } = yield* StartLimiter
    let allowed = 0
    for (let i = 0; i < count; i++) {
      const result = yield* Effect.result(check({ kind: "Kind", id: String(i), address }))
      if (result._tag === "Success") allowed++
    }
    return allowed
  })

const refusal = (address?: string) =>
  Effect.flatMap(StartLimiter, ({ check }) => Effect.flip(check({ kind: "Kind", id: "x", address })))

const perMinute = (limit: number) => ({ limit, window: "1 minute" } as const)

describe("StartLimiter", () => {
  it.effect("allows as many starts as its limit, then fails and says when to try again", () =>
    limiter({ startRate: perMinute(3) })(Effect.gen(function*() {
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* starts(5), 3)
      yield* TestClock.adjust("20 seconds")
      const error = yield* refusal()
      assert.instanceOf(error, SessionError.StartRateExceeded)
      assert.strictEqual(error.limit, 3)
      assert.strictEqual(error.window, 60_000)
      assert.strictEqual(error.retryAfter, 40_000)
      assert.include(error.message, "all starts")
      yield* TestClock.adjust(error.retryAfter - 1)
      assert.strictEqual(yield* starts(5), 0)
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* starts(5), 3)
    })))

  it.effect("slides: a burst at the end of a minute counts in the next one", () =>
    limiter({ startRate: perMinute(10) })(Effect.gen(function*() {
      assert.strictEqual(yield* starts(5), 5)
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* starts(10), 5)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* starts(10), 5)
      yield* TestClock.adjust("58 seconds")
      assert.strictEqual(yield* starts(10), 5)
    })))

  it.effect("shows how far it is used without counting that", () =>
    limiter({ startRate: perMinute(8) })(Effect.gen(function*() {
      const limiter = yield* StartLimiter
      assert.deepStrictEqual(yield* limiter.status, {
        limit: 8,
        window: 60_000,
        current: 0,
        utilisation: 0,
        retryAfter: 0
      })
      yield* starts(2)
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* limiter.status).current, 2)
      assert.strictEqual((yield* limiter.status).utilisation, 25)
      yield* TestClock.adjust("15 seconds")
      yield* starts(6)
      assert.deepStrictEqual(yield* limiter.status, {
        limit: 8,
        window: 60_000,
        current: 8,
        utilisation: 100,
        retryAfter: 45_000
      })
      yield* TestClock.adjust("45 seconds")
      assert.deepStrictEqual(yield* limiter.status, {
        limit: 8,
        window: 60_000,
        current: 6,
        utilisation: 75,
        retryAfter: 0
      })
    })))

  it.effect("allows everything without a limit", () =>
    limiter({})(Effect.gen(function*() {
      assert.strictEqual(yield* starts(5_000, "10.0.0.1"), 5_000)
      const status = yield* (yield* StartLimiter).status
      assert.strictEqual(status.limit, Infinity)
      assert.strictEqual(status.utilisation, 0)
      assert.strictEqual(status.retryAfter, 0)
      assert.strictEqual(yield* (yield* StartLimiter).addresses, 0)
    })))

  it.effect("counts each address for itself", () =>
    limiter({ startRatePerAddress: perMinute(2) })(Effect.gen(function*() {
      assert.strictEqual(yield* starts(5, "10.0.0.1"), 2)
      assert.strictEqual(yield* starts(5, "10.0.0.2"), 2)
      yield* TestClock.adjust("30 seconds")
      const error = yield* refusal("10.0.0.1")
      assert.strictEqual(error.retryAfter, 30_000)
      assert.strictEqual(error.limit, 2)
      assert.include(error.message, "this address")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* starts(5, "10.0.0.1"), 2)
    })))

  it.effect("does not limit starts without an address per address", () =>
    limiter({ startRatePerAddress: perMinute(1) })(Effect.gen(function*() {
      assert.strictEqual(yield* starts(10), 10)
      assert.strictEqual(yield* (yield* StartLimiter).addresses, 0)
    })))

  it.effect("does not count a start that its address may not make against the limit of all starts", () =>
    limiter({ startRate: perMinute(10), startRatePerAddress: perMinute(1) })(Effect.gen(function*() {
      assert.strictEqual(yield* starts(100, "10.0.0.1"), 1)
      assert.strictEqual((yield* (yield* StartLimiter).status).current, 1)
      assert.strictEqual(yield* starts(100), 9)
    })))

  it.effect("does not use up the limit of an address while all starts are refused", () =>
    limiter({ startRate: { limit: 1, window: "10 seconds" }, startRatePerAddress: perMinute(1) })(
      Effect.gen(function*() {
        assert.strictEqual(yield* starts(1), 1)
        assert.strictEqual(yield* starts(3, "10.0.0.1"), 0)
        assert.strictEqual(yield* (yield* StartLimiter).addresses, 0)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(yield* starts(1, "10.0.0.1"), 1)
      })
    ))

  it.effect("forgets addresses that were quiet for a window, and only those", () =>
    limiter({ startRatePerAddress: perMinute(5) })(Effect.gen(function*() {
      const limiter = yield* StartLimiter
      for (let i = 0; i < 100; i++) yield* starts(1, `10.0.0.${i}`)
      yield* TestClock.adjust("30 seconds")
      yield* starts(1, "10.0.0.0")
      assert.strictEqual(yield* limiter.addresses, 100)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* limiter.addresses, 1)
      // It still counts what it should: one of the window before has left, one has not.
      assert.strictEqual(yield* starts(10, "10.0.0.0"), 4)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* limiter.addresses, 0)
    })))

  it.effect("remembers no more addresses than one window saw, also if their number is never read", () =>
    limiter({ startRatePerAddress: { limit: 5, window: "1 second" } })(Effect.gen(function*() {
      for (let i = 0; i < 2_000; i++) {
        yield* starts(1, `address ${i}`)
        yield* TestClock.adjust("100 millis")
      }
      assert.isAtMost(yield* (yield* StartLimiter).addresses, 10)
    })))

  it.effect("remembers a bounded number of addresses, however many there are in a window", () =>
    limiter({ startRatePerAddress: perMinute(1), startRate: false })(Effect.gen(function*() {
      const { addresses, check } = yield* StartLimiter
      for (let i = 0; i < 100_000; i++) yield* check({ kind: "Kind", id: "x", address: `address ${i}` })
      assert.strictEqual(yield* addresses, 50_000)
      assert.strictEqual((yield* refusal("address 99999"))._tag, "StartRateExceeded")
    })))

  class Kind extends Session.Service<Kind>()("Kind", { state: Schema.Int, protocol: [Rpc.make("Ping")] }) {}
  const KindLayer = Kind.toLayer(Kind.behavior({ init: () => 0, handlers: { Ping: ({ state }) => [state] } }))

  it.effect("is asked only if a session is really to be started", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      const limiter = yield* StartLimiter
      yield* kinds.start("a", { address: "10.0.0.1" })
      for (let i = 0; i < 10; i++) yield* kinds.start("a", { address: "10.0.0.1" })
      assert.strictEqual((yield* limiter.status).current, 1)
      yield* kinds.start("b", { address: "10.0.0.2" })
      yield* kinds.start("a", { address: "10.0.0.3" })
      const error = yield* Effect.flip(kinds.start("c", { address: "10.0.0.3" }))
      assert.strictEqual(error._tag, "StartRateExceeded")
      const recorder = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* recorder.of("RateLimitCheck")).map(({ id }) => id), ["a", "b"])
      assert.deepStrictEqual(
        (yield* recorder.of("RateLimitExceeded")).map(({ id, limit, retryAfter }) => ({ id, limit, retryAfter })),
        [{ id: "c", limit: "starts", retryAfter: 60_000 }]
      )
      assert.deepStrictEqual((yield* recorder.of("StartError")).map(({ error, id }) => ({ error, id })), [
        { error, id: "c" }
      ])
    }).pipe(Effect.provide(TestSessions.layer(KindLayer, { startRate: perMinute(2) }))))

  it.effect("is not asked about an invalid id, nor if the session limit is reached", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      yield* kinds.start("a")
      assert.strictEqual((yield* Effect.flip(kinds.start("b c")))._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(kinds.start("b")))._tag, "SessionLimitReached")
      assert.strictEqual((yield* (yield* StartLimiter).status).current, 1)
    }).pipe(Effect.provide(TestSessions.layer(KindLayer, { startRate: perMinute(10), maxSessions: 1 }))))

  class Topic extends Session.Service<Topic>()("Topic", { state: Schema.Int, protocol: [Rpc.make("Ping")] }) {}
  const TopicLayer = Topic.toLayer(Topic.behavior({ init: () => 0, handlers: { Ping: ({ state }) => [state] } }), {
    limitStarts: false
  })

  it.effect("is not asked about kinds without a limit, whose starts do not count for the others", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      const topics = yield* Topic
      const limiter = yield* StartLimiter
      for (let i = 0; i < 10; i++) yield* topics.start(`t${i}`, { address: "10.0.0.1" })
      assert.strictEqual((yield* limiter.status).current, 0)
      assert.strictEqual(yield* limiter.addresses, 0)
      yield* kinds.start("a", { address: "10.0.0.1" })
      assert.strictEqual((yield* limiter.status).current, 1)
      assert.strictEqual((yield* Effect.flip(kinds.start("b", { address: "10.0.0.1" })))._tag, "StartRateExceeded")
      // They start also while others may not.
      yield* topics.start("t10", { address: "10.0.0.1" })
      assert.strictEqual((yield* limiter.status).current, 1)
      const recorder = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* recorder.of("RateLimitCheck")).map(({ id, kind }) => [kind, id]), [["Kind", "a"]])
      assert.deepStrictEqual((yield* recorder.of("RateLimitExceeded")).map(({ id, kind }) => [kind, id]), [
        ["Kind", "b"]
      ])
    }).pipe(Effect.provide(TestSessions.layer(Layer.merge(KindLayer, TopicLayer), {
      startRate: perMinute(5),
      startRatePerAddress: perMinute(1)
    }))))

  it.effect("does not stand for the limit of sessions, which counts all kinds", () =>
    Effect.gen(function*() {
      const topics = yield* Topic
      yield* topics.start("a")
      assert.strictEqual((yield* Effect.flip(topics.start("b")))._tag, "SessionLimitReached")
    }).pipe(Effect.provide(TestSessions.layer(TopicLayer, { startRate: perMinute(10), maxSessions: 1 }))))
})
