import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { type DeadLetter, DeadLetters, EndReason, Session } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

const letter = (payload: number): DeadLetter => ({
  kind: "Kind",
  id: "a",
  tag: "Add",
  payload,
  reason: { _tag: "Undelivered", end: EndReason.shutdown },
  at: payload
})

const payloads = (letters: Iterable<DeadLetter>) => Array.from(letters, ({ payload }) => payload)

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

describe("DeadLetters", () => {
  it.effect("hold the latest, oldest first, at every point of the ring buffer", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters
      assert.deepStrictEqual(yield* letters.recent, [])
      for (const last of range(1, 12)) {
        letters.publish(letter(last))
        assert.deepStrictEqual(payloads(yield* letters.recent), range(Math.max(1, last - 4), last))
        assert.strictEqual(yield* letters.count, last)
      }
    }).pipe(Effect.provide(DeadLetters.layerCapacity(5))))

  it.effect("hold a single one if the capacity is 1", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters
      for (const payload of range(1, 3)) letters.publish(letter(payload))
      assert.deepStrictEqual(payloads(yield* letters.recent), [3])
    }).pipe(Effect.provide(DeadLetters.layerCapacity(1))))

  it.effect("hold 1,000 by default and count all", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters
      for (const payload of range(1, 2_500)) letters.publish(letter(payload))
      assert.deepStrictEqual(payloads(yield* letters.recent), range(1_501, 2_500))
      assert.strictEqual(yield* letters.count, 2_500)
    }).pipe(Effect.provide(DeadLetters.layer)))

  it.effect("give a copy, which later letters do not change", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters
      letters.publish(letter(1))
      const before = yield* letters.recent
      letters.publish(letter(2))
      assert.deepStrictEqual(payloads(before), [1])
    }).pipe(Effect.provide(DeadLetters.layer)))

  it.effect("stream those to come to every reader", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters
      letters.publish(letter(0))
      const read = yield* Effect.forkChild(Effect.all([
        Stream.runCollect(Stream.take(letters.stream, 3)),
        Stream.runCollect(Stream.take(letters.stream, 2))
      ], { concurrency: 2 }))
      yield* TestSessions.settle
      for (const payload of range(1, 4)) letters.publish(letter(payload))
      const [three, two] = yield* Fiber.join(read)
      assert.deepStrictEqual(payloads(three), [1, 2, 3])
      assert.deepStrictEqual(payloads(two), [1, 2])
    }).pipe(Effect.provide(DeadLetters.layer)))

  it.effect("lose the oldest for a reader that falls 1,024 behind", () =>
    Effect.gen(function*() {
      const letters = yield* DeadLetters
      const gate = yield* Deferred.make<void>()
      const read: Array<unknown> = []
      const fiber = yield* Effect.forkChild(Stream.runForEach(letters.stream, ({ payload }) => {
        read.push(payload)
        return Deferred.await(gate)
      }))
      yield* TestSessions.settle
      letters.publish(letter(0))
      yield* TestSessions.settle
      for (const payload of range(1, 3_000)) letters.publish(letter(payload))
      yield* Deferred.succeed(gate, undefined)
      yield* TestSessions.settle
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(read, [0, ...range(3_000 - 1_023, 3_000)])
    }).pipe(Effect.provide(DeadLetters.layer)))
})

class Kind extends Session.Service<Kind>()("Kind", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }),
    Rpc.make("Nap"),
    Rpc.make("Die", { payload: Schema.String }),
    Rpc.make("Refuse", { error: Schema.Literal("no") })
  ]
}) {}
const KindLayer = Kind.toLayer(Kind.behavior({
  init: () => 0,
  handlers: {
    Add: ({ payload, state }) => [state + payload, state + payload],
    Nap: ({ state }) => Effect.as(Effect.sleep("1 minute"), [state] as const),
    Die: ({ payload }) => {
      throw new Error(payload)
    },
    Refuse: () => Effect.fail("no" as const)
  }
}))

describe("the dead letters of sessions", () => {
  it.effect("get a message whose handler died, with its cause", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* TestClock.adjust("5 seconds")
      yield* Effect.flip(ref.call("Die", "of a call"))
      yield* ref.cast("Die", "of a cast")
      yield* TestSessions.settle
      const letters = yield* TestSessions.deadLetters
      assert.deepStrictEqual(
        letters.map(({ at, id, kind, payload, tag }) => ({ at, id, kind, payload, tag })),
        [
          { at: 5_000, id: "a", kind: "Kind", payload: "of a call", tag: "Die" },
          { at: 5_000, id: "a", kind: "Kind", payload: "of a cast", tag: "Die" }
        ]
      )
      const { reason } = letters[0]!
      assert(reason._tag === "Crashed")
      assert.strictEqual((Cause.squash(reason.cause) as Error).message, "of a call")
    }).pipe(Effect.provide(TestSessions.layer(KindLayer))))

  it.effect("get the casts that were left over at the end, but not the calls, whose callers know", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.cast("Nap")
      const call = yield* Effect.forkChild(Effect.flip(ref.call("Add", 1)))
      yield* TestSessions.settle
      yield* ref.cast("Add", 2)
      yield* ref.cast("Add", 3)
      yield* ref.end({ drain: false, reason: EndReason.evicted })
      assert.strictEqual((yield* Fiber.join(call))._tag, "SessionEnded")
      const letters = yield* TestSessions.deadLetters
      assert.deepStrictEqual(
        letters.map(({ payload, reason, tag }) => ({ payload, reason, tag })),
        [
          { payload: undefined, reason: { _tag: "Undelivered", end: EndReason.evicted }, tag: "Nap" },
          { payload: 2, reason: { _tag: "Undelivered", end: EndReason.evicted }, tag: "Add" },
          { payload: 3, reason: { _tag: "Undelivered", end: EndReason.evicted }, tag: "Add" }
        ]
      )
    }).pipe(Effect.provide(TestSessions.layer(KindLayer))))

  it.effect("get nothing that was handled, or that failed as declared", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Kind).start("a")
      yield* ref.call("Add", 1)
      yield* ref.cast("Add", 1)
      yield* Effect.flip(ref.call("Refuse"))
      yield* ref.cast("Refuse")
      yield* ref.end()
      assert.deepStrictEqual(yield* TestSessions.deadLetters, [])
    }).pipe(Effect.provide(TestSessions.layer(KindLayer))))

  it.effect("are of each Layer its own", () =>
    Effect.gen(function*() {
      const build = Effect.map(
        Layer.build(Layer.fresh(TestSessions.layer(KindLayer))),
        (context) => Effect.provideContext(context)
      )
      const one = yield* build
      const other = yield* build
      yield* one(Effect.gen(function*() {
        yield* Effect.flip((yield* (yield* Kind).start("a")).call("Die", "here"))
      }))
      assert.strictEqual((yield* one(TestSessions.deadLetters)).length, 1)
      assert.strictEqual((yield* other(TestSessions.deadLetters)).length, 0)
    }))
})
