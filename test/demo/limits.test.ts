import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestSessions } from "effect-sessions/testing"
import * as ShopRoom from "./ShopRoom.ts"

describe("limits", () => {
  it.effect("of starts give 429 with the seconds to wait, to new visitors only", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ startRate: { limit: 2, window: "1 minute" } })
      const ada = shop.visitor()
      yield* ada.session
      yield* shop.run(TestSessions.elapse("20 seconds"))
      yield* shop.visitor().session

      const late = shop.visitor()
      for (const [method, path] of [["GET", "/api/session"], ["GET", "/api/events"]] as const) {
        const { headers, json, status } = yield* late.send(method, path)
        assert.deepStrictEqual([status, json._tag, headers.get("retry-after")], [429, "StartRateExceeded", "40"], path)
        assert.isString(json.message)
      }
      assert.strictEqual((yield* late.add("tea", 1)).status, 429)
      assert.isUndefined(late.cookie)
      assert.strictEqual((yield* ada.add("tea", 1)).status, 200)

      yield* shop.run(TestSessions.elapse("40 seconds"))
      assert.strictEqual((yield* late.add("tea", 1)).status, 200)
    }))

  it.effect("of sessions give 503, to new visitors only, until one leaves", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ maxSessions: 2 })
      const [ada, bob, late] = [shop.visitor(), shop.visitor(), shop.visitor()]
      yield* ada.session
      yield* bob.session
      assert.deepStrictEqual((yield* ada.send("GET", "/api/sessions")).json, { count: 2, limit: 2, utilisation: 100 })

      const { json, status } = yield* late.send("GET", "/api/session")
      assert.deepStrictEqual([status, json._tag, typeof json.message], [503, "SessionLimitReached", "string"])
      assert.isUndefined(late.cookie)
      assert.strictEqual((yield* ada.add("tea", 1)).status, 200)

      yield* bob.send("DELETE", "/api/session")
      assert.strictEqual((yield* late.send("GET", "/api/session")).status, 200)
    }))

  it.effect("of messages give 429 with the seconds to wait", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open({ messageRate: { limit: 2, window: "1 minute" } })).visitor()
      yield* ada.add("tea", 1)
      yield* ada.add("tea", 1)
      const { headers, json, status } = yield* ada.add("tea", 1)
      assert.deepStrictEqual([status, json._tag, headers.get("retry-after")], [429, "TooManyMessages", "60"])
      const [ticket = "", id = ""] = ada.cookie!.split(".")
      for (const secret of [ticket, id]) assert.notInclude(JSON.stringify(json), secret)
      assert.strictEqual((yield* ada.session).state.count, 2)
    }))
})
