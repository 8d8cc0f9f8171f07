import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { encoder } from "../../src/edge/live/internal/encoder.ts"

const Money = Schema.FiniteFromString

class Point extends Schema.Class<Point>("Point")({ x: Schema.Int, at: Schema.DateFromString }) {}

const Renamed = Schema.Struct({ a: Schema.Int }).pipe(Schema.encodeKeys({ a: "b" }))

const Item = Schema.Struct({ id: Schema.Int, name: Schema.String })

/** Every form of schema that a view may have, with what else it may hold. */
const schemas = {
  plain: Schema.Struct({ items: Schema.Array(Item), n: Schema.NullOr(Schema.Int), tags: Schema.Array(Schema.String) }),
  transformed: Schema.Struct({ items: Schema.Array(Schema.Struct({ id: Schema.Int, price: Money })), at: Schema.Date }),
  optional: Schema.Struct({ a: Schema.optional(Schema.Int), b: Schema.optionalKey(Item), c: Schema.UndefinedOr(Item) }),
  defaults: Schema.Struct({
    a: Schema.Int.pipe(Schema.withDecodingDefaultKey(Effect.succeed(1))),
    items: Schema.Array(Item)
  }),
  record: Schema.Record(Schema.String, Schema.Struct({ stock: Schema.Int, price: Money })),
  mixed: Schema.StructWithRest(Schema.Struct({ a: Schema.Int }), [Schema.Record(Schema.String, Schema.Int)]),
  union: Schema.Union([Schema.TaggedStruct("A", { item: Item }), Schema.TaggedStruct("B", { price: Money })]),
  tuple: Schema.Tuple([Schema.Int, Item]),
  classes: Schema.Array(Point),
  renamed: Schema.Struct({ inner: Renamed, items: Schema.Array(Renamed) }),
  number: Schema.Number,
  bigint: Schema.Struct({ big: Schema.BigInt }),
  option: Schema.Struct({ one: Schema.Option(Item), items: Schema.Array(Item) }),
  map: Schema.ReadonlyMap(Schema.String, Item)
}

describe("the encoder of views", () => {
  for (const [name, schema] of Object.entries(schemas) as ReadonlyArray<[string, Schema.Codec<any, any>]>) {
    const encode = encoder(schema)
    const whole = Schema.encodeSync(Schema.toCodecJson(schema) as Schema.Codec<any, any>)
    it.prop(`gives what the schema gives: ${name}`, [Schema.toType(schema)], ([value]) => {
      assert.deepStrictEqual(encode(value), whole(value))
      // What it remembers is the same.
      assert.deepStrictEqual(encode(value), whole(value))
    }, { arbitrary: { runs: 300 } })
  }

  it("leaves out what the schema does not name, at any depth", () => {
    const encode = encoder(Schema.Struct({ items: Schema.Array(Item), one: Item }))
    const item = { id: 1, name: "tea", cost: 3 }
    const state = { items: [item], one: item, secret: "hush" }
    assert.deepStrictEqual(encode(state), { items: [{ id: 1, name: "tea" }], one: { id: 1, name: "tea" } })
    assert.deepStrictEqual(state.items, [item])
  })

  it("keeps the very objects that are JSON as they are", () => {
    const encode = encoder(schemas.plain)
    const state = { items: [{ id: 1, name: "tea" }], n: null, tags: ["a"] }
    assert.strictEqual(encode(state), state)
  })

  it("makes anew only what changed", () => {
    const encode = encoder(schemas.transformed)
    const items = Array.from({ length: 10 }, (_, id) => ({ id, price: id }))
    const before = encode({ items, at: new Date(0) })
    const after = encode({ items: items.with(3, { id: 3, price: 30 }), at: new Date(0) })
    for (let i = 0; i < 10; i++) assert.strictEqual(before.items[i] === after.items[i], i !== 3, `item ${i}`)
    assert.strictEqual(encode({ items, at: new Date(1) }).items, before.items)
  })

  it("takes keys as data", () => {
    const encode = encoder(Schema.Record(Schema.String, Money))
    const state = JSON.parse("{\"__proto__\": 1, \"constructor\": 2}")
    const json = encode(state)
    assert.deepStrictEqual(Object.keys(json), ["__proto__", "constructor"])
    assert.strictEqual(JSON.stringify(json), "{\"__proto__\":\"1\",\"constructor\":\"2\"}")
  })
})
