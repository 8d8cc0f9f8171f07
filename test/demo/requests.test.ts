import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ShopRoom from "./ShopRoom.ts"

const json = (body: unknown) => ({ json: body })
const text = (body: string, type = "application/json") => ({ body, headers: { "content-type": type } })

const bad: ReadonlyArray<readonly [title: string, status: number, request: Parameters<ShopRoom.Visitor["send"]>[2]]> = [
  ["no body", 400, {}],
  ["malformed JSON", 400, text("{\"sku\": \"tea\", ")],
  ["JSON that is nested too deeply", 400, text("[".repeat(30_000))],
  ["null", 400, json(null)],
  ["an array", 400, json([{ sku: "tea", quantity: 1 }])],
  ["no quantity", 400, json({ sku: "tea" })],
  ["no product", 400, json({ quantity: 1 })],
  ["a quantity of null", 400, json({ sku: "tea", quantity: null })],
  ["a quantity that is text", 400, json({ sku: "tea", quantity: "2" })],
  ["a quantity of zero", 400, json({ sku: "tea", quantity: 0 })],
  ["a negative quantity", 400, json({ sku: "tea", quantity: -1 })],
  ["a fraction", 400, json({ sku: "tea", quantity: 1.5 })],
  ["more than 99", 400, json({ sku: "tea", quantity: 100 })],
  ["a huge quantity", 400, text("{\"sku\":\"tea\",\"quantity\":1e308}")],
  ["an infinite quantity", 400, text("{\"sku\":\"tea\",\"quantity\":1e999}")],
  ["an unknown product", 400, json({ sku: "gold", quantity: 1 })],
  ["a product that is a number", 400, json({ sku: 1, quantity: 1 })],
  ["a long name", 400, json({ sku: "tea".repeat(10_000), quantity: 1 })],
  ["__proto__", 400, text("{\"sku\":\"__proto__\",\"quantity\":1}")],
  ["constructor", 400, json({ sku: "constructor", quantity: 1 })],
  ["toString", 400, json({ sku: "toString", quantity: 1 })],
  ["a payload hidden in __proto__", 400, text("{\"__proto__\":{\"sku\":\"tea\",\"quantity\":1}}")],
  ["plain text", 415, text("{\"sku\":\"tea\",\"quantity\":1}", "text/plain")],
  ["a form", 415, text("sku=tea&quantity=1", "application/x-www-form-urlencoded")],
  ["a body of 10 MB", 413, text(" ".repeat(10_000_000))]
]

describe("requests", () => {
  describe("that do not fit are refused and change nothing:", () => {
    for (const [title, status, request] of bad) {
      it.effect(title, () =>
        Effect.gen(function*() {
          const shop = yield* ShopRoom.open()
          const stranger = shop.visitor()
          const answer = yield* stranger.send("POST", "/api/cart/items", request)
          assert.strictEqual(answer.status, status)
          assert.deepStrictEqual(Object.keys(answer.json), ["_tag", "message"])
          assert.isBelow(answer.json.message.length, 400)
          assert.isUndefined(stranger.cookie)
          assert.strictEqual((yield* stranger.send("GET", "/api/sessions")).json.count, 0)

          const ada = shop.visitor()
          yield* ada.add("tea", 2)
          assert.strictEqual((yield* ada.send("POST", "/api/cart/items", request)).status, status)
          assert.deepStrictEqual((yield* ada.session).state.items, [{ sku: "tea", quantity: 2, price: 4.5 }])
        }))
    }
  })

  it.effect("cannot set the price", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const { json } = yield* ada.send("POST", "/api/cart/items", { json: { sku: "tea", quantity: 1, price: 0 } })
      assert.deepStrictEqual(json, { count: 1, total: 4.5 })
    }))

  it.effect("to an unknown path get a 404 with a message", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const nowhere = [
        ["GET", "/nothing"],
        ["GET", "/api/nothing"],
        ["PUT", "/api/session"],
        ["POST", "/api/events"],
        ["GET", "/api/cart/items"],
        ["DELETE", "/api/cart/items/%E0%A4%A"],
        ["DELETE", `/api/cart/items/${"tea".repeat(200)}`],
        ["GET", "/..%2fmain.ts"]
      ] as const
      for (const [method, path] of nowhere) {
        const { json, status } = yield* ada.send(method, path)
        assert.deepStrictEqual([status, json._tag], [404, "NotFound"], `${method} ${path}`)
        assert.isString(json.message)
      }
      assert.isUndefined(ada.cookie)
    }))
})
