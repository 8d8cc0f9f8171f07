import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Schema, Stream } from "effect"
import { Live, Session } from "effect-sessions"
import { LiveHttp, LiveViews } from "effect-sessions/live"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

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

class Any extends Session.Service<Any>()("Any", {
  state: Schema.Unknown,
  args: Schema.Unknown,
  protocol: [Rpc.make("Set", { payload: Schema.Unknown })]
}) {}

const AnyLayer = Any.toLayer(Any.behavior({
  init: ({ args }) => args,
  handlers: { Set: ({ payload }) => [payload] }
}))

/** What a view with this schema shows of states, one after the other. */
const shows = (schema: Schema.Top, ...states: ReadonlyArray<unknown>): Effect.Effect<Array<any>> => {
  class View extends Live.Service<View>()("View", { kind: Any, views: { all: schema } }) {}
  return Effect.gen(function*() {
    const ref = yield* (yield* Any).start("a", { args: states[0] })
    const views = yield* View
    return yield* Effect.forEach(states, (state) =>
      Effect.gen(function*() {
        yield* ref.call("Set", state)
        const mounted = yield* views.mount(ref, "all", { changed() {}, ended() {} })
        const event = mounted.next()
        return event?._tag === "snapshot" ? event.state : assert.fail("a view begins with a snapshot")
      }))
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Layer.provideMerge(
        LiveViews.layer(View, { select: { all: (state) => state as never } }),
        TestSessions.layer(AnyLayer)
      )
    ),
    Effect.orDie
  )
}

/** There is no -0 in JSON, and no `undefined`. */
const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

describe("What a view shows", () => {
  for (const [name, schema] of Object.entries(schemas) as ReadonlyArray<[string, Schema.Codec<any, any>]>) {
    const whole = Schema.encodeSync(Schema.toCodecJson(schema) as Schema.Codec<any, any>)
    it.effect.prop(
      `is what the schema makes of it: ${name}`,
      [Schema.toType(schema), Schema.toType(schema)],
      ([a, b]) =>
        Effect.map(shows(schema, a, b, a), (shown) => {
          assert.deepStrictEqual(asJson(shown), asJson([whole(a), whole(b), whole(a)]))
        }),
      { arbitrary: { runs: 60 } }
    )
  }

  it.effect("leaves out what the schema does not name, at any depth", () =>
    Effect.gen(function*() {
      const item = { id: 1, name: "tea", cost: 3 }
      const state = { items: [item], one: item, secret: "hush" }
      const [shown] = yield* shows(Schema.Struct({ items: Schema.Array(Item), one: Item }), state)
      assert.deepStrictEqual(shown, { items: [{ id: 1, name: "tea" }], one: { id: 1, name: "tea" } })
      assert.deepStrictEqual(state.items, [item])
    }))

  it.effect("is the very object where that is JSON as it is", () =>
    Effect.gen(function*() {
      const state = { items: [{ id: 1, name: "tea" }], n: null, tags: ["a"] }
      const [shown] = yield* shows(schemas.plain, state)
      assert.strictEqual(shown, state)
    }))

  it.effect("is made anew only where something changed", () =>
    Effect.gen(function*() {
      const items = Array.from({ length: 10 }, (_, id) => ({ id, price: id }))
      const at = new Date(0)
      const [before, after, later] = yield* shows(
        schemas.transformed,
        { items, at },
        { items: items.with(3, { id: 3, price: 30 }), at },
        { items, at: new Date(1) }
      )
      for (let i = 0; i < 10; i++) assert.strictEqual(before.items[i] === after.items[i], i !== 3, `item ${i}`)
      assert.strictEqual(later.items, before.items)
    }))

  it.effect("is what JSON makes of it where the schema says nothing", () =>
    Effect.gen(function*() {
      const plain = { rows: [{ id: 1, tags: ["a"] }], n: null }
      const odd = {
        at: new Date(0),
        not: Number.NaN,
        list: [undefined, () => 1],
        map: new Map([[1, 2]]),
        gone: undefined
      }
      const forms: ReadonlyArray<readonly [Schema.Top, (value: unknown) => unknown]> = [
        [Schema.Any, (value) => value],
        [Schema.Struct({ all: Schema.Any }), (all) => ({ all })],
        [Schema.Tuple([Schema.Any]), (value) => [value]]
      ]
      for (const [schema, within] of forms) {
        const shown = yield* shows(schema, within({ ...plain, odd }), within({ ...plain, odd, n: 1 }))
        assert.deepStrictEqual(shown, [within({ ...plain, odd }), within({ ...plain, odd, n: 1 })].map(asJson))
      }
      const [same] = yield* shows(Schema.Any, plain)
      assert.strictEqual(same, plain)
      const [before, after] = yield* shows(Schema.Any, { odd, n: 1 }, { odd, n: 2 })
      assert.strictEqual(before.odd, after.odd)
    }))

  it.effect("leaves out keys whose value is undefined", () =>
    Effect.gen(function*() {
      const schema = Schema.Struct({ a: Schema.Int, b: Schema.optionalKey(Schema.String) })
      const [shown] = yield* shows(schema, { a: 1, b: undefined })
      assert.deepStrictEqual(shown, { a: 1 })
    }))

  it.effect("takes keys as data", () =>
    Effect.gen(function*() {
      const [shown] = yield* shows(
        Schema.Record(Schema.String, Money),
        JSON.parse("{\"__proto__\": 1, \"constructor\": 2}")
      )
      assert.strictEqual(JSON.stringify(shown), "{\"__proto__\":\"1\",\"constructor\":\"2\"}")
    }))
})

describe("What is no JSON of its schema", () => {
  const cycle: Record<string, unknown> = {}
  cycle["cycle"] = cycle
  let deep: unknown = 1
  for (let i = 0; i < 50_000; i++) deep = { deep }
  const wrong: ReadonlyArray<readonly [string, Schema.Top, unknown]> = [
    ["NaN", Schema.Int, Number.NaN],
    ["Infinity", Schema.Finite, Infinity],
    ["a number in letters", Schema.Int, "1"],
    ["a BigInt", Schema.String, 1n],
    ["a string for a boolean", Schema.Boolean, "true"],
    ["another literal", Schema.Literal("a"), "b"],
    ["undefined for null", Schema.Null, undefined],
    ["a key that is missing", Item, { id: 1 }],
    ["a key that is undefined", Item, { id: 1, name: undefined }],
    ["a number in an object", Item, { id: Number.NaN, name: "tea" }],
    ["no object", Item, 1],
    ["an array for an object", Item, []],
    ["a string for an array", Schema.Array(Schema.String), "tea"],
    ["no array", Schema.Array(Schema.String), undefined],
    ["a BigInt of which the schema says nothing", Schema.Any, { a: [1n] }],
    ["undefined", Schema.Any, undefined],
    ["a function", Schema.Any, () => 1],
    ["a cycle", Schema.Any, cycle],
    ["what nobody can walk through", Schema.Any, deep],
    ["an accessor that throws", Schema.Any, {
      get a() {
        throw new Error("no")
      }
    }],
    ["a toJSON that throws", Schema.Any, {
      toJSON() {
        throw new Error("no")
      }
    }],
    ["the same in a tuple", Schema.Tuple([Schema.Any]), [1n]]
  ]
  for (const [what, schema, state] of wrong) {
    it.effect(`ends its view, and no other: ${what}`, () => {
      class View extends Live.Service<View>()("View", { kind: Any, views: { all: schema, other: Schema.Boolean } }) {}
      return Effect.gen(function*() {
        const ref = yield* (yield* Any).start("a", { args: state })
        const views = yield* View
        const events = yield* Effect.exit(Stream.runCollect(Stream.take(LiveHttp.follow(views, ref, ["all"]), 1)))
        const told = Exit.isSuccess(events) ? Array.from(events.value, ({ event }) => event) : events.cause.reasons
        assert.deepStrictEqual(told, ["failed"])
        const other = yield* views.mount(ref, "other", { changed() {}, ended() {} })
        assert.deepInclude(other.next(), { _tag: "snapshot", state: true })
      }).pipe(
        Effect.scoped,
        Effect.provide(
          Layer.provideMerge(
            LiveViews.layer(View, { select: { all: (state) => state as never, other: () => true } }),
            TestSessions.layer(AnyLayer)
          ).pipe(Layer.provideMerge(Logger.layer([])))
        )
      )
    })
  }
})
