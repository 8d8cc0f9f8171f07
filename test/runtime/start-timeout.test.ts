import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

class Slow extends Session.Service<Slow>()("Slow", {
  state: Schema.Int,
  protocol: [Rpc.make("Add", { success: Schema.Int })]
}) {}

/** Which hooks hang, and what was acquired and not released. */
const test = () => {
  const hangs = new Set<"init" | "restore" | "afterStart">()
  let held = 0
  const hook = (name: "init" | "restore" | "afterStart", state: number) =>
    Effect.gen(function*() {
      yield* Effect.acquireRelease(Effect.sync(() => held++), () => Effect.sync(() => held--))
      if (hangs.has(name)) return yield* Effect.never
      return state
    })
  const SlowLayer = (options: Parameters<typeof Slow.toLayer>[1]) =>
    Slow.toLayer(
      Slow.behavior({
        init: () => hook("init", 0),
        restore: ({ state }) => hook("restore", state),
        afterStart: ({ state }) => hook("afterStart", state),
        handlers: {
          Add: ({ state }) => [state + 1, state + 1]
        }
      }),
      options
    )
  return { hangs, held: () => held, SlowLayer }
}

describe("A start that takes too long", () => {
  it.effect("is interrupted after the startTimeout: its callers get an error, and its place is free", () => {
    const { SlowLayer, hangs, held } = test()
    return Effect.gen(function*() {
      const slows = yield* Slow
      hangs.add("init")
      const starts = yield* Effect.forEach([1, 2], () => Effect.forkChild(Effect.flip(slows.start("a"))))
      yield* TestSessions.elapse("9 seconds")
      assert.isUndefined(starts[0]!.pollUnsafe())
      assert.strictEqual(held(), 1)
      yield* TestSessions.elapse("1 second")
      for (const start of starts) {
        const error = yield* Fiber.join(start)
        assert.strictEqual(error._tag, "StartTimeout")
        assert.isTrue(error.retrySafe)
      }
      assert.strictEqual(held(), 0, "what it acquired is released")
      assert.strictEqual((yield* (yield* Sessions).count).count, 0)
      assert.strictEqual((yield* (yield* Sessions).stats).totals["Slow"]!.startFailures, 1)
      hangs.clear()
      assert.strictEqual(yield* (yield* slows.start("a")).call("Add"), 1)
    }).pipe(Effect.provide(TestSessions.layer(SlowLayer({ startTimeout: "10 seconds" }))))
  })

  it.effect("is bounded by 30 seconds by default, and so is `afterStart`", () => {
    const { SlowLayer, hangs } = test()
    return Effect.gen(function*() {
      hangs.add("afterStart")
      const slow = yield* (yield* Slow).start("a")
      const call = yield* Effect.forkChild(Effect.flip(slow.call("Add", undefined, { timeout: "1 hour" })))
      yield* TestSessions.elapse("29 seconds")
      assert.isTrue(yield* slow.isLive)
      yield* TestSessions.elapse("1 second")
      assert.strictEqual((yield* Fiber.join(call))._tag, "SessionEnded")
      assert.isFalse(yield* slow.isLive)
    }).pipe(Effect.provide(TestSessions.layer(SlowLayer({}))))
  })

  it.effect("leaves a session in the store that it could not restore", () => {
    const { SlowLayer, hangs } = test()
    return Effect.gen(function*() {
      const memory = yield* Layer.build(MemoryStore.layer)
      const run = <A, E>(effect: Effect.Effect<A, E, Slow | Sessions>) =>
        Effect.provide(
          effect,
          Layer.fresh(
            TestSessions.layer(
              SlowLayer({ snapshots: { save: "everyChange" } }).pipe(
                Layer.provide(Layer.succeedContext(memory))
              )
            )
          )
        )
      yield* run(Effect.flatMap(Slow, (slows) => Effect.flatMap(slows.start("a"), (slow) => slow.call("Add"))))
      hangs.add("restore")
      yield* run(Effect.gen(function*() {
        const slow = (yield* Slow).ref("a")
        const call = yield* Effect.forkChild(Effect.flip(slow.call("Add", undefined, { timeout: "1 hour" })))
        yield* TestSessions.elapse("30 seconds")
        const error = yield* Fiber.join(call)
        assert.isTrue(error._tag === "RestoreFailed" || error._tag === "StoreUnavailable", error._tag)
      }))
      hangs.clear()
      assert.strictEqual(
        yield* run(Effect.flatMap(Slow, (slows) => slows.ref("a").call("Add"))),
        2
      )
    }).pipe(Effect.scoped)
  })
})
