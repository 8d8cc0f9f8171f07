import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Reducer, Store } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"

const counter = Reducer.make("counter", {
  prefix: "counter",
  state: Schema.Int,
  initial: 0,
  actions: { add: Schema.Int, later: Schema.Int, seldom: Schema.Int },
  on: { add: (n, by) => n + by, later: (n, by) => n + by, seldom: (n, by) => n + by },
  debounce: { later: "10ms" },
  throttle: { seldom: "1s" }
})

const all = Reducer.make("all", {
  state: Schema.Array(Schema.String),
  initial: [],
  actions: { "all.clear": Schema.Void },
  on: { "all.clear": () => [] },
  catchAll: (types, { type }) => [...types, type].slice(-3)
})

class Deep extends Store.Service<Deep>()("Deep", { reducers: [counter, all] }) {}

const Act = Schema.Struct({
  how: Schema.Literals(["add", "later", "seldom", "travel", "wait"]),
  n: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 }))
})

describe("a long history", () => {
  it.effect.prop(
    "holds the latest steps, and makes the very state of each of them again",
    [Schema.Array(Act).check(Schema.isMinLength(1), Schema.isMaxLength(250)), Schema.Literals([1, 3, 60, 120])],
    ([acts, limit]) =>
      Effect.gen(function*() {
        const ref = yield* (yield* Deep).start("a")
        const states = new Map<number, unknown>()
        const note = Effect.gen(function*() {
          const current = (yield* Store.history(ref)).find((step) => step.current)
          if (current !== undefined && !states.has(current.version)) states.set(current.version, yield* ref.state)
        })
        for (const { how, n } of acts) {
          if (how === "wait") yield* TestSessions.elapse("10 millis")
          else if (how === "travel") {
            const steps = yield* Store.history(ref)
            if (steps.length > 0) yield* Store.travel(ref, steps[n % steps.length]!.version)
          } else yield* Store.dispatchWait(ref, `counter.${how}`, n)
          yield* note
        }
        const steps = yield* Store.history(ref)
        assert.isAtMost(steps.length, limit)
        const last = steps.at(-1)?.version ?? 0
        assert.deepStrictEqual(steps.map(({ version }) => version), steps.map((_, i) => last - steps.length + 1 + i))
        assert.strictEqual(steps.length, Math.min(limit, last))
        for (const { version } of steps) {
          const state = yield* Store.travel(ref, version)
          if (states.has(version)) assert.deepStrictEqual(state, states.get(version))
        }
      }).pipe(Effect.provide(TestSessions.layer(Deep.toLayer(Store.behavior(Deep, { history: limit }))))),
    { arbitrary: { runs: 60 } }
  )

  it.effect("holds as many steps as configured, however long it grows", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Deep).start("a")
      const counts: Array<number> = [0]
      for (let n = 1; n <= 430; n++) {
        counts.push((yield* Store.dispatchWait(ref, "counter.add", n)).counter)
        if (n % 43 !== 0) continue
        const steps = yield* Store.history(ref)
        assert.strictEqual(steps.length, Math.min(n, 100))
        for (const { version } of steps) {
          assert.strictEqual((yield* Store.look(ref, version)).counter, counts[version])
        }
        if (n > 100) assert.strictEqual((yield* Effect.flip(Store.look(ref, n - 100)))._tag, "VersionGone")
      }
    }).pipe(Effect.provide(TestSessions.layer(Deep.toLayer(Store.behavior(Deep, { history: 100 }))))))
})
