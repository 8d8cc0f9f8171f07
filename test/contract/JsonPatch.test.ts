// oxlint-disable no-restricted-imports -- the module is internal: the live views use it, the package does not export it
import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { applyPatch } from "fast-json-patch"
import * as JsonPatch from "../../src/contract/JsonPatch.ts"

type Json = Schema.Json

/** A deep copy that keeps own keys such as `__proto__`, which assert would compare by prototype. */
const clone = <A>(value: A): A => JSON.parse(JSON.stringify(value)) as A

/** One text for equal values: keys sorted. Unlike a deep equality of assert it sees an own `__proto__`. */
const canonical = (value: unknown): string =>
  Array.isArray(value)
    ? `[${value.map(canonical).join()}]`
    : typeof value === "object" && value !== null
    ? `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical((value as any)[key])}`).join()}}`
    : JSON.stringify(value)

const same = (a: unknown, b: unknown) => assert.strictEqual(canonical(a), canonical(b))

const freeze = <A>(value: A): A => {
  if (typeof value === "object" && value !== null) Object.values(Object.freeze(value)).forEach(freeze)
  return value
}

/** Checks what holds of every diff and gives it. Inputs are frozen, so that a change of them throws. */
const check = (
  from: Json,
  to: Json,
  others = true,
  identify?: ReadonlyArray<string>
): ReadonlyArray<JsonPatch.Operation> => {
  const patch = JsonPatch.diff(freeze(from), freeze(to), identify)
  assert.strictEqual(patch.length === 0, canonical(from) === canonical(to))
  same(JsonPatch.apply(freeze(clone(patch)), from), to)
  if (others) same(applyPatch(clone(from), clone(patch) as any, true).newDocument, to)
  return patch
}

const rejects = (patch: unknown, value: Json, message: RegExp) => {
  const before = canonical(value)
  try {
    JsonPatch.apply(patch as any, freeze(value))
  } catch (error) {
    assert.instanceOf(error, JsonPatch.InvalidPatch)
    assert.match((error as JsonPatch.InvalidPatch).message, message)
    assert.strictEqual(canonical(value), before)
    return error as JsonPatch.InvalidPatch
  }
  return assert.fail("it was applied")
}

const item = (id: string | number, quantity = 1) => ({ id, title: `The title of ${id}`, quantity })
const list = (...ids: ReadonlyArray<string | number>) => ids.map((id) => item(id))

describe("JsonPatch.diff", () => {
  it("skips what is the same reference without looking at it", () => {
    const shared = new Proxy({}, {
      ownKeys: () => assert.fail("it looked"),
      get: () => assert.fail("it looked"),
      getOwnPropertyDescriptor: () => assert.fail("it looked")
    })
    const rest = { title: "long enough that a replace is not shorter than the one operation" }
    assert.deepStrictEqual(JsonPatch.diff({ n: 1, shared, rest } as any, { n: 1, shared, rest } as any), [])
    assert.deepStrictEqual(JsonPatch.diff([shared, 1, shared] as any, [shared, 1, shared] as any), [])
  })

  it("compares objects by key and escapes the pointer", () => {
    assert.deepStrictEqual(
      check({ "a/b": 1, "m~n": 1, "": 1, gone: 1, same: "x".repeat(200) }, {
        "a/b": 2,
        "m~n": 2,
        "": 2,
        same: "x".repeat(200),
        new: 1
      }),
      [
        { op: "remove", path: "/gone" },
        { op: "replace", path: "/a~1b", value: 2 },
        { op: "replace", path: "/m~0n", value: 2 },
        { op: "replace", path: "/", value: 2 },
        { op: "add", path: "/new", value: 1 }
      ]
    )
  })

  it("takes the names of prototype members for data", () => {
    for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
      const some = JSON.parse(`{"${key}":{"x":1},"rest":"${"x".repeat(80)}"}`)
      const other = JSON.parse(`{"${key}":{"x":2},"rest":"${"x".repeat(80)}"}`)
      const none = { rest: "x".repeat(80) }
      assert.deepStrictEqual(check(some, other, false), [{ op: "replace", path: `/${key}/x`, value: 2 }])
      assert.deepStrictEqual(check(none, some, false), [{ op: "add", path: `/${key}`, value: { x: 1 } }])
      assert.deepStrictEqual(check(some, none, false), [{ op: "remove", path: `/${key}` }])
    }
  })

  it("takes undefined for absent, and -0 for 0", () => {
    assert.deepStrictEqual(JsonPatch.diff({ a: undefined } as any, {}), [])
    assert.deepStrictEqual(JsonPatch.diff({}, { a: undefined } as any), [])
    assert.deepStrictEqual(JsonPatch.diff([{ a: undefined }, 1] as any, [{}, 1]), [])
    assert.deepStrictEqual(JsonPatch.diff({ a: -0 }, { a: 0 }), [])
  })

  it.each<[string, Json, Json, ReadonlyArray<JsonPatch.Operation>]>([
    ["an insert at the head", list(1, 2, 3), list(9, 1, 2, 3), [{ op: "add", path: "/0", value: item(9) }]],
    ["an insert within", list(1, 2, 3), list(1, 9, 2, 3), [{ op: "add", path: "/1", value: item(9) }]],
    ["a removal", list(1, 2, 3), list(1, 3), [{ op: "remove", path: "/1" }]],
    ["a move to the end", list(1, 2, 3, 4), list(2, 3, 4, 1), [{ op: "move", from: "/0", path: "/3" }]],
    ["a move to the head", list(1, 2, 3, 4), list(4, 1, 2, 3), [{ op: "move", from: "/3", path: "/0" }]],
    ["a swap of neighbours", list("a", "b", "c"), list("b", "a", "c"), [{ op: "move", from: "/0", path: "/1" }]],
    ["a change", list(1, 2, 3), [item(1), item(2, 5), item(3)], [{ op: "replace", path: "/1/quantity", value: 5 }]],
    ["a move and a change", list(1, 2, 3, 4), [item(2), item(3), item(4), item(1, 5)], [
      { op: "move", from: "/0", path: "/3" },
      { op: "replace", path: "/3/quantity", value: 5 }
    ]],
    ["ids 1 and \"1\"", list(1, "1", 2), list("1", 2, 1), [{ op: "move", from: "/0", path: "/2" }]],
    ["push", [1, 2, 3], [1, 2, 3, 4], [{ op: "add", path: "/3", value: 4 }]],
    ["pop", [1, 2, 3], [1, 2], [{ op: "remove", path: "/2" }]],
    ["unshift", [1, 2, 3], [4, 1, 2, 3], [{ op: "add", path: "/0", value: 4 }]],
    ["shift", [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6], [{ op: "remove", path: "/0" }]],
    ["a shift of equals", [1, 1, 1], [1, 1], [{ op: "remove", path: "/2" }]],
    ["an equal but not same tail", [[1], [2], [3]], [[0], [1], [2], [3]], [{ op: "add", path: "/0", value: [0] }]],
    ["another kind of value", { a: [] }, { a: {} }, [{ op: "replace", path: "/a", value: {} }]],
    ["another root", 1, null, [{ op: "replace", path: "", value: null }]]
  ])("gives for %s", (_, from, to, expected) => {
    assert.deepStrictEqual(check(from, to), expected)
  })

  it("follows items by id, else by key, when all have it and none twice", () => {
    const rest = "x".repeat(100)
    for (const name of ["id", "key"]) {
      const make = (...ids: ReadonlyArray<number>) => ids.map((id) => ({ [name]: id, rest: `${rest}${id}` }))
      assert.deepStrictEqual(check(make(1, 2, 3), make(2, 3, 1)), [{ op: "move", from: "/0", path: "/2" }])
    }
    const twice = (...keys: ReadonlyArray<number>) => keys.map((key) => ({ id: 7, key, rest: `${rest}${key}` }))
    assert.deepStrictEqual(check(twice(1, 2, 3), twice(2, 3, 1)), [{ op: "move", from: "/0", path: "/2" }])
  })

  it("follows items by the properties that it is given, in place of the defaults, at any depth", () => {
    const rest = "x".repeat(100)
    const make = (...skus: ReadonlyArray<number>) => ({ rows: skus.map((sku) => ({ sku, id: sku % 2, rest })) })
    const moved = [{ op: "move", from: "/rows/0", path: "/rows/2" }]
    assert.deepStrictEqual(check(make(1, 2, 3), make(2, 3, 1), true, ["sku"]), moved as never)
    assert.deepStrictEqual(check(make(1, 2, 3), make(2, 3, 1), true, ["id", "sku"]), moved as never)
    assert.notDeepEqual(check(make(1, 2, 3), make(2, 3, 1)), moved as never)
    // One row has changed, which is the usual change: another row is at its place, or it is the same row.
    const [one, other] = [[{ sku: 1, rest, n: 1 }], [{ sku: 2, rest, n: 1 }]]
    assert.deepStrictEqual(check(one, other, true, ["sku"]), [{ op: "replace", path: "", value: other }])
    assert.deepStrictEqual(check(one, [{ ...one[0]!, n: 2 }], true, ["sku"]), [{
      op: "replace",
      path: "/0/n",
      value: 2
    }])
  })

  it("replaces a part when its operations would be larger than it", () => {
    const rest = "x".repeat(200)
    assert.deepStrictEqual(check({ rest, at: { x: 1, y: 2, z: 3 } }, { rest, at: { x: 4, y: 5, z: 6 } }), [
      { op: "replace", path: "/at", value: { x: 4, y: 5, z: 6 } }
    ])
    assert.deepStrictEqual(check({ rest, at: list(1, 2, 3, 4) }, { rest, at: [] }), [
      { op: "replace", path: "/at", value: [] }
    ])
  })
})

/** Reads values off a tape of numbers: few keys and few scalars, so that parts of two tapes meet. */
const reader = (tape: ReadonlyArray<number>, keys: ReadonlyArray<string>) => {
  let at = 0
  const next = (below: number) => (tape[at++] ?? 0) % below
  const scalars: ReadonlyArray<Json> = [null, 0, 1, -1.5, "", "a", true, false, "x".repeat(40)]
  const json = (depth: number): Json => {
    const kind = depth === 0 ? 0 : next(4)
    if (kind < 1) return scalars[next(scalars.length)]!
    if (kind < 2) return Array.from({ length: next(5) }, () => json(depth - 1))
    if (kind < 3) return Array.from({ length: next(6) }, () => ({ id: next(8), v: json(depth - 1) }))
    return Object.fromEntries(Array.from({ length: next(5) }, () => [keys[next(keys.length)]!, json(depth - 1)]))
  }
  /** The value with a few random edits, sharing what they do not touch. */
  const edit = (value: Json): Json => {
    if (Array.isArray(value)) {
      const items = value.slice()
      for (let edits = next(4); edits > 0; edits--) {
        const i = next(items.length + 1)
        const what = next(4)
        if (what === 0) items.splice(i, 0, { id: 100 + next(50), v: json(1) })
        else if (what === 1) items.splice(i, 1)
        else if (what === 2) items.splice(next(items.length), 0, ...items.splice(i, 1))
        else if (i < items.length) items[i] = edit(items[i]!)
      }
      return items
    }
    if (typeof value !== "object" || value === null) return json(1)
    const copy = Object.fromEntries(Object.entries(value))
    for (const key of Object.keys(copy)) {
      const what = next(6)
      if (what === 0) delete copy[key]
      else if (what === 1 && key !== "id") Object.defineProperty(copy, key, { value: edit(copy[key]!) })
    }
    return next(3) === 0 ? Object.fromEntries([...Object.entries(copy), [keys[next(keys.length)]!, json(1)]]) : copy
  }
  return { next, json, edit }
}

const Tape = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 999 }))).check(
  Schema.isMinLength(60)
)
const keys = ["a", "b", "id", "", "~", "/", "~1", "a/b~0", "0", "-", "toString", "length"]
const many = { arbitrary: { runs: 2_000, size: 120 } }

describe("JsonPatch.diff and apply, for all values,", () => {
  it.prop("make one out of any other", [Tape, Tape], ([a, b]) => {
    check(reader(a, keys).json(4), reader(b, keys).json(4))
  }, many)

  it.prop("make an edited value out of it, shared or not", [Tape, Tape], ([a, b]) => {
    const from = reader(a, keys).json(4)
    const to = reader(b, keys).edit(from)
    check(from, to)
    check(from, clone(to))
  }, many)

  it.prop("make any list of items out of another, with as few moves as can be", [Tape, Tape], ([a, b]) => {
    const { json } = reader(a, keys)
    const { edit, json: added, next } = reader(b, keys)
    const size = next(30)
    const from = Array.from({ length: size }, (_, id) => ({ id, rest: "x".repeat(200), v: json(2) }))
    let to = from.slice()
    for (let edits = next(10); edits > 0; edits--) {
      const i = next(size + 1)
      const what = next(4)
      if (what === 0) to.splice(i, 0, { id: 1_000 + edits, rest: "new", v: added(2) })
      else if (what === 1) to.splice(i, 1)
      else if (what === 2) to.splice(next(to.length + 1), 0, ...to.splice(i, 1))
      else to = to.map((item, at) => at === i ? { ...item, v: edit(item.v) } : item)
    }
    const patch = check(from, to)
    const stayed = to.filter(({ id }) => id < 1_000).map(({ id }) => id)
    const longest: Array<number> = []
    stayed.forEach((id, i) => {
      longest[i] = 1 + Math.max(0, ...longest.slice(0, i).filter((_, j) => stayed[j]! < id))
    })
    assert.isAtMost(
      patch.filter(({ op, path }) => op === "move" && /^.\d+$/.test(path)).length,
      stayed.length - Math.max(0, ...longest)
    )
  }, many)

  it.prop("make any long list out of another, with many edits of it in one patch", [Tape], ([tape]) => {
    const { next } = reader(tape, keys)
    const from = { list: Array.from({ length: 1_000 + next(100) }, (_, i) => ({ id: i, n: 0 })), other: [1, 2, 3] }
    const patch: Array<JsonPatch.AnyOperation> = []
    let { length } = from.list
    for (let i = 0; i < 200; i++) {
      const at = (by = 0) => `/list/${(next(1_000) * 7 + i) % (length + by)}`
      const what = next(40)
      if (what < 12) patch.push({ op: "move", from: at(), path: at() })
      else if (what < 22) {
        patch.push({ op: "add", path: at(1), value: { id: -i, n: i } })
        length++
      } else if (what < 32) {
        patch.push({ op: "remove", path: at() })
        length--
      } else if (what < 35) patch.push({ op: "replace", path: `${at()}/n`, value: i })
      else if (what < 37) patch.push({ op: "add", path: "/other/-", value: i })
      else if (what < 38) {
        patch.push({ op: "copy", from: at(), path: "/list/-" })
        length++
      } else if (what < 39) {
        patch.push({ op: "move", from: "/list", path: "/moved" }, { op: "move", from: "/moved", path: "/list" })
      } else patch.push({ op: "test", path: "/other/0", value: 1 })
    }
    freeze(from)
    same(JsonPatch.apply(patch, from as any), applyPatch(clone(from), clone(patch) as any, true).newDocument)
    assert.throws(() => JsonPatch.apply([...patch, { op: "remove", path: `/list/${length}` }], from as any))
    same(from.list.length, from.list.at(-1)!.id + 1)
  }, { arbitrary: { runs: 20, size: 800 } })

  it.prop("take keys of prototypes for data", [Tape, Tape], ([a, b]) => {
    const hostile = ["__proto__", "constructor", "prototype", "a"]
    const from = reader(a, hostile).json(4)
    check(from, reader(b, hostile).json(4), false)
    check(from, reader(b, hostile).edit(from), false)
    assert.deepStrictEqual(Object.keys(Object.prototype), [])
  }, many)
})

describe("JsonPatch.apply", () => {
  it.each<[string, Json, ReadonlyArray<JsonPatch.AnyOperation>, Json]>([
    ["A.1", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux" }], { baz: "qux", foo: "bar" }],
    ["A.2", { foo: ["bar", "baz"] }, [{ op: "add", path: "/foo/1", value: "qux" }], { foo: ["bar", "qux", "baz"] }],
    ["A.3", { baz: "qux", foo: "bar" }, [{ op: "remove", path: "/baz" }], { foo: "bar" }],
    ["A.4", { foo: ["bar", "qux", "baz"] }, [{ op: "remove", path: "/foo/1" }], { foo: ["bar", "baz"] }],
    ["A.5", { baz: "qux", foo: "bar" }, [{ op: "replace", path: "/baz", value: "boo" }], { baz: "boo", foo: "bar" }],
    ["A.6", { foo: { bar: "baz", waldo: "fred" }, qux: { corge: "grault" } }, [
      { op: "move", from: "/foo/waldo", path: "/qux/thud" }
    ], { foo: { bar: "baz" }, qux: { corge: "grault", thud: "fred" } }],
    ["A.7", { foo: ["all", "grass", "cows", "eat"] }, [{ op: "move", from: "/foo/1", path: "/foo/3" }], {
      foo: ["all", "cows", "eat", "grass"]
    }],
    ["A.8", { baz: "qux", foo: ["a", 2, "c"] }, [
      { op: "test", path: "/baz", value: "qux" },
      { op: "test", path: "/foo/1", value: 2 }
    ], { baz: "qux", foo: ["a", 2, "c"] }],
    ["A.10", { foo: "bar" }, [{ op: "add", path: "/child", value: { grandchild: {} } }], {
      foo: "bar",
      child: { grandchild: {} }
    }],
    ["A.11", { foo: "bar" }, [{ op: "add", path: "/baz", value: "qux", xyz: 123 } as any], { foo: "bar", baz: "qux" }],
    ["A.14", { "/": 9, "~1": 10 }, [{ op: "test", path: "/~01", value: 10 }], { "/": 9, "~1": 10 }],
    ["A.16", { foo: ["bar"] }, [{ op: "add", path: "/foo/-", value: ["abc", "def"] }], {
      foo: ["bar", ["abc", "def"]]
    }]
  ])("follows RFC 6902, %s", (_, value, patch, expected) => {
    assert.deepStrictEqual(JsonPatch.apply(freeze(patch), freeze(value)), expected)
  })

  it.each<[string, Json, unknown, RegExp]>([
    ["A.9: a failed test", { baz: "qux" }, [{ op: "test", path: "/baz", value: "bar" }], /test failed/],
    ["A.12: no parent", { foo: "bar" }, [{ op: "add", path: "/baz/bat", value: "qux" }], /"baz" does not exist/],
    ["A.13: an unknown op", {}, [{ op: "spam", path: "/baz", value: 1 }], /op is unknown/],
    ["A.15: text for a number", { "~1": 10 }, [{ op: "test", path: "/~01", value: "10" }], /test failed/],
    ["a missing key", {}, [{ op: "remove", path: "/a" }], /"a" does not exist/],
    ["an inherited key", {}, [{ op: "replace", path: "/toString", value: 1 }], /"toString" does not exist/],
    ["an index past the end", [1], [{ op: "add", path: "/2", value: 1 }], /"2" does not exist/],
    ["a replace past the end", [1], [{ op: "replace", path: "/1", value: 1 }], /"1" does not exist/],
    ["a leading zero", [1, 2], [{ op: "remove", path: "/01" }], /"01" does not exist/],
    ["a negative index", [1], [{ op: "remove", path: "/-1" }], /"-1" does not exist/],
    ["the end, removed", [1], [{ op: "remove", path: "/-" }], /"-" does not exist/],
    ["a length", [1], [{ op: "replace", path: "/length", value: 0 }], /"length" does not exist/],
    ["a path into text", "abc", [{ op: "add", path: "/0", value: 0 }], /scalar/],
    ["no slash", { a: 1 }, [{ op: "remove", path: "a" }], /pointer/],
    ["a bad escape", { "~2": 1 }, [{ op: "remove", path: "/~2" }], /pointer/],
    ["no path", {}, [{ op: "remove" }], /pointer/],
    ["no value", {}, [{ op: "add", path: "/a" }], /needs a value/],
    ["no from", {}, [{ op: "copy", path: "/a" }], /pointer/],
    ["null for an operation", {}, [null], /not an object/],
    ["an object for a patch", {}, {}, /an array/],
    ["the root, removed", {}, [{ op: "remove", path: "" }], /root/],
    ["a move into itself", { a: { b: 1 } }, [{ op: "move", from: "/a", path: "/a/b" }], /into itself/]
  ])("refuses %s", (_, value, patch, message) => {
    rejects(patch, value, message)
  })

  it("changes nothing when a later operation fails, and says which", () => {
    const error = rejects([{ op: "add", path: "/a/-", value: 1 }, { op: "remove", path: "/b" }], { a: [0] }, /"b"/)
    assert.strictEqual(error.index, 1)
  })

  it("keeps the reference of what it does not touch", () => {
    const value = freeze({ a: { x: 1 }, b: { y: { z: 1 }, w: [{ v: 1 }] } })
    const next = JsonPatch.apply([{ op: "replace", path: "/b/y/z", value: 2 }], value) as typeof value
    assert.deepStrictEqual(next, { a: { x: 1 }, b: { y: { z: 2 }, w: [{ v: 1 }] } })
    assert.strictEqual(next.a, value.a)
    assert.strictEqual(next.b.w, value.b.w)
    assert.strictEqual(JsonPatch.apply([], value), value)
    assert.strictEqual(JsonPatch.apply([{ op: "test", path: "/a/x", value: 1 }], value), value)
  })

  it("keeps a copy and its original apart", () => {
    assert.deepStrictEqual(
      JsonPatch.apply([
        { op: "add", path: "/a/x", value: 1 },
        { op: "copy", from: "/a", path: "/b" },
        { op: "add", path: "/a/y", value: 2 },
        { op: "copy", from: "", path: "/b/all" },
        { op: "remove", path: "/b/x" }
      ], freeze({ a: {} })),
      { a: { x: 1, y: 2 }, b: { all: { a: { x: 1, y: 2 }, b: { x: 1 } } } }
    )
  })

  it("does not change the values of the patch", () => {
    const patch = freeze<ReadonlyArray<JsonPatch.AnyOperation>>([
      { op: "add", path: "", value: { a: [] } },
      { op: "add", path: "/a/0", value: 1 }
    ])
    assert.deepStrictEqual(JsonPatch.apply(patch, null), { a: [1] })
  })

  it("pollutes no prototype", () => {
    for (const path of ["/__proto__/polluted", "/constructor/prototype/polluted", "/toString/polluted"]) {
      rejects([{ op: "add", path, value: 1 }], {}, /does not exist/)
      rejects([{ op: "copy", from: "/a", path }], { a: 1 }, /does not exist/)
      rejects([{ op: "add", path: `/a${path}`, value: 1 }], { a: [] }, /does not exist/)
    }
    const own: any = JsonPatch.apply([
      { op: "add", path: "/__proto__", value: {} },
      { op: "add", path: "/__proto__/polluted", value: 1 },
      { op: "copy", from: "/__proto__", path: "/constructor" }
    ], {})
    assert.strictEqual(JSON.stringify(own), `{"__proto__":{"polluted":1},"constructor":{"polluted":1}}`)
    assert.strictEqual(Object.getPrototypeOf(own), Object.prototype)
    assert.isUndefined(({} as any).polluted)
  })
})
