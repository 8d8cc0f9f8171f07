import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import {
  DeadLetters,
  Expiry,
  type KindOptions,
  MessageLimiter,
  Session,
  SessionError,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter
} from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

const rate = { limit: 3, window: 1_000 }

describe("MessageLimiter", () => {
  it.effect("allows as many messages as the limit, then gives the milliseconds to wait", () =>
    Effect.gen(function*() {
      const { admit } = yield* MessageLimiter
      const session = {}
      assert.deepStrictEqual([0, 100, 200, 300].map((now) => admit(session, rate, now)), [0, 0, 0, 700])
      assert.strictEqual(admit(session, rate, 999), 1)
      assert.strictEqual(admit(session, rate, 1_000), 0)
      assert.strictEqual(admit(session, rate, 1_000), 100)
    }).pipe(Effect.provide(MessageLimiter.layer)))

  it.effect("counts each session for itself", () =>
    Effect.gen(function*() {
      const { admit } = yield* MessageLimiter
      const [one, other] = [{}, {}]
      for (let i = 0; i < 10; i++) admit(one, rate, 0)
      assert.isAbove(admit(one, rate, 0), 0)
      assert.strictEqual(admit(other, rate, 0), 0)
    }).pipe(Effect.provide(MessageLimiter.layer)))

  it.effect("never allows more than the limit in any window", () =>
    Effect.gen(function*() {
      const { admit } = yield* MessageLimiter
      const session = {}
      const taken: Array<number> = []
      for (let now = 0; now < 20_000; now += 7) {
        if (admit(session, { limit: 10, window: 1_000 }, now) === 0) taken.push(now)
      }
      for (const end of taken) assert.isAtMost(taken.filter((at) => at > end - 1_000 && at <= end).length, 10)
      // To a twentieth of the window it is exact, so it does not refuse much more than it must.
      assert.isAtLeast(taken.length, 190)
    }).pipe(Effect.provide(MessageLimiter.layer)))
})

class Kind extends Session.Service<Kind>()("Kind", {
  state: Schema.Int,
  protocol: [Rpc.make("Add", { success: Schema.Int })]
}) {}
const kindLayer = (options?: KindOptions.KindOptions<"Add">) =>
  Kind.toLayer(Kind.behavior({ init: () => 0, handlers: { Add: ({ state }) => [state + 1, state + 1] } }), options)

describe("the rate of messages of a kind", () => {
  const limited = { messageRate: { limit: 2, window: "10 seconds" } } as const

  it.effect("refuses calls and casts alike, which then have no effect", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.call("Add")
      yield* ref.cast("Add")
      yield* TestClock.adjust("4 seconds")
      const call = yield* Effect.flip(ref.call("Add"))
      assert.instanceOf(call, SessionError.MessageRateExceeded)
      assert.strictEqual(call.retryAfter, 6_000)
      assert.strictEqual(call.kind, "Kind")
      assert.strictEqual(call.id, "a")
      assert.strictEqual((yield* Effect.flip(ref.cast("Add")))._tag, "MessageRateExceeded")
      assert.isFalse(ref.castUnsafe("Add"))
      assert.strictEqual(yield* ref.state, 2)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* ref.call("Add"), 3)
    }).pipe(Effect.provide(TestSessions.layer(kindLayer(limited)))))

  it.effect("counts refusals and emits events for them", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      for (let i = 0; i < 5; i++) yield* Effect.result(ref.cast("Add"))
      const { totals } = yield* (yield* Sessions).stats
      assert.strictEqual(totals["Kind"]!.rejected, 3)
      assert.strictEqual(totals["Kind"]!.casts, 2)
      const events = yield* (yield* TestSessions.Recorder).of("RateLimitExceeded")
      assert.deepStrictEqual(events.map(({ id, limit, retryAfter }) => ({ id, limit, retryAfter })), [
        { id: "a", limit: "messages", retryAfter: 10_000 },
        { id: "a", limit: "messages", retryAfter: 10_000 },
        { id: "a", limit: "messages", retryAfter: 10_000 }
      ])
    }).pipe(Effect.provide(TestSessions.layer(kindLayer(limited)))))

  it.effect("concerns one session: others, and the next one under its id, have their own", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      const ref = yield* kinds.start("a")
      yield* ref.call("Add")
      yield* ref.call("Add")
      yield* Effect.flip(ref.call("Add"))
      assert.strictEqual(yield* (yield* kinds.start("b")).call("Add"), 1)
      yield* kinds.end("a")
      yield* kinds.start("a")
      assert.strictEqual(yield* ref.call("Add"), 1)
    }).pipe(Effect.provide(TestSessions.layer(kindLayer(limited)))))

  it.effect("does not count a refused message as activity", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.call("Add")
      yield* ref.call("Add")
      const { lastActiveAt } = yield* ref.info
      yield* TestClock.adjust("5 seconds")
      yield* Effect.flip(ref.call("Add"))
      assert.strictEqual((yield* ref.info).lastActiveAt, lastActiveAt)
    }).pipe(Effect.provide(TestSessions.layer(kindLayer(limited)))))

  it.effect("comes from the configuration when the kind has none", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.call("Add")
      assert.strictEqual((yield* Effect.flip(ref.call("Add")))._tag, "MessageRateExceeded")
    }).pipe(Effect.provide(TestSessions.layer(kindLayer(), { messageRate: { limit: 1, window: "1 second" } }))))

  it.effect("is the kind's own where both are given", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.call("Add")
      yield* ref.call("Add")
      assert.strictEqual((yield* Effect.flip(ref.call("Add")))._tag, "MessageRateExceeded")
    }).pipe(
      Effect.provide(TestSessions.layer(kindLayer(limited), { messageRate: { limit: 1, window: "1 second" } }))
    ))

  it.effect("is not asked for when there is none", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      for (let i = 0; i < 100; i++) yield* ref.call("Add")
      assert.strictEqual(yield* ref.state, 100)
    }).pipe(Effect.provide(
      kindLayer().pipe(
        Layer.provideMerge(Sessions.layerNoDeps),
        Layer.provideMerge(Layer.mergeAll(
          Expiry.layer,
          StartLimiter.layer,
          SessionEvents.layer,
          DeadLetters.layer,
          Layer.succeed(MessageLimiter, { admit: () => assert.fail("it was asked") })
        )),
        Layer.provideMerge(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make()))
      )
    )))
})
