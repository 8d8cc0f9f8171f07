// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
/** Operations on single keys that become one statement. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { batched } from "../../src/edge/snapshots/internal/batches.ts"

const keys = (count: number) => Array.from({ length: count }, (_, i) => ({ kind: "Cart", id: `${i}` }))

const asked = () => {
  const batches: Array<ReadonlyArray<string>> = []
  const run = (all: ReadonlyArray<{ readonly id: string }>) => {
    batches.push(all.map(({ id }) => id))
    return all.some(({ id }) => id === "bad")
      ? Effect.fail("bad row")
      : all.some(({ id }) => id === "down")
      ? Effect.fail("down")
      : Effect.succeed(all.map(({ id }) => `of ${id}`))
  }
  return { batches, operation: batched(run, (error: string) => error === "bad row") }
}

const all = { concurrency: "unbounded" } as const

describe("batched", () => {
  it.effect("does what is asked in one turn at once, in parts of at most 64, and gives each its own result", () =>
    Effect.gen(function*() {
      const { batches, operation } = asked()
      const results = yield* Effect.forEach(keys(100), operation, all)
      assert.deepStrictEqual(results, keys(100).map(({ id }) => `of ${id}`))
      assert.deepStrictEqual(batches.map(({ length }) => length), [64, 36])
      yield* Effect.forEach(keys(2), operation)
      assert.deepStrictEqual(batches.slice(2), [["0"], ["1"]])
    }))

  it.effect("does not name a key twice in one statement", () =>
    Effect.gen(function*() {
      const { batches, operation } = asked()
      yield* Effect.forEach(["a", "b", "a", "a"], (id) => operation({ kind: "Cart", id }), all)
      assert.deepStrictEqual(batches, [["a", "b"], ["a"], ["a"]])
    }))

  it.effect("fails only those whose own data is at fault", () =>
    Effect.gen(function*() {
      const { batches, operation } = asked()
      const exits = yield* Effect.forEach(
        ["a", "bad", "b"],
        (id) => Effect.exit(operation({ kind: "Cart", id })),
        all
      )
      assert.deepStrictEqual(exits, [Exit.succeed("of a"), Exit.fail("bad row"), Exit.succeed("of b")])
      assert.deepStrictEqual(batches, [["a", "bad", "b"], ["a"], ["bad"], ["b"]])
    }))

  it.effect("fails all, without trying again, when the store fails", () =>
    Effect.gen(function*() {
      const { batches, operation } = asked()
      const exits = yield* Effect.forEach(["a", "down"], (id) => Effect.exit(operation({ kind: "Cart", id })), all)
      assert.deepStrictEqual(exits, [Exit.fail("down"), Exit.fail("down")])
      assert.strictEqual(batches.length, 1)
    }))

  it.effect("goes on for the others when one caller is interrupted", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const answer = yield* Deferred.make<ReadonlyArray<string>>()
      const operation = batched(
        () => Effect.andThen(Deferred.succeed(begun, undefined), Deferred.await(answer)),
        () => false
      )
      const [first, second] = yield* Effect.forEach(keys(2), (key) => Effect.forkChild(operation(key)))
      yield* Deferred.await(begun)
      yield* Fiber.interrupt(first!)
      yield* Deferred.succeed(answer, ["one", "two"])
      assert.strictEqual(yield* Fiber.join(second!), "two")
    }))
})
