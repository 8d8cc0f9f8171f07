import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schema, Stream } from "effect"
import { Session, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

class Boom extends Schema.TaggedError<Boom>()("Boom", { why: Schema.String }) {}
class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Struct({ n: Schema.Int }),
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }),
    Rpc.make("Slow", { payload: Schema.Int, success: Schema.Int, error: Boom }),
    Rpc.make("Die"),
    Rpc.make("DieSlow")
  ]
}) {}
const CounterLayer = Counter.toLayer(
  Counter.behavior({
    init: () => ({ n: 0 }),
    handlers: {
      Add: ({ payload, state }) => [{ n: state.n + payload }, state.n + payload],
      Slow: Effect.fnUntraced(function*({ payload, state }) {
        if (payload < 0) return yield* new Boom({ why: "negative" })
        yield* Effect.sleep("1 second")
        return [{ n: state.n + payload }, state.n + payload]
      }),
      Die: () => {
        throw new Error("dead")
      },
      DieSlow: () => Effect.andThen(Effect.sleep("1 second"), Effect.die("dead"))
    },
    end: ({ reason }) => Effect.log(reason._tag)
  }),
  { supervision: Supervision.resume() }
)

describe("smoke", () => {
  it.effect("works", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ref = yield* counters.start("a")
      assert.strictEqual(yield* ref.call("Add", 2), 2)
      yield* ref.cast("Add", 3)
      assert.strictEqual((yield* ref.state).n, 5)
      const f = yield* Effect.forkChild(Stream.runCollect(Stream.take(ref.changes((s) => s.n), 3)))
      yield* TestSessions.settle
      const slow = yield* Effect.forkChild(ref.call("Slow", 1))
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      assert.strictEqual(yield* Fiber.join(slow), 6)
      yield* TestSessions.settle
      const e = yield* Effect.flip(ref.call("Die"))
      assert.strictEqual(e._tag, "SessionCrashed")
      const b = yield* Effect.flip(ref.call("Slow", -1))
      assert.strictEqual(b._tag, "Boom")
      yield* ref.call("Add", 1)
      assert.deepStrictEqual(yield* Fiber.join(f), [5, 6, 7])
      const ds = yield* Effect.forkChild(Effect.flip(ref.call("DieSlow")))
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      assert.strictEqual((yield* Fiber.join(ds))._tag, "SessionCrashed")
      yield* TestSessions.elapse("1 hour")
      assert.isFalse(yield* counters.has("a"))
      const r = yield* TestSessions.Recorder
      assert.deepStrictEqual((yield* r.of("Stop")).map((e) => e.reason), [{ _tag: "Expired", limit: "idle" }])
    }).pipe(Effect.provide(TestSessions.layer(CounterLayer))))
})
