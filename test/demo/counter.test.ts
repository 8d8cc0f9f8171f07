import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"
import { attend } from "../../examples/demo/Attendance.ts"
import { Hearing } from "../../examples/demo/Hearing.ts"
import { Visit } from "../../examples/demo/Visit.ts"
import * as ShopRoom from "./ShopRoom.ts"

type Room = Effect.Success<ReturnType<typeof ShopRoom.open>>

const idOf = ({ cookie }: ShopRoom.Visitor): string => cookie!.split(".")[1]!

const login = (visitor: ShopRoom.Visitor, user: string) => visitor.send("POST", "/api/login", { json: { user } })

const announce = (shop: Room, text: unknown) => shop.visitor().send("POST", "/api/broadcast", { json: { text } })

const restock = (shop: Room, sku: string, left: unknown) =>
  shop.visitor().send("PUT", `/api/stock/${sku}`, { json: { left } })

const news = (visitor: ShopRoom.Visitor): Effect.Effect<Array<any>> =>
  Effect.map(visitor.send("GET", "/api/notifications"), ({ json }) => json.notifications)

/** Opens a page of the visitor, for as long as the Scope lives. */
const page = (shop: Room, visitor: ShopRoom.Visitor) =>
  Effect.gen(function*() {
    yield* visitor.session
    yield* shop.run(attend((yield* shop.run(Visit)).ref(idOf(visitor))))
  })

/** What the visitor has heard. */
const heard = (shop: Room, visitor: ShopRoom.Visitor) =>
  Effect.gen(function*() {
    yield* TestSessions.settle
    const { announcements } = yield* (yield* shop.run(Hearing)).ref(idOf(visitor)).state
    return announcements.map(({ text }) => text)
  })

describe("an announcement", () => {
  it.effect("reaches each visit whose page is open, or was a minute ago, and none that comes later", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      assert.deepStrictEqual((yield* announce(shop, "Is anybody there?")).json, { delivered: 0 })
      const [ada, bob, late, away] = [shop.visitor(), shop.visitor(), shop.visitor(), shop.visitor()]
      yield* away.session
      yield* page(shop, ada)
      yield* page(shop, ada)
      const said = yield* Effect.scoped(Effect.andThen(page(shop, bob), announce(shop, " We close at nine. ")))
      assert.deepStrictEqual([said.status, said.json], [200, { delivered: 2 }])
      yield* shop.run(TestSessions.elapse("59 seconds"))
      assert.deepStrictEqual((yield* announce(shop, "Five minutes left.")).json, { delivered: 2 })
      yield* page(shop, late)
      assert.deepStrictEqual(yield* heard(shop, ada), ["We close at nine.", "Five minutes left."])
      assert.deepStrictEqual(yield* heard(shop, bob), ["We close at nine.", "Five minutes left."])
      assert.deepStrictEqual(yield* heard(shop, late), [])
      yield* shop.run(TestSessions.elapse("1 second"))
      assert.deepStrictEqual((yield* announce(shop, "Good night.")).json, { delivered: 2 })
    }))

  it.effect("is neither removed nor repeated by time travel or login", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* page(shop, ada)
      yield* ada.add("tea", 1)
      yield* announce(shop, "We close at nine.")
      yield* ada.add("tea", 1)
      yield* ada.send("POST", "/api/history/0")
      yield* login(ada, "ada")
      assert.deepStrictEqual(yield* heard(shop, ada), ["We close at nine."])
      assert.lengthOf((yield* ada.send("GET", "/api/history")).json, 3)

      const hearing = (yield* shop.run(Hearing)).ref(idOf(ada))
      const { announcements: [announcement] } = yield* hearing.state
      yield* hearing.call("Dismiss", { id: announcement!.id })
      yield* ada.send("POST", "/api/history/2")
      assert.deepStrictEqual(yield* heard(shop, ada), [])
    }))

  it.effect("is one of three at most, and limited in ten seconds", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* page(shop, ada)
      for (const text of ["1", "2", "3", "4"]) yield* announce(shop, text)
      assert.deepStrictEqual(yield* heard(shop, ada), ["2", "3", "4"])
      for (let i = 0; i < 50; i++) yield* announce(shop, "and another one")
      assert.deepStrictEqual((yield* announce(shop, "unheard")).json, { delivered: 0 })
      yield* shop.run(TestSessions.elapse("10 seconds"))
      assert.deepStrictEqual((yield* announce(shop, "heard")).json, { delivered: 1 })
    }))

  it.effect("has 1 to 280 characters", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      for (const bad of ["", "  ", "x".repeat(281), 1, null, undefined]) {
        const { json, status } = yield* announce(shop, bad)
        assert.deepStrictEqual([status, Object.keys(json)], [400, ["_tag", "message"]], String(bad))
      }
      assert.strictEqual((yield* announce(shop, "x".repeat(280))).status, 200)
    }))
})

describe("a change of the stock", () => {
  it.effect("notifies the users who have the product in a cart, with the newest number only", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [desk, phone, bob, guest] = [shop.visitor(), shop.visitor(), shop.visitor(), shop.visitor()]
      for (const [visitor, user] of [[desk, "ada"], [phone, "ada"], [bob, "bob"]] as const) yield* login(visitor, user)
      for (const visitor of [desk, phone, guest]) yield* visitor.add("honey", 2)
      yield* bob.add("tea", 1)

      const changed = yield* restock(shop, "honey", 3)
      assert.deepStrictEqual([changed.status, changed.json], [200, { sku: "honey", left: 3, notified: 1 }])
      yield* restock(shop, "tea", 7)
      const [first] = yield* news(desk)
      assert.deepInclude(first, {
        kind: "stock",
        from: null,
        text: "Only 3 left of Honey",
        sku: "honey",
        left: 3,
        readAt: null
      })
      assert.deepStrictEqual((yield* news(bob)).map(({ text }) => text), ["Tea: 7 in stock now"])

      yield* desk.send("POST", "/api/notifications/read", { json: { ids: [first.id] } })
      yield* restock(shop, "honey", 0)
      const [second, ...others] = yield* news(phone)
      assert.deepInclude(second, { text: "Honey is sold out", left: 0, readAt: null })
      assert.isAbove(second.id, first.id)
      assert.deepStrictEqual(others, [])
      yield* desk.send("DELETE", "/api/cart/items/honey")
      yield* phone.send("DELETE", "/api/session")
      assert.strictEqual((yield* restock(shop, "honey", 9)).json.notified, 0)
    }))

  it.effect("is the stock from then on", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* ada.send("POST", "/api/dispatch?wait=1", { json: { type: "catalog.check", payload: { sku: "honey" } } })
      yield* restock(shop, "honey", 4)
      yield* TestClock.adjust("800 millis")
      assert.deepStrictEqual((yield* ada.send("GET", "/api/state?select=catalog")).json.stock, { honey: 4 })
    }))

  it.effect("is refused for an unknown product or an impossible number", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      for (
        const [sku, left] of [["gold", 1], ["tea", -1], ["tea", 1.5], ["tea", 10_000], ["tea", "3"], ["tea", null]]
      ) {
        const { json, status } = yield* restock(shop, String(sku), left)
        assert.deepStrictEqual([status, Object.keys(json)], [400, ["_tag", "message"]], `${sku} ${left}`)
      }
    }))
})
