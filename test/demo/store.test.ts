import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as ShopRoom from "./ShopRoom.ts"

const dispatch = (visitor: ShopRoom.Visitor, action: unknown, wait = true) =>
  visitor.send("POST", `/api/dispatch${wait ? "?wait=1" : ""}`, { json: action })

describe("a visit as a store", () => {
  it.effect("accepts an action at once, or answers with the new state", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const accepted = yield* dispatch(ada, { type: "cart.add", payload: { sku: "tea", quantity: 2 } }, false)
      assert.deepStrictEqual([accepted.status, accepted.json], [202, { accepted: true }])
      const waited = yield* dispatch(ada, { type: "user.rename", payload: "Ada" })
      assert.strictEqual(waited.status, 200)
      assert.deepStrictEqual(waited.json.user, { name: "Ada" })
      assert.deepStrictEqual(waited.json.cart, {
        items: [{ sku: "tea", quantity: 2, price: 4.5 }],
        count: 2,
        total: 9
      })
      assert.deepStrictEqual((yield* ada.session).state, waited.json.cart)
    }))

  it.effect("shows its state, or one slice of it", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.add("tea", 1)
      const all = yield* ada.send("GET", "/api/state")
      assert.hasAllKeys(all.json, ["cart", "user", "catalog", "drill"])
      const one = yield* ada.send("GET", "/api/state?select=cart")
      assert.deepStrictEqual(one.json, all.json.cart)
      const none = yield* ada.send("GET", "/api/state?select=constructor")
      assert.deepStrictEqual([none.status, none.json._tag], [400, "InvalidRequest"])
    }))

  it.effect("lists its history, and travels in time", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.add("tea", 1)
      yield* ada.add("honey", 1)
      yield* ada.send("DELETE", "/api/cart/items/tea")
      const { json: history } = yield* ada.send("GET", "/api/history")
      assert.deepStrictEqual(history, [
        { version: 1, type: "cart.add", at: "1970-01-01T00:00:00.000Z", current: false },
        { version: 2, type: "cart.add", at: "1970-01-01T00:00:00.000Z", current: false },
        { version: 3, type: "cart.remove", at: "1970-01-01T00:00:00.000Z", current: true }
      ])
      const back = yield* ada.send("POST", "/api/history/1")
      assert.strictEqual(back.status, 200)
      assert.strictEqual(back.json.cart.count, 1)
      assert.deepStrictEqual((yield* ada.session).state, back.json.cart)
      const gone = yield* ada.send("POST", "/api/history/99")
      assert.deepStrictEqual([gone.status, gone.json._tag, typeof gone.json.message], [410, "VersionGone", "string"])
      for (const bad of ["-1", "1.5", "x", "NaN"]) {
        const { json, status } = yield* ada.send("POST", `/api/history/${bad}`)
        assert.deepStrictEqual([status, json._tag], [400, "InvalidRequest"], bad)
      }
      assert.deepStrictEqual((yield* ada.session).state, back.json.cart)
    }))

  it.effect("refuses what its reducers do not know or its rules forbid, and changes nothing", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      const before = (yield* ada.send("GET", "/api/state")).json
      const bad: ReadonlyArray<readonly [action: unknown, status: number, tag: string]> = [
        [{ type: "cart.nope" }, 404, "UnknownAction"],
        [{ type: "__proto__" }, 404, "UnknownAction"],
        [{ type: "cart.add" }, 400, "InvalidAction"],
        [{ type: "cart.add", payload: { sku: "nope", quantity: 1 } }, 400, "InvalidAction"],
        [{ type: "cart.add", payload: { sku: "tea", quantity: 0 } }, 400, "InvalidAction"],
        [{ type: "cart.add", payload: { sku: "tea", quantity: 1e9 } }, 400, "InvalidAction"],
        [{ type: "cart.add", payload: { sku: "tea", quantity: 1 }, meta: 5 }, 400, "InvalidAction"],
        [{ type: "cart.remove", payload: { sku: "honey" } }, 422, "ActionStopped"],
        [{ type: 5 }, 400, "InvalidRequest"],
        [[], 400, "InvalidRequest"]
      ]
      for (const [action, status, tag] of bad) {
        const { json, status: got } = yield* dispatch(ada, action)
        assert.deepStrictEqual([got, json._tag, typeof json.message], [status, tag, "string"], JSON.stringify(action))
      }
      assert.deepStrictEqual((yield* ada.send("GET", "/api/state")).json, before)

      const stranger = shop.visitor()
      yield* dispatch(stranger, { type: "cart.nope" })
      assert.isUndefined(stranger.cookie, "a bad action starts no visit")
    }))

  it.effect("checks the stock beside the visit, and searches when the visitor stops typing", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const catalog = Effect.map(ada.send("GET", "/api/state?select=catalog"), ({ json }) => json)
      const checking = yield* dispatch(ada, { type: "catalog.check", payload: { sku: "honey" } })
      assert.strictEqual(checking.json.catalog.checking, "honey")
      yield* TestClock.adjust("400 millis")
      assert.deepInclude(yield* catalog, { checking: "honey", progress: 50 })
      yield* TestClock.adjust("400 millis")
      assert.deepInclude(yield* catalog, { checking: null, stock: { honey: 12 } })

      for (const text of ["c", "ch", "cho"]) yield* dispatch(ada, { type: "catalog.search", payload: text })
      assert.strictEqual((yield* catalog).query, "")
      yield* TestClock.adjust("300 millis")
      assert.deepInclude(yield* catalog, { query: "cho", results: ["chocolate"] })
    }))
})
