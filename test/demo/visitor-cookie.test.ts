import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Sessions } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { createHash, createHmac } from "node:crypto"
import { Visit } from "../../examples/demo/Visit.ts"
import * as ShopRoom from "./ShopRoom.ts"

const setCookie = (headers: Headers): string => headers.get("set-cookie") ?? ""

/** A cookie as the shop signs it: its key is made from the secret, and the signature covers the cookie's name. */
const signed = (text: string, secret: string, name = "visitor"): string => {
  const key = createHash("sha256").update(secret).digest("base64")
  return `${text}.${createHmac("sha256", key).update(`${name}=${text}`).digest("base64url")}`
}

describe("the visitor's cookie", () => {
  it.effect("is protected from scripts, other sites, and plain HTTP", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const local = yield* shop.visitor().send("GET", "/api/session", { headers: { host: "localhost:3000" } })
      assert.match(
        setCookie(local.headers),
        /^visitor=[\w-]{32}\.[\w-]{32}\.[0-9a-z]+\.[\w-]{43}; Max-Age=34560000; Path=\/; HttpOnly; SameSite=Lax$/
      )
      const remote = yield* shop.visitor().send("GET", "/api/session", { headers: { host: "shop.example" } })
      assert.match(
        setCookie(remote.headers),
        /^__Host-visitor=[^;]+; Max-Age=34560000; Path=\/; HttpOnly; Secure; SameSite=Lax$/
      )
    }))

  it.effect("is set once", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.session
      assert.strictEqual(setCookie((yield* ada.send("GET", "/api/session")).headers), "")
      assert.strictEqual(setCookie((yield* ada.add("tea", 1)).headers), "")
    }))

  it.effect("is not needed for requests without a visitor", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      for (const path of ["/", "/health", "/metrics", "/openapi.json", "/api/sessions"]) {
        const { headers, status } = yield* ada.send("GET", path)
        assert.deepStrictEqual([status, setCookie(headers)], [200, ""], path)
      }
      assert.strictEqual((yield* ada.send("GET", "/api/sessions")).json.count, 0)
    }))

  it.effect("is valid only as this shop has signed it, whatever id it names", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open(undefined, { COOKIE_SECRET: "the shop's own" })
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      const { cookie = "" } = ada
      const [ticket = "", id = "", expires = "", signature = ""] = cookie.split(".")
      const text = `${ticket}.${id}.${expires}`
      assert.strictEqual(cookie, signed(text, "the shop's own"))
      const forged = [
        "",
        ".",
        "...",
        id,
        ticket,
        text,
        `${text}.`,
        `.${signature}`,
        `${id}.${signature}`,
        `${ticket}.${id}.${signature}`,
        `${cookie}.`,
        cookie.slice(0, -1),
        `${cookie}=`,
        `${text}.${"A".repeat(43)}`,
        // Another ticket, another id, a later end, none: under the signature of what was there before.
        `${"A".repeat(32)}.${id}.${expires}.${signature}`,
        `${ticket}.${"A".repeat(32)}.${expires}.${signature}`,
        `${id}.${ticket}.${expires}.${signature}`,
        `${ticket}.${id}.zzzzzz.${signature}`,
        `${ticket}.${id}..${signature}`,
        signed(text, "another's"),
        signed(text, ""),
        // The right key, but for a cookie of another name, or none.
        signed(text, "the shop's own", "session"),
        signed(text, "the shop's own", ""),
        "%E0%A4%A",
        "x".repeat(5_000)
      ]
      for (const cookie of forged) {
        const mallory = shop.visitor()
        mallory.cookie = cookie
        assert.strictEqual((yield* mallory.session).state.count, 0, cookie)
        assert.notInclude(mallory.cookie, id, cookie)
        assert.notInclude(mallory.cookie, ticket, cookie)
      }
      assert.strictEqual((yield* ada.session).state.count, 1)
    }))

  it.effect("never starts a session under the id that it names", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ idleTimeout: "30 minutes" }, { COOKIE_SECRET: "s" })
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      const old = ada.cookie!
      yield* shop.run(TestSessions.elapse("29 minutes"))
      assert.strictEqual((yield* ada.session).state.count, 1)
      yield* shop.run(TestSessions.elapse("30 minutes"))
      assert.strictEqual((yield* ada.session).state.count, 0)
      assert.strictEqual(old.split(".").filter((part) => ada.cookie!.includes(part)).length, 0)

      // Well signed, but never live: the shop was restarted with the same secret.
      const bob = shop.visitor()
      bob.cookie = signed(`${"T".repeat(32)}.${"B".repeat(32)}.`, "s")
      yield* bob.session
      assert.notInclude(bob.cookie, "B".repeat(32))
      assert.notInclude(bob.cookie, "T".repeat(32))
      const carts = yield* shop.run(Visit)
      assert.isFalse(yield* carts.has("B".repeat(32)))
      assert.strictEqual((yield* (yield* shop.run(Sessions)).count).count, 2)
    }))

  it.effect("names a session that knows its visitor by the ticket, not by the id", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open(undefined, { COOKIE_SECRET: "s" })
      const ada = shop.visitor()
      yield* ada.add("tea", 1)
      const [, id = "", expires = ""] = ada.cookie!.split(".")
      // Not a moment after a login, when requests with the old cookie may still be under way.
      yield* shop.run(TestSessions.elapse("1 minute"))
      const mallory = shop.visitor()
      mallory.cookie = signed(`${"A".repeat(32)}.${id}.${expires}`, "s")
      assert.strictEqual((yield* mallory.session).state.count, 0)
      assert.notInclude(mallory.cookie, id)
      assert.strictEqual((yield* ada.session).state.count, 1)
    }))
})
