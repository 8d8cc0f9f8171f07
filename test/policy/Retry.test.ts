import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Schema } from "effect"
import { EndReason, Retry, Session, SessionError } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

const full = SessionError.MailboxFull.of("Cart", "ada", "Add", 10)
const crashed = SessionError.SessionCrashed.of("Cart", "ada", "Add", new Error("dead"))
const asksFor = (retryAfter: number) => SessionError.StartRateExceeded.of(100, 60_000, retryAfter)

/** An Effect that fails with each error in turn and then succeeds, and the times at which it was tried. */
const failing = (...errors: ReadonlyArray<SessionError.SessionError>) => {
  const times: Array<number> = []
  const effect = Effect.gen(function*() {
    times.push(yield* Clock.currentTimeMillis)
    const error = errors[times.length - 1]
    if (error !== undefined) return yield* error
    return "done"
  })
  return { effect, times }
}

/** Runs it to the end, however long its pauses are. */
const run = <A, E>(effect: Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.exit(effect))
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

describe("Retry.whenSafe", () => {
  it.effect("does not try again what succeeds", () =>
    Effect.gen(function*() {
      const { effect, times } = failing()
      assert.strictEqual(yield* Retry.whenSafe()(effect), "done")
      assert.deepStrictEqual(times, [0])
    }))

  it.effect("tries again with pauses that double, from 50 ms", () =>
    Effect.gen(function*() {
      const { effect, times } = failing(full, full, full)
      const exit = yield* run(effect.pipe(Retry.whenSafe()))
      assert.deepStrictEqual(exit, Exit.succeed("done"))
      assert.deepStrictEqual(times, [0, 50, 150, 350])
    }))

  it.effect("gives up after three further tries and gives the last error", () =>
    Effect.gen(function*() {
      const last = SessionError.MailboxFull.of("Cart", "ada", "Last", 10)
      const { effect, times } = failing(full, full, full, last, full)
      const exit = yield* run(effect.pipe(Retry.whenSafe()))
      assert.deepStrictEqual(exit, Exit.fail(last))
      assert.strictEqual(times.length, 4)
    }))

  it.effect("retries as often as `times` says", () =>
    Effect.gen(function*() {
      for (const times of [0, 1, 7]) {
        const script = failing(...Array.from({ length: 20 }, () => full))
        yield* run(script.effect.pipe(Retry.whenSafe({ times })))
        assert.strictEqual(script.times.length, times + 1)
      }
    }))

  it.effect("takes its first pause and its longest pause from the options", () =>
    Effect.gen(function*() {
      const { effect, times } = failing(full, full, full, full)
      yield* run(effect.pipe(Retry.whenSafe({ times: 4, delay: "1 second", maxDelay: "3 seconds" })))
      assert.deepStrictEqual(times, [0, 1_000, 3_000, 6_000, 9_000])
    }))

  it.effect("waits as long as the error asks for, not longer and not less", () =>
    Effect.gen(function*() {
      const { effect, times } = failing(asksFor(30_000), full, asksFor(1))
      yield* run(effect.pipe(Retry.whenSafe()))
      assert.deepStrictEqual(times, [0, 30_000, 30_100, 30_101])
    }))

  it.effect("does not try again when the error asks for more than the longest pause", () =>
    Effect.gen(function*() {
      const error = asksFor(60_001)
      const { effect, times } = failing(error)
      assert.deepStrictEqual(yield* run(effect.pipe(Retry.whenSafe())), Exit.fail(error))
      assert.deepStrictEqual(times, [0])
      const just = failing(asksFor(60_000))
      assert.deepStrictEqual(yield* run(just.effect.pipe(Retry.whenSafe())), Exit.succeed("done"))
    }))

  it.effect("lets an error through at once that may have had an effect", () =>
    Effect.gen(function*() {
      const { effect, times } = failing(full, crashed, full)
      assert.deepStrictEqual(yield* run(effect.pipe(Retry.whenSafe())), Exit.fail(crashed))
      assert.deepStrictEqual(times, [0, 50])
    }))

  it.effect("lets a timeout or an end through when the handler had begun, and only then", () =>
    Effect.gen(function*() {
      for (
        const make of [
          (begun: boolean) => SessionError.CallTimeout.of("Cart", "ada", "Add", 5_000, begun),
          (begun: boolean) => SessionError.SessionEnded.of("Cart", "ada", EndReason.shutdown, begun)
        ]
      ) {
        const begun = failing(make(true))
        assert.isTrue(Exit.isFailure(yield* run(begun.effect.pipe(Retry.whenSafe()))))
        const notBegun = failing(make(false))
        assert.isTrue(Exit.isSuccess(yield* run(notBegun.effect.pipe(Retry.whenSafe()))))
      }
    }))

  it.effect.each(
    ["a text", undefined, null, { retrySafe: "yes" }, { retrySafe: 1 }, new Error("other"), { retryAfter: 10 }]
  )("lets the error of another library through at once: %s", (error) =>
    Effect.gen(function*() {
      let tried = 0
      const exit = yield* Effect.exit(
        Retry.whenSafe()(Effect.suspend(() => {
          tried++
          return Effect.fail(error)
        }))
      )
      assert.deepStrictEqual(exit, Exit.fail(error))
      assert.strictEqual(tried, 1)
    }))

  it.effect("does not hide a defect", () =>
    Effect.gen(function*() {
      let tried = 0
      const exit = yield* Effect.exit(
        Retry.whenSafe()(Effect.suspend(() => {
          tried++
          return Effect.die(full)
        }))
      )
      assert.isTrue(Exit.hasDies(exit))
      assert.strictEqual(tried, 1)
    }))

  it.effect("stops trying when it is interrupted", () =>
    Effect.gen(function*() {
      const { effect, times } = failing(full, full)
      const fiber = yield* Effect.forkChild(effect.pipe(Retry.whenSafe()))
      yield* TestClock.adjust("10 millis")
      yield* Fiber.interrupt(fiber)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(times, [0])
    }))

  class Kind extends Session.Service<Kind>()("Kind", {
    state: Schema.Int,
    protocol: [Rpc.make("Nap", { success: Schema.Int }), Rpc.make("Add", { success: Schema.Int })]
  }) {}
  const KindLayer = Kind.toLayer(Kind.behavior({
    init: () => 0,
    handlers: {
      Nap: ({ state }) => Effect.as(Effect.sleep("8 seconds"), [state, state] as const),
      Add: ({ state }) => [state + 1, state + 1]
    }
  }))

  it.effect("starts a session once the rate of starts allows it", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      yield* kinds.start("a")
      yield* TestClock.adjust("10 seconds")
      const second = yield* Effect.forkChild(kinds.start("b").pipe(Retry.whenSafe()))
      yield* TestClock.adjust("49999 millis")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual((yield* Fiber.join(second)).id, "b")
    }).pipe(Effect.provide(TestSessions.layer(KindLayer, { startRate: { limit: 1, window: "1 minute" } }))))

  it.effect("sends a call again that timed out before its handler had begun, and it is handled once", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.cast("Nap")
      const answer = yield* Effect.forkChild(ref.call("Add").pipe(Retry.whenSafe()))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(answer), 1)
      assert.strictEqual(yield* ref.state, 1)
    }).pipe(Effect.provide(TestSessions.layer(KindLayer))))
})

describe("Retry.isSafe", () => {
  it("is true for errors of this library that say so", () => {
    assert.isTrue(Retry.isSafe(full))
    assert.isTrue(Retry.isSafe(SessionError.SessionsClosed.of()))
    assert.isFalse(Retry.isSafe(crashed))
    assert.isFalse(Retry.isSafe(new Error("other")))
    assert.isFalse(Retry.isSafe(undefined))
  })
})
