import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Result } from "effect"
import { Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { busy, Counter, layer } from "./counter.ts"

const provide = Effect.provide(TestSessions.layer(layer({
  mailboxCapacity: 3,
  overflow: { Sample: "dropOldest", Urgent: "reject" }
})))

describe("Overload", () => {
  it.effect("a sender waits for room when the mailbox is full, and keeps its place", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (const n of [1, 2, 3]) yield* ref.cast("Add", n)
      const fourth = yield* Effect.forkChild(ref.cast("Add", 4))
      yield* TestSessions.settle
      const fifth = yield* Effect.forkChild(ref.call("Add", 5))
      yield* TestSessions.settle
      assert.isUndefined(fourth.pollUnsafe())
      assert.isUndefined(fifth.pollUnsafe())
      assert.strictEqual((yield* ref.info).mailbox, 3)
      yield* latch.open
      yield* Fiber.join(fourth)
      assert.strictEqual(yield* Fiber.join(fifth), 6)
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3, 4, 5])
    }).pipe(provide))

  it.effect("castUnsafe never waits: it is refused when the mailbox is full", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (const n of [1, 2, 3]) assert.isTrue(ref.castUnsafe("Add", n))
      assert.isFalse(ref.castUnsafe("Add", 4))
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3])
    }).pipe(provide))

  it.effect("a message that must not wait is refused with MailboxFull, which is safe to retry", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (const n of [1, 2, 3]) yield* ref.cast("Add", n)
      const refused = yield* Effect.flip(ref.cast("Urgent", 9))
      assert.strictEqual(refused._tag, "MailboxFull")
      assert.isTrue(refused.retrySafe)
      const refusedCall = yield* Effect.flip(ref.call("Urgent", 9))
      assert.strictEqual(refusedCall._tag, "MailboxFull")
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3])
    }).pipe(provide))

  it.effect("a message whose caller has gone, or waited for long enough, makes room at once", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      const gone = yield* Effect.forkChild(ref.call("Add", 1))
      const late = yield* Effect.forkChild(Effect.flip(ref.call("Add", 2, { timeout: "1 second" })))
      yield* TestSessions.settle
      yield* ref.cast("Add", 3)
      const waits = yield* Effect.forkChild(ref.cast("Add", 4))
      yield* TestSessions.settle
      assert.isUndefined(waits.pollUnsafe())
      yield* Fiber.interrupt(gone)
      yield* TestSessions.settle
      assert.isDefined(waits.pollUnsafe(), "who waited for room has it")
      assert.strictEqual((yield* Effect.flip(ref.call("Urgent", 9)))._tag, "MailboxFull")
      yield* TestSessions.elapse("1 second")
      assert.strictEqual((yield* Fiber.join(late))._tag, "CallTimeout")
      assert.strictEqual((yield* ref.info).mailbox, 2)
      yield* ref.cast("Urgent", 5)
      assert.strictEqual((yield* ref.info).mailbox, 3)
      assert.isFalse(ref.castUnsafe("Add", 6))
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 3, 4, 5])
    }).pipe(provide))

  it.effect("callers that come and go never fill a mailbox", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (let n = 1; n <= 50; n++) {
        const fiber = yield* Effect.forkChild(ref.call("Urgent", n), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
      }
      yield* ref.cast("Urgent", 99)
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 99])
      assert.strictEqual((yield* ref.info).mailbox, 0)
    }).pipe(provide))

  it.effect("a sample pushes out the oldest sample, and nothing else", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      yield* ref.cast("Sample", 1)
      yield* ref.cast("Add", 2)
      const dropped = yield* Effect.forkChild(Effect.result(ref.call("Sample", 3)))
      yield* TestSessions.settle
      yield* ref.cast("Sample", 4)
      yield* ref.cast("Sample", 5)
      const result = yield* Fiber.join(dropped)
      assert.strictEqual(Result.isFailure(result) && result.failure._tag, "MailboxFull")
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 2, 4, 5])
    }).pipe(provide))

  it.effect("a sample is refused when no older one waits", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (const n of [1, 2, 3]) yield* ref.cast("Add", n)
      assert.strictEqual((yield* Effect.flip(ref.cast("Sample", 9)))._tag, "MailboxFull")
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3])
    }).pipe(provide))

  it.effect("a call that finds no room in time was not handled and may be retried", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (const n of [1, 2, 3]) yield* ref.cast("Add", n)
      const call = yield* Effect.forkChild(Effect.flip(ref.call("Add", 4, { timeout: "2 seconds" })))
      yield* TestSessions.settle
      yield* TestSessions.elapse("2 seconds")
      const error = yield* Fiber.join(call)
      assert.strictEqual(error._tag, "CallTimeout")
      assert.isTrue(error.retrySafe)
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3])
    }).pipe(provide))

  it.effect("a broadcast is not held up by a session whose mailbox is full", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const a = yield* counters.start("a")
      const b = yield* counters.start("b")
      const latch = yield* busy(a)
      for (const n of [1, 2, 3]) yield* a.cast("Add", n)
      assert.strictEqual(yield* counters.broadcast("Add", 9), 1)
      assert.deepStrictEqual(yield* b.state, [9])
      yield* latch.open
      assert.deepStrictEqual(yield* a.call("All"), [0, 1, 2, 3])
    }).pipe(provide))

  it.effect("only messages that are accepted count as such", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (const n of [1, 2, 3]) yield* ref.cast("Add", n)
      yield* Effect.flip(ref.cast("Urgent", 9))
      yield* Effect.flip(ref.call("Urgent", 9))
      assert.isFalse(ref.castUnsafe("Add", 9))
      const { totals } = yield* (yield* Sessions).stats
      assert.deepInclude(totals["Counter"], { calls: 0, casts: 4, rejected: 3 })
      yield* latch.open
    }).pipe(provide))

  it.effect("a session with a long backlog lets others have a turn after each batch", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      for (let n = 1; n <= 100; n++) yield* ref.cast("Add", n)
      const seen: Array<number> = []
      const other = yield* Effect.forkChild(Effect.gen(function*() {
        yield* latch.open
        for (;;) {
          const { length } = yield* ref.state
          seen.push(length)
          if (length === 101) return
          yield* Effect.yieldNow
        }
      }))
      yield* Fiber.join(other)
      // Without the pauses it would see nothing, then all.
      assert.isAbove(new Set(seen.filter((length) => length > 0 && length < 101)).size, 5)
    }).pipe(Effect.provide(TestSessions.layer(layer({ batch: 10 })))))
})
