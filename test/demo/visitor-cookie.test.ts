import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { createHmac } from "node:crypto"
import { Visit } from "../../examples/demo/Visit.ts"
import * as ShopRoom from "./ShopRoom.ts"

const setCookie = (headers: Headers): string => headers.get("set-cookie") ?? ""

const signed = (id: string, secret: string): string =>
  `${id}.${createHmac("sha256", secret).update(id).digest("base64url")}`

describe("the visitor's cookie", () => {
  it.effect("is out of reach of scripts, other sites, and the open net", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const local = yield* shop.visitor().send("GET", "/api/session", { headers: { host: "localhost:3000" } })
      assert.match(setCookie(local.headers), /^visitor=[\w-]{32}\.[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/)
      const remote = yield* shop.visitor().send("GET", "/api/session", { headers: { host: "shop.example" } })
      assert.match(setCookie(remote.headers), /; HttpOnly; Secure; SameSite=Lax$/)
    }))

  it.effect("is set once", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.session
      assert.strictEqual(setCookie((yield* ada.send("GET", "/api/session")).headers), "")
      assert.strictEqual(setCookie((yield* ada.add("tea", 1)).headers), "")
    }))

  it.effect("is not needed for what concerns nobody", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      for (const path of ["/", "/health", "/metrics", "/openapi.json", "/api/sessions"]) {
        const { headers, status } = yield* ada.send("GET", path)
        assert.deepStrictEqual([status, setCookie(headers)], [200, ""], path)
      }
      assert.strictEqual((yield* ada.send("GET", "/api/sessions")).json.count, 0)
    }))

  it.effect("counts only as this shop has made it, whoever's id it names", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open(undefined, { COOKIE_SECRET: "the shop's own" })
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      const [id = "", signature = ""] = ada.cookie!.split(".")
      assert.strictEqual(ada.cookie, signed(id, "the shop's own"))
      const forged = [
        "",
        ".",
        id,
        `${id}.`,
        `.${signature}`,
        `${id}.${signature}.`,
        `${id}.${signature.slice(0, -1)}`,
        `${id}.${signature}=`,
        `${id}.${"A".repeat(43)}`,
        `${"A".repeat(32)}.${signature}`,
        signed(id, "another's"),
        signed(id, ""),
        "%E0%A4%A",
        "x".repeat(5_000)
      ]
      for (const cookie of forged) {
        const mallory = shop.visitor()
        mallory.cookie = cookie
        assert.strictEqual((yield* mallory.session).state.count, 0, cookie)
        assert.notInclude(mallory.cookie, id)
      }
      assert.strictEqual((yield* ada.session).state.count, 1)
    }))

  it.effect("never makes a session live again under the id that it brings", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ idleTimeout: "30 minutes" }, { COOKIE_SECRET: "s" })
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      const old = ada.cookie!
      yield* shop.run(TestSessions.elapse("29 minutes"))
      assert.strictEqual((yield* ada.session).state.count, 1)
      yield* shop.run(TestSessions.elapse("30 minutes"))
      assert.strictEqual((yield* ada.session).state.count, 0)
      assert.notStrictEqual(ada.cookie!.slice(0, 32), old.slice(0, 32))

      // Well signed, but never live: the shop was restarted with the same secret.
      const bob = shop.visitor()
      bob.cookie = signed("B".repeat(32), "s")
      yield* bob.session
      assert.notInclude(bob.cookie, "B".repeat(32))
      const carts = yield* shop.run(Visit)
      assert.isFalse(yield* carts.has("B".repeat(32)))
      assert.strictEqual((yield* (yield* shop.run(Sessions)).count).count, 2)
    }))
})
