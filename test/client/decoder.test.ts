// oxlint-disable no-restricted-imports -- the module is internal: the views of the client use it
import { assert, describe, it } from "@effect/vitest"
import { Option, Result, Schema } from "effect"
import { Decoder } from "../../src/client/internal/Decoder.ts"
import * as JsonPatch from "../../src/contract/JsonPatch.ts"

type Json = Schema.Json

/** A schema, values of it, and edits of them that share what they do not touch. */
interface Kind {
  readonly schema: Schema.Codec<any, any>
  readonly make: () => any
  readonly edit: (value: any) => any
}

class Point extends Schema.Class<Point>("Point")({ x: Schema.Int, tags: Schema.Array(Schema.String) }) {}

interface Tree {
  readonly id: number
  readonly children: ReadonlyArray<Tree>
}
const Tree: Schema.Codec<Tree> = Schema.Struct({
  id: Schema.Int,
  children: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})

const Circle = Schema.TaggedStruct("Circle", { r: Schema.Finite, at: Schema.Array(Schema.Finite) })
const Square = Schema.TaggedStruct("Square", { side: Schema.Finite })

/** Reads kinds and values off a tape of numbers. */
const reader = (tape: ReadonlyArray<number>) => {
  let at = 0
  const next = (below: number) => (tape[at++ % tape.length] ?? 0) % below
  const int = () => next(5)
  const text = () => ["", "a", "b", "toString", "x".repeat(20)][next(5)]!
  const leaf = (schema: Schema.Codec<any, any>, make: () => any): Kind => ({ schema, make, edit: make })
  const array = (item: Kind, schema: Schema.Codec<any, any>, least = 0): Kind => ({
    schema,
    make: () => Array.from({ length: least + next(6) }, item.make),
    edit: (items: ReadonlyArray<any>) => {
      const copy = items.slice()
      for (let edits = next(4); edits > 0; edits--) {
        const i = next(copy.length + 1)
        const what = next(5)
        if (what === 0) copy.splice(i, 0, item.make())
        else if (what === 1 && copy.length > least) copy.splice(i, 1)
        else if (what === 2 && i < copy.length) copy.splice(next(copy.length), 0, ...copy.splice(i, 1))
        else if (i < copy.length) copy[i] = item.edit(copy[i])
      }
      return copy
    }
  })
  const struct = (
    fields: Record<string, Kind>,
    optional: ReadonlyArray<string>,
    schema: Schema.Codec<any, any>
  ): Kind => ({
    schema,
    make: () =>
      Object.fromEntries(
        Object.entries(fields).flatMap(([name, { make }]) =>
          optional.includes(name) && next(2) === 0 ? [] : [[name, make()]]
        )
      ),
    edit: (value) => {
      const copy = { ...value }
      for (const [name, { edit, make }] of Object.entries(fields)) {
        const what = next(4)
        if (what === 0 && optional.includes(name)) delete copy[name]
        else if (what === 1) copy[name] = Object.hasOwn(copy, name) ? edit(copy[name]) : make()
      }
      return copy
    }
  })
  const kind = (depth: number): Kind => {
    const what = depth === 0 ? next(9) : next(23)
    switch (what) {
      case 0:
        return leaf(Schema.Int, int)
      case 1:
        return leaf(Schema.String, text)
      case 2:
        return leaf(Schema.Boolean, () => next(2) === 0)
      case 3:
        return leaf(Schema.Date, () => new Date(next(5)))
      case 4:
        return leaf(Schema.Literals(["a", "b"]), () => ["a", "b"][next(2)])
      case 5:
        return leaf(Schema.Number, () => [0, 1.5, NaN, Infinity][next(4)])
      case 6:
        return leaf(Schema.NumberFromString, int)
      case 7:
        return leaf(Schema.BigInt, () => BigInt(next(5)))
      case 8:
        return leaf(Schema.Option(Schema.Int), () => next(2) === 0 ? Option.none() : Option.some(int()))
      case 9: {
        const item = kind(depth - 1)
        return array(item, Schema.Array(item.schema))
      }
      case 10:
      case 11: {
        const v = kind(depth - 1)
        const item = struct(
          { id: leaf(Schema.Int, () => next(50)), v },
          [],
          Schema.Struct({ id: Schema.Int, v: v.schema })
        )
        return array(item, Schema.Array(item.schema))
      }
      case 12: {
        const [a, b, c] = [kind(depth - 1), kind(depth - 1), kind(depth - 1)]
        return struct(
          { a, b, c },
          ["b"],
          Schema.Struct({ a: a.schema, b: Schema.optionalKey(b.schema), c: c.schema })
        )
      }
      case 13: {
        const value = kind(depth - 1)
        const fields = Object.fromEntries(["a", "b", "10", "2", "constructor"].map((key) => [key, value]))
        return struct(fields, Object.keys(fields), Schema.Record(Schema.String, value.schema))
      }
      case 14: {
        const [a, b] = [kind(depth - 1), kind(depth - 1)]
        return {
          schema: Schema.Tuple([a.schema, b.schema]),
          make: () => [a.make(), b.make()],
          edit: ([x, y]) => next(2) === 0 ? [a.edit(x), y] : [x, b.edit(y)]
        }
      }
      case 15: {
        const [a, b] = [kind(depth - 1), kind(depth - 1)]
        const rest = array(b, Schema.Array(b.schema))
        return {
          schema: Schema.TupleWithRest(Schema.Tuple([a.schema]), [b.schema]),
          make: () => [a.make(), ...rest.make()],
          edit: ([x, ...more]) => next(2) === 0 ? [a.edit(x), ...more] : [x, ...rest.edit(more)]
        }
      }
      case 16: {
        const it = kind(depth - 1)
        return {
          schema: Schema.NullOr(it.schema),
          make: () => next(3) === 0 ? null : it.make(),
          edit: (value) => value === null ? it.make() : next(4) === 0 ? null : it.edit(value)
        }
      }
      case 17: {
        const [a, b] = [kind(depth - 1), kind(depth - 1)]
        return struct({ a, b }, ["b"], Schema.Struct({ a: a.schema, b: Schema.optional(b.schema) }))
      }
      case 18:
        return leaf(
          Schema.Array(Point),
          () => Array.from({ length: next(4) }, () => new Point({ x: int(), tags: [text()] }))
        )
      case 19: {
        const item = kind(depth - 1)
        return array(item, Schema.Array(item.schema).check(Schema.isMinLength(1)), 1)
      }
      case 20: {
        const make = () => next(2) === 0 ? Circle.make({ r: int(), at: [int(), int()] }) : Square.make({ side: int() })
        const shape = leaf(Schema.Union([Circle, Square]), make)
        return array(shape, Schema.Array(shape.schema))
      }
      case 21:
        return leaf(Schema.Union([Schema.Date, Schema.String]), () => next(2) === 0 ? text() : new Date(next(5)))
      default: {
        const tree = (depth: number): Tree => ({
          id: int(),
          children: depth === 0 ? [] : Array.from({ length: next(3) }, () => tree(depth - 1))
        })
        return leaf(Tree, () => tree(3))
      }
    }
  }
  /** The JSON with one of its parts replaced by anything. */
  const spoil = (json: Json): Json => {
    const parts = typeof json === "object" && json !== null ? Object.keys(json) : []
    if (parts.length === 0 || next(3) === 0) return [null, -1.5, "?", [], {}, [null], { id: [] }, true][next(8)] as Json
    const key = parts[next(parts.length)]!
    const copy: any = Array.isArray(json) ? json.slice() : { ...json as object }
    copy[key] = spoil(copy[key])
    return copy
  }
  return { kind, next, spoil }
}

const Tape = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))).check(
  Schema.isMinLength(40)
)

const json = (schema: Schema.Top) => Schema.toCodecJson(schema) as unknown as Schema.Codec<any, Json>

const clone = (value: Json): Json => JSON.parse(JSON.stringify(value))

const attempt = <A>(f: () => A) =>
  Result.try({ try: f, catch: (error) => error instanceof Error ? error.message : String(error) })

describe("Decoder", () => {
  it.prop("equals a complete decoding, for any schema and any change", [Tape], ([tape]) => {
    const { kind, next, spoil } = reader(tape)
    const { edit, make, schema } = kind(3)
    const codec = json(schema)
    const encode = Schema.encodeSync(codec)
    const decodeAll = Schema.decodeUnknownSync(codec)
    const decoder = new Decoder(schema)
    let value = make()
    let known: Json | undefined
    for (let step = 0; step < 6; step++) {
      let to = clone(encode(value))
      if (next(6) === 0) to = spoil(to)
      // As a client gets it: by a patch or as a whole.
      const now = known === undefined || next(5) === 0 ? to : JsonPatch.apply(JsonPatch.diff(known, to), known)
      const expected = attempt(() => decodeAll(clone(now)))
      assert.deepStrictEqual(attempt(() => decoder.next(now)), expected)
      if (Result.isSuccess(expected)) {
        known = now
        assert.isTrue(Object.is(decoder.next(now), decoder.next(now)))
      }
      value = next(8) === 0 ? make() : edit(value)
    }
  }, { arbitrary: { runs: 1_000, size: 80 } })

  const Row = Schema.Struct({ id: Schema.Int, at: Schema.Date, tags: Schema.Array(Schema.String) })
  const row = (id: number, at = 0) => ({ id, at: new Date(at).toISOString(), tags: [`tag ${id}`] })

  /** The values of a list before and after a patch. */
  const patched = (schema: Schema.Top, before: Json, ...patch: ReadonlyArray<JsonPatch.Operation>) => {
    const decoder = new Decoder(schema)
    const first: any = decoder.next(before)
    return [first, decoder.next(JsonPatch.apply(patch, before)) as any] as const
  }

  it("keeps the rows that did not change, and the parts of those that did", () => {
    const rows = [1, 2, 3, 4].map((id) => row(id))
    const [before, after] = patched(Schema.Array(Row), rows, { op: "replace", path: "/1/id", value: 20 })
    assert.deepStrictEqual(after.map((one: any) => one.id), [1, 20, 3, 4])
    assert.notStrictEqual(after, before)
    for (const i of [0, 2, 3]) assert.strictEqual(after[i], before[i])
    assert.notStrictEqual(after[1], before[1])
    assert.strictEqual(after[1].at, before[1].at)
    assert.strictEqual(after[1].tags, before[1].tags)
  })

  it("keeps the rows around inserted, removed and moved rows", () => {
    const rows = [1, 2, 3, 4, 5].map((id) => row(id))
    const [before, after] = patched(
      Schema.Array(Row),
      rows,
      { op: "remove", path: "/1" },
      { op: "move", from: "/3", path: "/0" },
      { op: "add", path: "/2", value: row(9) },
      { op: "replace", path: "/4/id", value: 40 }
    )
    assert.deepStrictEqual(after.map((one: any) => one.id), [5, 1, 9, 3, 40])
    for (const [now, then] of [[0, 4], [1, 0], [3, 2]] as const) assert.strictEqual(after[now], before[then])
  })

  it("keeps everything if equal JSON comes as another object", () => {
    const schema = Schema.Struct({
      rows: Schema.Array(Row),
      by: Schema.Record(Schema.String, Point),
      none: Schema.Null
    })
    const value = { rows: [row(1), row(2)], by: { a: { x: 1, tags: [] } }, none: null }
    const decoder = new Decoder(schema)
    const first = decoder.next(value)
    assert.strictEqual(decoder.next(clone(value)), first)
    const other: any = decoder.next(clone({ ...value, rows: [...value.rows, row(3)] }))
    assert.strictEqual(other.by, (first as any).by)
    assert.strictEqual(other.rows[1], (first as any).rows[1])
  })

  it("decodes only the changed row of ten thousand", () => {
    let decoded = 0
    const Counted = Schema.String.check(Schema.makeFilter(() => {
      decoded++
      return true
    }))
    const rows = Array.from({ length: 10_000 }, (_, id) => ({ id, text: `row ${id}` }))
    const decoder = new Decoder(Schema.Array(Schema.Struct({ id: Schema.Int, text: Counted })))
    decoder.next(rows)
    assert.strictEqual(decoded, 10_000)
    decoder.next(JsonPatch.apply([{ op: "replace", path: "/5000/text", value: "other" }], rows))
    assert.strictEqual(decoded, 10_001)
  })

  it("decodes a list as a whole if it has a check", () => {
    const ascending = Schema.Array(Schema.Int).check(
      Schema.makeFilter((list) => list.every((n, i) => i === 0 || list[i - 1]! < n))
    )
    const decoder = new Decoder(ascending)
    assert.deepStrictEqual(decoder.next([1, 2, 3]), [1, 2, 3])
    assert.throws(() => decoder.next([1, 5, 3]))
    assert.deepStrictEqual(decoder.next([1, 5, 8]), [1, 5, 8])
  })
})
