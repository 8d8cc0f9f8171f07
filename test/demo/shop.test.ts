import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Catalogue from "../../examples/demo/Catalogue.ts"
import * as ShopRoom from "./ShopRoom.ts"

describe("the shop", () => {
  it.effect("reports its health", () =>
    Effect.gen(function*() {
      const { json, status } = yield* (yield* ShopRoom.open()).visitor().send("GET", "/health")
      assert.deepStrictEqual([status, json], [200, { status: "ok" }])
    }))

  it.effect("counts its visitors", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ maxSessions: 200 })
      const ada = shop.visitor()
      assert.deepStrictEqual((yield* ada.send("GET", "/api/sessions")).json, { count: 0, limit: 200, utilisation: 0 })
      yield* ada.session
      yield* shop.visitor().session
      assert.deepStrictEqual((yield* ada.send("GET", "/api/sessions")).json, { count: 2, limit: 200, utilisation: 1 })
    }))

  it.effect("shows its metrics to Prometheus", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ maxSessions: 200 })
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      yield* ada.add("tea", 1)
      yield* shop.visitor().session
      yield* ada.send("DELETE", "/api/session")
      const { headers, json: text } = yield* ada.send("GET", "/metrics")
      assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/)
      for (
        const line of [
          `effect_sessions_limit 200`,
          `effect_sessions_live{kind="Visit"} 1`,
          `effect_sessions_started_total{kind="Visit"} 2`,
          `effect_sessions_ended_total{kind="Visit",reason="stopped"} 1`,
          `effect_sessions_messages_total{kind="Visit",type="call"} 2`
        ]
      ) assert.include(text.split("\n"), line)
    }))

  it.effect("has a page with every product, which may run its own script only", () =>
    Effect.gen(function*() {
      const { headers, json: html, status } = yield* (yield* ShopRoom.open()).visitor().send("GET", "/")
      assert.strictEqual(status, 200)
      assert.match(headers.get("content-type")!, /^text\/html/)
      assert.match(
        headers.get("content-security-policy")!,
        /^default-src 'none'; connect-src 'self'; .*script-src 'self'; style-src 'self';/
      )
      // Nothing that the policy would stop.
      assert.notMatch(html, /<style|<script(?! type="module" src="\/app.js"><\/script>)| style=| on\w+=/)
      assert.isAtLeast(Catalogue.all.length, 14)
      for (const [sku, { name }] of Catalogue.all) {
        assert.include(html, `data-sku="${sku}"`)
        assert.include(html, `<strong>${name}</strong>`)
        assert.include(html, `<symbol id="${sku}"`)
      }
    }))

  for (
    const [path, type] of [["/", "text/html"], ["/app.js", "text/javascript"], ["/style.css", "text/css"]] as const
  ) {
    it.effect(`lets browsers cache ${path} as long as it is the same`, () =>
      Effect.gen(function*() {
        const ada = (yield* ShopRoom.open()).visitor()
        const { headers, status } = yield* ada.send("GET", path)
        assert.strictEqual(status, 200)
        assert.strictEqual(headers.get("content-type"), `${type}; charset=utf-8`)
        assert.strictEqual(headers.get("cache-control"), "no-cache")
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
        const again = yield* ada.send("GET", path, { headers: { "if-none-match": headers.get("etag")! } })
        assert.deepStrictEqual([again.status, again.json], [304, ""])
        assert.strictEqual(again.headers.get("etag"), headers.get("etag"))
        const other = yield* ada.send("GET", path, { headers: { "if-none-match": "\"other\"" } })
        assert.strictEqual(other.status, 200)
      }))
  }

  it.effect("describes its API", () =>
    Effect.gen(function*() {
      const { json } = yield* (yield* ShopRoom.open()).visitor().send("GET", "/openapi.json")
      assert.sameMembers(Object.keys(json.paths), [
        "/api/session",
        "/api/cart/items",
        "/api/cart/items/{sku}",
        "/api/events",
        "/api/dispatch",
        "/api/state",
        "/api/live",
        "/api/history",
        "/api/history/{version}",
        "/api/login",
        "/api/logout",
        "/api/devices",
        "/api/devices/{id}",
        "/api/notifications",
        "/api/notifications/read",
        "/api/presence",
        "/api/broadcast",
        "/api/stock/{sku}",
        "/api/sessions",
        "/api/node"
      ])
    }))
})
