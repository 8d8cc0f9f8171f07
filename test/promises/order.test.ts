import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Latch, Schema } from "effect"
import { Session } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { busy, Counter, layer } from "./counter.ts"

const provide = Effect.provide(TestSessions.layer(layer()))

describe("Order", () => {
  it.effect("a busy session handles what arrives meanwhile in the order of arrival", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      yield* ref.cast("Add", 1)
      const call = yield* Effect.forkChild(ref.call("Add", 2))
      yield* TestSessions.settle
      assert.isTrue(ref.castUnsafe("Add", 3))
      yield* ref.cast("Add", 4)
      assert.deepStrictEqual(yield* ref.state, [])
      yield* latch.open
      assert.strictEqual(yield* Fiber.join(call), 3)
      assert.deepStrictEqual(yield* ref.call("All"), [0, 1, 2, 3, 4])
    }).pipe(provide))

  it.effect("an effectful handler is not overtaken by a pure one", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const slow = yield* Effect.forkChild(ref.call("AddSlowly", 1))
      yield* TestSessions.settle
      const fast = yield* Effect.forkChild(ref.call("Add", 2))
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* ref.state, [])
      yield* TestSessions.elapse("1 second")
      assert.strictEqual(yield* Fiber.join(slow), 1)
      assert.strictEqual(yield* Fiber.join(fast), 2)
    }).pipe(provide))

  it.effect.prop(
    "every sender's messages are handled in the order in which it sent them",
    [
      Schema.Array(Schema.Struct({
        sender: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 })),
        how: Schema.Literals(["call", "cast", "unsafe", "slow", "hold"])
      })).check(Schema.isMaxLength(60))
    ],
    ([script]) =>
      Effect.gen(function*() {
        const ref = yield* (yield* Counter).start("a")
        const plans = [0, 1, 2, 3].map((sender) =>
          script.flatMap((step, i) => step.sender === sender ? [{ how: step.how, n: i + 1 }] : [])
        )
        const senders = yield* Effect.forEach(plans, (plan) =>
          Effect.forkChild(Effect.forEach(plan, ({ how, n }) => {
            switch (how) {
              case "call":
                return ref.call("Add", n, { timeout: "1 hour" })
              case "cast":
                return ref.cast("Add", n)
              case "unsafe":
                return Effect.sync(() => assert.isTrue(ref.castUnsafe("Add", n)))
              case "slow":
                return ref.call("AddSlowly", n, { timeout: "1 hour" })
              case "hold":
                return Effect.gen(function*() {
                  const latch = Latch.makeUnsafe()
                  yield* ref.cast("AddWhen", { latch, n })
                  yield* Effect.yieldNow
                  yield* latch.open
                })
            }
          }, { discard: true })))
        yield* TestSessions.elapse("10 minutes")
        yield* Fiber.joinAll(senders)
        const handled = yield* ref.call("All")
        assert.strictEqual(handled.length, script.length)
        plans.forEach((plan) => {
          const sent = plan.map(({ n }) => n)
          assert.deepStrictEqual(handled.filter((n) => sent.includes(n)), sent)
        })
      }).pipe(provide)
  )

  it.effect("a message is skipped when its caller is interrupted before it has begun", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* busy(ref)
      const caller = yield* Effect.forkChild(ref.call("Add", 1))
      yield* TestSessions.settle
      yield* Fiber.interrupt(caller)
      yield* latch.open
      assert.deepStrictEqual(yield* ref.call("All"), [0])
    }).pipe(provide))

  it.effect("a message that has begun is finished when its caller is interrupted", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const caller = yield* Effect.forkChild(ref.call("AddSlowly", 1))
      yield* TestSessions.settle
      yield* Fiber.interrupt(caller)
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* ref.call("All"), [1])
    }).pipe(provide))

  it.effect("sessions that call each other in a long chain do not overflow the stack", () =>
    Effect.gen(function*() {
      class Link extends Session.Service<Link>()("Link", {
        state: Schema.Int,
        protocol: [Rpc.make("Pass", { payload: Schema.Int, success: Schema.Int })]
      }) {}
      const length = 3_000
      const LinkLayer = Link.toLayer(Effect.gen(function*() {
        return Link.behavior({
          init: () => 0,
          handlers: {
            Pass: ({ payload, self }) =>
              payload === length
                ? Effect.succeed([payload, payload] as const)
                : Effect.gen(function*() {
                  const next = yield* (yield* Link).start(`${Number(self.id) + 1}`)
                  const end = yield* next.call("Pass", payload + 1)
                  return [payload, end] as const
                }).pipe(Effect.provideService(Link, links), Effect.orDie)
          }
        })
      }))
      let links!: Link["Service"]
      yield* Effect.gen(function*() {
        links = yield* Link
        const first = yield* links.start("0")
        assert.strictEqual(yield* first.call("Pass", 0), length)
      }).pipe(Effect.provide(TestSessions.layer(LinkLayer)))
    }))

  it.effect("a session that calls itself fails at once instead of waiting for ever", () =>
    Effect.gen(function*() {
      class Narcissus extends Session.Service<Narcissus>()("Narcissus", {
        state: Schema.Void,
        protocol: [Rpc.make("Look", { success: Schema.String })]
      }) {}
      let narcissus!: Narcissus["Service"]
      const NarcissusLayer = Narcissus.toLayer(Narcissus.behavior({
        init: () => undefined,
        handlers: {
          Look: ({ self }) =>
            Effect.map(Effect.orDie(narcissus.ref(self.id).call("Look")), (it) => [undefined, it] as const)
        }
      }))
      yield* Effect.gen(function*() {
        narcissus = yield* Narcissus
        const error = yield* Effect.flip((yield* narcissus.start("a")).call("Look"))
        assert.strictEqual(error._tag, "SessionCrashed")
        assert.include(error.message, "calls itself")
      }).pipe(Effect.provide(TestSessions.layer(NarcissusLayer)))
    }))
})
