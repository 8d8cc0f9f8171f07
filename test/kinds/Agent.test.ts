import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Schema } from "effect"
import { Agent, SessionError, Supervision } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"

class Counter extends Agent.Service<Counter>()("Counter", { state: Schema.Int }) {}
class Todo extends Agent.Service<Todo>()("Todo", { state: Schema.Array(Schema.String) }) {}

const test = Effect.provide(TestSessions.layer(Layer.mergeAll(
  Counter.toLayer(Agent.behavior(Counter, () => 0), {
    supervision: Supervision.resume({ maxCrashes: 1_000, backoff: () => 0 })
  }),
  Todo.toLayer(Agent.behavior(Todo, (id) => [`call ${id}`]))
)))

describe("Agent", () => {
  it.effect("begins with the state that its behavior makes of the id", () =>
    test(Effect.gen(function*() {
      const todo = yield* (yield* Todo).start("ada")
      assert.deepStrictEqual(yield* Agent.get(todo, (items) => items), ["call ada"])
    })))

  it.effect("gets a part of the state and changes nothing", () =>
    test(Effect.gen(function*() {
      const todo = yield* (yield* Todo).start("ada")
      assert.strictEqual(yield* Agent.get(todo, (items) => items.length), 1)
      assert.strictEqual((yield* todo.info).version, 0)
    })))

  it.effect("updates the state with a function", () =>
    test(Effect.gen(function*() {
      const counter = yield* (yield* Counter).start("a")
      assert.isUndefined(yield* Agent.update(counter, (n) => n + 5))
      yield* Agent.update(counter, (n) => n * 2)
      assert.strictEqual(yield* counter.state, 10)
    })))

  it.effect("modifies the state and gives what else the function answers", () =>
    test(Effect.gen(function*() {
      const todo = yield* (yield* Todo).start("ada")
      const taken = yield* Agent.modify(todo, ([first, ...rest]) => [first, rest])
      assert.strictEqual(taken, "call ada")
      assert.deepStrictEqual(yield* todo.state, [])
    })))

  it.effect("runs functions in the order in which they were sent, one at a time", () =>
    test(Effect.gen(function*() {
      const todo = yield* (yield* Todo).start("ada")
      const order: Array<string> = []
      for (let i = 0; i < 20; i++) {
        yield* todo.cast("Modify", (items: ReadonlyArray<string>) => {
          order.push(`in ${i}`)
          const next = [...items, String(i)]
          order.push(`out ${i}`)
          return [undefined, next]
        })
      }
      const seen = yield* Agent.get(todo, (items) => items)
      assert.deepStrictEqual(seen.slice(1), Array.from({ length: 20 }, (_, i) => String(i)))
      assert.deepStrictEqual(order, Array.from({ length: 20 }, (_, i) => [`in ${i}`, `out ${i}`]).flat())
    })))

  it.effect("loses none of many concurrent updates", () =>
    test(Effect.gen(function*() {
      const counter = yield* (yield* Counter).start("a")
      const updates = Array.from({ length: 500 }, (_, i) => Effect.andThen(Effect.yieldNow, add(counter, i)))
      yield* Effect.all(updates, { concurrency: "unbounded", discard: true })
      assert.strictEqual(yield* counter.state, 500 * 499 / 2)
    })))

  const add = (counter: Agent.Ref<number>, by: number) => Agent.update(counter, (n) => n + by)

  it.effect("leaves the state as it was when a function throws, and answers SessionCrashed", () =>
    test(Effect.gen(function*() {
      const counter = yield* (yield* Counter).start("a")
      yield* Agent.update(counter, () => 7)
      const throwing = () => {
        throw new Error("a bad function")
      }
      for (
        const operation of [
          Agent.get(counter, throwing),
          Agent.update(counter, throwing),
          Agent.modify(counter, throwing)
        ]
      ) {
        const error = yield* Effect.flip(operation)
        assert.instanceOf(error, SessionError.SessionCrashed)
        assert.include(error.message, "a bad function")
      }
      assert.strictEqual(yield* Agent.get(counter, (n) => n), 7)
      const letters = yield* TestSessions.deadLetters
      assert.strictEqual(letters.length, 3)
      const { reason } = letters[0]!
      assert(reason._tag === "Crashed")
      assert.strictEqual((Cause.squash(reason.cause) as Error).message, "a bad function")
    })))

  it.effect("crashes if a function returns no pair, and keeps its state", () =>
    test(Effect.gen(function*() {
      const counter = yield* (yield* Counter).start("a")
      const error = yield* Effect.flip(Agent.modify(counter, (() => 5) as never))
      assert.strictEqual(error._tag, "SessionCrashed")
      assert.strictEqual(yield* counter.state, 0)
    })))

  it.effect("does not run the function of a caller that has gone before it began", () =>
    test(Effect.gen(function*() {
      const todo = yield* (yield* Todo).start("ada")
      const dies = Agent.update(todo, () => {
        throw new Error("a bad function")
      })
      // The second crash makes it pause, so that functions have to wait.
      yield* Effect.flip(dies)
      yield* Effect.flip(dies)
      const push = (item: string) => Agent.update(todo, (items) => [...items, item])
      const caller = yield* Effect.forkChild(push("of one who left"))
      const other = yield* Effect.forkChild(push("of one who waits"))
      yield* TestSessions.settle
      assert.strictEqual((yield* todo.info).mailbox, 2)
      yield* Fiber.interrupt(caller)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(other)
      assert.deepStrictEqual(yield* todo.state, ["call ada", "of one who waits"])
    })))

  it.effect("fails with SessionNotFound where nothing lives", () =>
    test(Effect.gen(function*() {
      const counters = yield* Counter
      const exit = yield* Effect.exit(add(counters.ref("nobody"), 1))
      assert.deepStrictEqual(exit, Exit.fail(SessionError.SessionNotFound.of("Counter", "nobody")))
    })))
})

describe("a function that gives a state that does not fit the schema", () => {
  const wrong: ReadonlyArray<any> = [1.5, NaN, undefined, null, "1", 1n]
  for (const state of wrong) {
    it.effect(`leaves the state as it was: ${String(state)}`, () =>
      Effect.gen(function*() {
        const counter = yield* (yield* Counter).start("ada")
        yield* Agent.update(counter, () => 7)
        const error = yield* Effect.flip(Agent.update(counter, () => state))
        assert.strictEqual(error._tag, "SessionCrashed")
        assert.include(error.message, "the state of an agent Counter does not fit")
        assert.strictEqual(yield* Agent.get(counter, (n) => n), 7)
      }).pipe(Effect.provide(TestSessions.layer(Counter.toLayer(Agent.behavior(Counter, () => 0))))))
  }
})

describe("a state without a JSON form", () => {
  class Note extends Agent.Service<Note>()("Note", { state: Schema.Struct({ by: Schema.Any }) }) {}
  const behavior = Agent.behavior(Note, (id) => ({ by: id === "odd" ? new Map() : id }))
  const plain = Note.toLayer(behavior)
  const snapshots = { save: "everyChange" as const }
  const provide = (layer: typeof plain) =>
    Effect.provide(TestSessions.layer(layer).pipe(Layer.provide(Layer.fresh(MemoryStore.layer))))

  for (
    const [made, layer] of [
      ["itself", Note.toLayer(behavior, { snapshots })],
      ["by an Effect", Note.toLayer(Effect.succeed(behavior), { snapshots })]
    ] as const
  ) {
    it.effect(`is refused when the kind has snapshots: the behavior is given ${made}`, () =>
      Effect.gen(function*() {
        const note = yield* (yield* Note).start("ada")
        yield* Agent.update(note, () => ({ by: "bob" }))
        const error = yield* Effect.flip(Agent.update(note, () => ({ by: 1n })))
        assert.strictEqual(error._tag, "SessionCrashed")
        assert.include(error.message, "the state of an agent Note does not fit")
        assert.deepStrictEqual(yield* note.state, { by: "bob" })
        assert.strictEqual((yield* Effect.flip((yield* Note).start("odd")))._tag, "StartFailed")
      }).pipe(provide(layer)))
  }

  it.effect("is a state like any other when the kind has none", () =>
    Effect.gen(function*() {
      const note = yield* (yield* Note).start("odd")
      yield* Agent.update(note, () => ({ by: 1n }))
      assert.deepStrictEqual(yield* note.state, { by: 1n })
    }).pipe(provide(plain)))
})
