import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Bag, BagError, SessionError, Sessions } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
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
      const bag = yield* (yield* Bag).start("ada", { args: { a: 1, b: null } })
      assert.strictEqual(yield* bag.call("Delete", "a"), 1)
      assert.isUndefined(yield* bag.call("Delete", "a"))
      assert.deepStrictEqual(yield* bag.call("All"), { b: null })
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
      assert.deepStrictEqual(yield* bag.call("Get", key), value)
      const all = yield* bag.call("All")
      assert.deepStrictEqual(Object.keys(all), [key])
      assert.strictEqual(Object.getPrototypeOf(all), Object.prototype)
      assert.isUndefined(yield* bag.call("Get", "polluted"))
      assert.deepStrictEqual(yield* bag.call("Delete", key), value)
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
              map.set(key, value === 0 ? 0 : value)
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
              map.set(key, value === 0 ? 0 : value)
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

describe("what is put into a bag", () => {
  class Thing {
    readonly a = 1
  }
  const circular: Record<string, unknown> = {}
  circular["self"] = [circular]
  const deep = (levels: number): unknown => levels === 0 ? 1 : [deep(levels - 1)]
  const unfit: Record<string, unknown> = {
    date: new Date(5),
    "invalid date": new Date(NaN),
    map: new Map([[1, 2]]),
    set: new Set([1]),
    bigint: 1n,
    nan: NaN,
    infinity: -Infinity,
    undefined,
    function: () => 1,
    symbol: Symbol.for("x"),
    bytes: new Uint8Array([1]),
    error: new Error("e"),
    "regular expression": /a/g,
    url: new URL("http://x/"),
    instance: new Thing(),
    "object with toJSON": { toJSON: () => "x" },
    "sparse array": [1, , 3], // oxlint-disable-line no-sparse-arrays
    "undefined in an array": [undefined],
    circular,
    deep: deep(100),
    "very deep": deep(5_000),
    nested: { a: [1, { b: 2n }] }
  }

  const kept = Bag.layer({ snapshots: { save: "everyChange" } })

  for (const [name, value] of Object.entries(unfit)) {
    it.effect(`is refused when JSON has it not: ${name}`, () =>
      Effect.gen(function*() {
        const bags = yield* Bag
        const bag = yield* bags.start("ada")
        yield* bag.call("Put", { key: "keep", value: 1 })
        const refused = [
          bag.call("Put", { key: "v", value }),
          bag.call("Merge", { a: 1, v: value }),
          bags.start("bob", { args: { v: value } })
        ]
        for (const effect of refused) {
          const error: unknown = yield* Effect.flip(effect as Effect.Effect<unknown, unknown>)
          assert.instanceOf(error, BagError.InvalidValue)
          assert.include(error.message, `"v" cannot be put into a bag: value`)
          assert.isFalse(error.retrySafe)
        }
        assert.deepStrictEqual(yield* bag.call("All"), { keep: 1 })
        assert.isFalse(yield* bags.has("bob"))
      }).pipe(Effect.provide(TestSessions.layer(Layer.provide(kept, MemoryStore.layer)))))
  }

  it.effect("is restored from a store as it was before", () => {
    const values = {
      text: "a\u0000b\uFEFF\ud800",
      number: -1.5e300,
      "negative zero": -0,
      nested: { a: [1, { b: null }], c: undefined, zero: -0 },
      deep: deep(60),
      empty: {},
      bare: Object.assign(Object.create(null), { a: 1 }),
      "": "no name",
      ["__proto__"]: { polluted: true },
      constructor: 2,
      proto: JSON.parse(`{"__proto__":{"x":1}}`)
    }
    const process = <A, E>(use: Effect.Effect<A, E, Bag>) => Effect.provide(use, TestSessions.layer(kept))
    const all = Effect.flatMap(Bag, (bags) => Effect.flatMap(bags.start("ada"), (bag) => bag.call("All")))
    return Effect.gen(function*() {
      const before = yield* process(Effect.gen(function*() {
        const bag = yield* (yield* Bag).start("ada", { args: { first: -0 } })
        for (const [key, value] of Object.entries(values)) yield* bag.call("Put", { key, value })
        yield* bag.call("Merge", { more: [{ a: undefined }] })
        return yield* all
      }))
      const after = yield* process(all)
      assert.deepStrictEqual(after, before)
      assert.deepStrictEqual(Object.keys(after), ["first", ...Object.keys(values), "more"])
      assert.isTrue(Object.is(after["negative zero"], 0) && Object.is(before["negative zero"], 0))
      assert.deepStrictEqual(before["more"], [{}])
      assert.isUndefined(({} as { polluted?: boolean }).polluted)
    }).pipe(Effect.provide(MemoryStore.layer))
  })

  it.effect("is a copy: who put it in may change what it has", () =>
    test(Effect.gen(function*() {
      const bag = yield* (yield* Bag).start("ada")
      const value: { list: Array<unknown> } = { list: [1] }
      yield* bag.call("Put", { key: "v", value })
      value.list.push(2n)
      assert.deepStrictEqual(yield* bag.call("Get", "v"), { list: [1] })
    })))
})
