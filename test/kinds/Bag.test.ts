import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { Bag, SessionError, Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"

const test = Effect.provide(TestSessions.layer(Bag.layer()))

describe("Bag", () => {
  it.effect("puts a value and answers the one before it", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada")
      assert.isUndefined(yield* bag.call("Put", { key: "theme", value: "dark" }))
      assert.strictEqual(yield* bag.call("Put", { key: "theme", value: "light" }), "dark")
      assert.strictEqual(yield* bag.call("Get", "theme"), "light")
    })))

  it.effect("answers undefined for what is not in it", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada")
      assert.isUndefined(yield* bag.call("Get", "theme"))
      assert.isUndefined(yield* bag.call("Delete", "theme"))
      assert.deepStrictEqual(yield* bag.call("All"), {})
    })))

  it.effect("merges several values at once, over those it has", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada", { args: { a: 1, b: 2 } })
      yield* bag.call("Merge", { b: 20, c: 30 })
      assert.deepStrictEqual(yield* bag.call("All"), { a: 1, b: 20, c: 30 })
    })))

  it.effect("takes a value out and answers it", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada", { args: { a: 1, b: undefined } })
      assert.strictEqual(yield* bag.call("Delete", "a"), 1)
      assert.isUndefined(yield* bag.call("Delete", "a"))
      assert.deepStrictEqual(yield* bag.call("All"), { b: undefined })
      yield* bag.call("Delete", "b")
      assert.deepStrictEqual(yield* bag.call("All"), {})
    })))

  it.effect("begins with its arguments, which it does not change", () =>
    test(Effect.gen(function*() {
      const args = { a: 1 }
      const bag = yield* (yield* Bag).start("ada", { args })
      yield* bag.call("Put", { key: "a", value: 2 })
      assert.deepStrictEqual(args, { a: 1 })
    })))

  it.effect("has no change when nothing is taken out or read", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada", { args: { a: 1 } })
      yield* bag.call("Get", "a")
      yield* bag.call("All")
      yield* bag.call("Delete", "b")
      assert.strictEqual((yield* bag.info).version, 0)
      yield* bag.call("Delete", "a")
      assert.strictEqual((yield* bag.info).version, 1)
    })))

  it.effect("gives a state that later messages do not change", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada", { args: { a: 1 } })
      const before = yield* bag.call("All")
      yield* bag.call("Put", { key: "a", value: 2 })
      yield* bag.call("Merge", { b: 3 })
      yield* bag.call("Delete", "a")
      assert.deepStrictEqual(before, { a: 1 })
    })))

  const reserved = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", ""]

  it.effect.each(reserved)("takes %j for a key like any other", (key) =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada")
      assert.isUndefined(yield* bag.call("Get", key))
      assert.isUndefined(yield* bag.call("Delete", key))
      const value = { polluted: true }
      assert.isUndefined(yield* bag.call("Put", { key, value }))
      assert.strictEqual(yield* bag.call("Get", key), value)
      const all = yield* bag.call("All")
      assert.deepStrictEqual(Object.keys(all), [key])
      assert.strictEqual(Object.getPrototypeOf(all), Object.prototype)
      assert.isUndefined(yield* bag.call("Get", "polluted"))
      assert.strictEqual(yield* bag.call("Delete", key), value)
      assert.deepStrictEqual(Object.keys(yield* bag.call("All")), [])
      assert.notProperty({}, "polluted")
    })))

  it.effect("takes reserved keys from arguments and merges too", () =>
    test(Effect.gen(function*() {
      const values = JSON.parse("{\"__proto__\":{\"polluted\":1},\"constructor\":2,\"a\":3}")
      const typed = yield* (yield* Bag).start("typed", { args: values })
      yield* (yield* Sessions).start("named", { args: values })
      const named = yield* (yield* Bag).get("named")
      const merged = yield* (yield* Bag).start("merged")
      yield* merged.call("Merge", values)
      for (const bag of [typed, named, merged]) {
        const all = yield* bag.call("All")
        assert.sameMembers(Object.keys(all), ["__proto__", "constructor", "a"])
        assert.strictEqual(Object.getPrototypeOf(all), Object.prototype)
        assert.isUndefined(yield* bag.call("Get", "polluted"))
      }
    })))

  it.effect.prop(
    "agrees with a Map, whatever is done with it",
    [Schema.Array(Schema.Struct({
      do: Schema.Literals(["Put", "Delete", "Get", "Merge"]),
      key: Schema.Literals(["a", "b", "__proto__", "toString"]),
      value: Schema.Int
    }))],
    ([steps]) =>
      test(Effect.gen(function*() {
        const bag = yield* (yield* Bag).start("ada")
        const map = new Map<string, number>()
        for (const { do: what, key, value } of steps) {
          const before = map.get(key)
          switch (what) {
            case "Put":
              assert.strictEqual(yield* bag.call("Put", { key, value }), before)
              map.set(key, value)
              break
            case "Delete":
              assert.strictEqual(yield* bag.call("Delete", key), before)
              map.delete(key)
              break
            case "Get":
              assert.strictEqual(yield* bag.call("Get", key), before)
              break
            case "Merge":
              yield* bag.call("Merge", { [key]: value })
              map.set(key, value)
          }
          assert.deepStrictEqual(new Map(Object.entries(yield* bag.call("All"))), map)
        }
      })),
    { arbitrary: { runs: 50 } }
  )
})

describe("Bag as the default kind", () => {
  it.effect("is what Sessions.start starts when no kind is named", () =>
    test(Effect.gen(function*() {
      const ref = yield* (yield* Sessions).start("ada", { args: { a: 1 } })
      assert.strictEqual(ref.kind, "Bag")
      assert.strictEqual(yield* (yield* (yield* Bag).get("ada")).call("Get", "a"), 1)
    })))

  it.effect("takes only a record for its arguments", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      for (const args of [1, "text", null, () => {}]) {
        const error = yield* Effect.flip(sessions.start("ada", { args }))
        assert.instanceOf(error, SessionError.InvalidMessage)
      }
    })))

  it.effect("is missed by name when its Layer is not there", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip((yield* Sessions).start("ada"))
      assert.instanceOf(error, SessionError.UnknownKind)
      assert.include(error.message, "\"Bag\"")
    }).pipe(Effect.provide(Sessions.layer())))
})

describe("Bag.layer", () => {
  it.effect("takes the options of a kind", () =>
    Effect.gen(function*() {
      yield* (yield* Bag).start("ada")
      yield* TestSessions.elapse("1 minute")
      assert.isFalse(yield* (yield* Bag).has("ada"))
    }).pipe(Effect.provide(TestSessions.layer(Bag.layer({ idleTimeout: "1 minute" })))))
})
