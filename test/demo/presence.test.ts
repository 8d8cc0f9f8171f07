import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { TestSessions } from "effect-sessions/testing"
import { attend } from "../../examples/demo/Attendance.ts"
import { Hearing } from "../../examples/demo/Hearing.ts"
import { Visit } from "../../examples/demo/Visit.ts"
import * as ShopRoom from "./ShopRoom.ts"

type Room = Effect.Success<ReturnType<typeof ShopRoom.open>>

/** The id of the visit that a cookie names. */
const idOf = ({ cookie }: ShopRoom.Visitor): string => cookie!.split(".")[1]!

const login = (visitor: ShopRoom.Visitor, user: string) => visitor.send("POST", "/api/login", { json: { user } })

/** Opens a page of the visitor. */
const page = (shop: Room, visitor: ShopRoom.Visitor) =>
  Effect.gen(function*() {
    yield* visitor.session
    const scope = yield* Scope.fork(yield* Effect.scope, "sequential")
    const session = (yield* shop.run(Visit)).ref(idOf(visitor))
    yield* shop.run(Scope.provide(attend(session), scope))
    return { close: Scope.close(scope, Exit.void) }
  })

/** `Ada 2` for each person in the shop, with the number of devices. */
const present = (shop: Room) =>
  Effect.gen(function*() {
    yield* TestSessions.settle
    const { json, status } = yield* shop.visitor().send("GET", "/api/presence")
    assert.strictEqual(status, 200)
    return json.map(({ devices, name }: any) => `${name} ${devices.length}`)
  })

describe("who is in the shop", () => {
  it.effect("is empty at first, and never lists a visitor without a page", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      yield* shop.visitor().session
      assert.deepStrictEqual(yield* present(shop), [])
    }))

  it.effect("is listed in the order in which they came, users once with all devices", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [guest, desk, phone] = [shop.visitor(), shop.visitor(), shop.visitor()]
      yield* page(shop, guest)
      yield* shop.run(TestSessions.elapse("1 second"))
      yield* login(desk, "ada")
      yield* page(shop, desk)
      // Two tabs of a browser are one device.
      yield* page(shop, desk)
      yield* shop.run(TestSessions.elapse("1 second"))
      yield* login(phone, "ada")
      yield* page(shop, phone)

      const { json } = yield* shop.visitor().send("GET", "/api/presence")
      assert.match(json[0].key, /^guest:[\w-]{16}$/)
      const agent = "Something unknown"
      assert.deepStrictEqual(json, [
        { key: json[0].key, name: "Guest", devices: [{ agent, since: "1970-01-01T00:00:00.000Z" }] },
        {
          key: "ada",
          name: "Ada",
          devices: [{ agent, since: "1970-01-01T00:00:01.000Z" }, { agent, since: "1970-01-01T00:00:02.000Z" }]
        }
      ])
      for (const { cookie } of [guest, desk, phone]) {
        for (const secret of cookie!.split(".").slice(0, 2)) assert.notInclude(JSON.stringify(json), secret)
      }
    }))

  it.effect("lists a visitor for two seconds after the last page has closed, so that others do not see a reload", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* login(ada, "ada")
      const since = Effect.map(ada.send("GET", "/api/presence"), ({ json }) => json[0]?.devices[0].since)
      yield* (yield* page(shop, ada)).close
      yield* shop.run(TestSessions.elapse("1900 millis"))
      assert.deepStrictEqual(yield* present(shop), ["Ada 1"])

      const [first, second] = [yield* page(shop, ada), yield* page(shop, ada)]
      yield* first.close
      yield* shop.run(TestSessions.elapse("10 seconds"))
      assert.deepStrictEqual([yield* present(shop), yield* since], [["Ada 1"], "1970-01-01T00:00:00.000Z"])
      yield* second.close
      yield* shop.run(TestSessions.elapse("2 seconds"))
      assert.deepStrictEqual(yield* present(shop), [])
    }))

  it.effect("lists the user as soon as a guest has logged in, and never both", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* page(shop, ada)
      assert.deepStrictEqual(yield* present(shop), ["Guest 1"])
      const hearing = (yield* shop.run(Hearing)).ref(idOf(ada))
      const { you: guest } = yield* hearing.state
      // A guest may have any name, and is a guest.
      yield* ada.send("POST", "/api/dispatch?wait=1", { json: { type: "user.rename", payload: "Ada" } })
      assert.deepStrictEqual(yield* present(shop), ["Guest 1"])
      yield* login(ada, "ada")
      assert.deepStrictEqual(yield* present(shop), ["Ada 1"])
      // The page gets its own name.
      assert.deepStrictEqual((yield* hearing.state).you, { key: "ada", device: guest!.device })
      assert.strictEqual(guest!.key, `guest:${guest!.device}`)

      // Neither a rename nor time travel changes who she is.
      yield* ada.send("POST", "/api/dispatch?wait=1", { json: { type: "user.rename", payload: "Bob" } })
      yield* ada.send("POST", "/api/history/0")
      assert.deepStrictEqual(yield* present(shop), ["Ada 1"])
    }))

  it.effect("does not limit visitors: a full list takes no more, and the shop still serves", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ maxSessions: 1 })
      const ada = shop.visitor()
      yield* page(shop, ada)
      assert.deepStrictEqual(yield* present(shop), [])
      assert.strictEqual((yield* ada.add("tea", 1)).status, 200)
    }))
})
