import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ShopRoom from "./ShopRoom.ts"

describe("the cart", () => {
  it.effect("belongs to the visitor from the first request on", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ idleTimeout: "30 minutes" })
      const ada = shop.visitor()
      const { headers, json, status } = yield* ada.send("GET", "/api/session")
      assert.strictEqual(status, 200)
      const { id, ...session } = json
      assert.match(id, /^[\w-]{20,}$/)
      assert.deepStrictEqual(session, {
        kind: "Visit",
        startedAt: "1970-01-01T00:00:00.000Z",
        lastActiveAt: "1970-01-01T00:00:00.000Z",
        expiresAt: "1970-01-01T00:30:00.000Z",
        version: 0,
        crashes: 0,
        state: { items: [], count: 0, total: 0 }
      })
      assert.strictEqual(headers.get("cache-control"), "no-store")
      assert.strictEqual(headers.get("x-content-type-options"), "nosniff")

      yield* ada.add("tea", 1)
      assert.strictEqual((yield* ada.session).state.count, 1)
      assert.strictEqual((yield* shop.visitor().session).state.count, 0)
    }))

  it.effect("adds up exactly, at the prices of the catalogue", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      assert.deepStrictEqual((yield* ada.add("tea", 2)).json, { count: 2, total: 9 })
      assert.deepStrictEqual((yield* ada.add("coffee", 3)).json, { count: 5, total: 30 })
      // 3 × 1.29 + 7 × 2.99 is 24.799999999999997 in floating point.
      assert.deepStrictEqual((yield* ada.add("milk", 3)).json, { count: 8, total: 33.87 })
      assert.deepStrictEqual((yield* ada.add("butter", 7)).json, { count: 15, total: 54.8 })
      assert.deepStrictEqual((yield* ada.session).state, {
        items: [
          { sku: "tea", quantity: 2, price: 4.5 },
          { sku: "coffee", quantity: 3, price: 7 },
          { sku: "milk", quantity: 3, price: 1.29 },
          { sku: "butter", quantity: 7, price: 2.99 }
        ],
        count: 15,
        total: 54.8
      })
    }))

  it.effect("increases the quantity of an item, up to 999", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      for (let i = 0; i < 10; i++) yield* ada.add("tea", 99)
      const tooMany = yield* ada.add("tea", 10)
      assert.strictEqual(tooMany.status, 422)
      assert.deepStrictEqual(tooMany.json, {
        _tag: "QuantityLimit",
        sku: "tea",
        message: "a cart holds at most 999 of tea"
      })
      assert.deepStrictEqual((yield* ada.add("tea", 9)).json, { count: 999, total: 4495.5 })
      assert.deepStrictEqual((yield* ada.session).state.items, [{ sku: "tea", quantity: 999, price: 4.5 }])
    }))

  it.effect("loses nothing when many requests come at once", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.session
      yield* Effect.forEach(Array.from({ length: 50 }), () => ada.add("jam", 1), { concurrency: "unbounded" })
      assert.strictEqual((yield* ada.session).state.count, 50)
    }))

  it.effect("removes an item, and says so if there is none", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* ada.add("tea", 2)
      yield* ada.add("coffee", 1)
      const removed = yield* ada.send("DELETE", "/api/cart/items/tea")
      assert.strictEqual(removed.status, 200)
      assert.deepStrictEqual(removed.json, { count: 1, total: 7 })
      for (const sku of ["tea", "gold", "__proto__", "a%20b"]) {
        const { json, status } = yield* ada.send("DELETE", `/api/cart/items/${sku}`)
        assert.deepStrictEqual([status, json._tag, typeof json.message], [404, "NotInCart", "string"])
      }
      const stranger = shop.visitor()
      assert.strictEqual((yield* stranger.send("DELETE", "/api/cart/items/tea")).status, 404)
      assert.isUndefined(stranger.cookie)
    }))

  it.effect("ends with the visit, and the next one is new", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.add("tea", 2)
      const { cookie } = ada
      assert.strictEqual((yield* ada.send("DELETE", "/api/session")).status, 204)
      assert.isUndefined(ada.cookie)
      assert.strictEqual((yield* ada.session).state.count, 0)
      assert.notStrictEqual(ada.cookie, cookie)
      // Leaving without having been there is fine, and starts nothing.
      ada.cookie = undefined
      assert.strictEqual((yield* ada.send("DELETE", "/api/session")).status, 204)
      assert.deepStrictEqual((yield* ada.send("GET", "/api/sessions")).json.count, 1)
    }))
})
