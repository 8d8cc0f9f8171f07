import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"
import { Member } from "../../examples/demo/Member.ts"
import * as ShopRoom from "./ShopRoom.ts"

const login = (visitor: ShopRoom.Visitor, user: unknown, headers: Record<string, string> = {}) =>
  visitor.send("POST", "/api/login", { json: { user }, headers })

const devices = (visitor: ShopRoom.Visitor): Effect.Effect<Array<any>> =>
  Effect.map(visitor.send("GET", "/api/devices"), ({ json }) => json)

const end = (visitor: ShopRoom.Visitor, id: string) => visitor.send("DELETE", `/api/devices/${id}`)

/** The address of the session that a cookie names. */
const idOf = ({ cookie }: ShopRoom.Visitor): string => cookie!.split(".")[1]!

describe("login", () => {
  it.effect("keeps the cart and sets a new cookie; the old one is no longer valid", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      yield* ada.add("tea", 2)
      const thief = ada.twin
      const before = ada.cookie!
      const { headers, json, status } = yield* login(ada, "ada")
      assert.deepStrictEqual([status, Object.keys(json), json.user], [200, ["user", "token"], "ada"])
      assert.match(json.token, /^[\w-]+\.[\w-]+\.[\w-]+$/)
      assert.match(headers.get("set-cookie")!, /^visitor=[^;]+; Max-Age=34560000; Path=\/; HttpOnly; SameSite=Lax$/)
      assert.notStrictEqual(ada.cookie!.split(".")[0], before.split(".")[0])
      assert.notInclude(json.token, ada.cookie!.split(".")[0]!)
      assert.strictEqual((yield* ada.session).state.count, 2)
      assert.deepStrictEqual((yield* ada.send("GET", "/api/state?select=user")).json, { name: "Ada" })

      const early = yield* thief.send("GET", "/api/devices")
      assert.deepStrictEqual([early.status, early.json._tag, early.headers.get("retry-after")], [
        409,
        "CookieReplaced",
        "1"
      ])
      yield* TestClock.adjust("10 seconds")
      const refused = yield* thief.send("GET", "/api/devices")
      assert.deepStrictEqual([refused.status, refused.json._tag], [401, "NotLoggedIn"])
      assert.strictEqual((yield* thief.send("DELETE", "/api/cart/items/tea")).status, 404)
      assert.strictEqual((yield* thief.session).state.count, 0)
      assert.strictEqual((yield* ada.session).state.count, 2)
    }))

  it.effect("replaces the cookie each time, also for the same user", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const seen = new Set<string>()
      for (const user of ["ada", "ada", "grace", "newcomer"]) {
        assert.strictEqual((yield* login(ada, user)).status, 200)
        seen.add(ada.cookie!.split(".")[0]!)
        assert.strictEqual((yield* devices(ada)).length, 1)
      }
      assert.strictEqual(seen.size, 4)
    }))

  it.effect("as a first or another user disconnects open streams", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const events = yield* ada.events
      yield* events.next
      yield* login(ada, "ada")
      assert.isUndefined(yield* events.next)
      const theirs = yield* ada.events
      yield* theirs.next
      yield* login(ada, "ada")
      yield* ada.add("tea", 1)
      assert.include(yield* theirs.next, "tea")
      yield* login(ada, "grace")
      assert.isUndefined(yield* theirs.next)
      assert.strictEqual((yield* ada.session).state.count, 1)
    }))

  it.effect("with an invalid name is refused, and starts nothing", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      for (
        const user of ["", "../ada", "1ada", "ada ", "ada\n", "a".repeat(33), "ädä", "__proto__", 1, null, undefined]
      ) {
        const { headers, json, status } = yield* login(ada, user)
        assert.deepStrictEqual([status, Object.keys(json)], [400, ["_tag", "message"]], String(user))
        assert.isNull(headers.get("set-cookie"))
      }
      assert.strictEqual((yield* ada.send("GET", "/api/sessions")).json.count, 0)
    }))

  it.effect("from the page of another origin is refused, and changes nothing", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      yield* ada.add("tea", 1)
      const { cookie } = ada
      const foreign: ReadonlyArray<Record<string, string>> = [
        { origin: "http://evil.example" },
        { origin: "null" },
        { origin: "http://localhost:8080" },
        { "sec-fetch-site": "cross-site", origin: "http://evil.example" },
        { "sec-fetch-site": "same-site", origin: "http://localhost" }
      ]
      for (const headers of foreign) {
        const { json, status } = yield* login(ada, "ada", headers)
        assert.deepStrictEqual([status, json._tag, typeof json.message], [403, "CrossOriginRefused", "string"])
        assert.strictEqual((yield* ada.send("DELETE", "/api/session", { headers })).status, 403)
      }
      assert.strictEqual(ada.cookie, cookie)
      assert.strictEqual((yield* ada.send("GET", "/api/devices")).status, 401)
      assert.strictEqual((yield* login(ada, "ada", { origin: "http://localhost" })).status, 200)
      assert.strictEqual((yield* login(ada, "ada", { "sec-fetch-site": "same-origin" })).status, 200)
      assert.strictEqual((yield* ada.session).state.count, 1)
    }))
})

describe("devices", () => {
  it.effect("are the browsers on which a user has logged in", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [desk, phone, other] = [shop.visitor(), shop.visitor(), shop.visitor()]
      yield* login(desk, "ada", { "user-agent": "Desk/1" })
      yield* shop.run(TestSessions.elapse("1 minute"))
      yield* login(phone, "ada", { "user-agent": "Phone/1" })
      yield* login(other, "grace")
      yield* (yield* phone.events).next

      const seen = yield* devices(phone)
      assert.deepStrictEqual(seen.map(({ current, id }) => [id, current]), [[idOf(phone), true], [idOf(desk), false]])
      assert.deepStrictEqual(seen[1], {
        id: idOf(desk),
        startedAt: "1970-01-01T00:00:00.000Z",
        lastActiveAt: "1970-01-01T00:00:00.000Z",
        address: null,
        agent: "Desk/1",
        connections: 0,
        current: false
      })
      assert.strictEqual(seen[0].connections, 1)
      assert.deepStrictEqual((yield* devices(other)).map(({ id }) => id), [idOf(other)])
      // The data about a device is not enough to act as that device.
      const tickets = [desk, phone].map(({ cookie }) => cookie!.split(".")[0]!)
      for (const ticket of tickets) assert.notInclude(JSON.stringify(seen), ticket)
    }))

  it.effect("can be ended: the event stream is over, and the next request finds an empty cart", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [desk, phone] = [shop.visitor(), shop.visitor()]
      yield* login(desk, "ada")
      yield* login(phone, "ada")
      yield* phone.add("honey", 1)
      yield* desk.add("tea", 1)
      const events = yield* phone.events
      assert.include(yield* events.next, "honey")
      const lost = idOf(phone)

      assert.strictEqual((yield* end(desk, lost)).status, 204)
      assert.strictEqual(yield* events.next, ShopRoom.event("end", { reason: "Stopped" }))
      assert.isUndefined(yield* events.next)
      assert.deepStrictEqual((yield* devices(desk)).map(({ id }) => id), [idOf(desk)])
      assert.strictEqual((yield* phone.send("GET", "/api/devices")).status, 401)
      assert.strictEqual((yield* phone.session).state.count, 0)
      assert.notStrictEqual(idOf(phone), lost)
      assert.strictEqual((yield* desk.session).state.count, 1)
      assert.strictEqual((yield* end(desk, lost)).status, 404)
    }))

  it.effect("are only for users who have logged in, and only their own", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [ada, grace, stranger] = [shop.visitor(), shop.visitor(), shop.visitor()]
      yield* login(ada, "ada")
      yield* login(grace, "grace")
      yield* grace.add("tea", 1)
      for (const id of [idOf(grace), "nothing", "__proto__", "A".repeat(32)]) {
        const { json, status } = yield* end(ada, id)
        assert.deepStrictEqual([status, Object.keys(json), json._tag], [404, ["_tag", "message"], "NoSuchDevice"], id)
      }
      assert.strictEqual((yield* grace.session).state.count, 1)

      const refused = [yield* stranger.send("GET", "/api/devices"), yield* end(stranger, idOf(ada))]
      assert.isUndefined(stranger.cookie)
      yield* stranger.session
      refused.push(yield* stranger.send("GET", "/api/devices"), yield* end(stranger, idOf(stranger)))
      for (const { json, status } of refused) {
        assert.deepStrictEqual([status, Object.keys(json), json._tag], [401, ["_tag", "message"], "NotLoggedIn"])
      }
    }))

  it.effect("in use are logged out when ended", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [desk, phone] = [shop.visitor(), shop.visitor()]
      yield* login(desk, "ada")
      yield* login(phone, "ada")
      assert.strictEqual((yield* end(desk, idOf(desk))).status, 204)
      assert.isUndefined(desk.cookie)
      assert.strictEqual((yield* devices(phone)).length, 1)
    }))
})

describe("logout", () => {
  it.effect("ends the visit on this device only, and deletes the cookie", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [desk, phone] = [shop.visitor(), shop.visitor()]
      yield* login(desk, "ada")
      yield* login(phone, "ada")
      yield* desk.add("tea", 1)
      const thief = desk.twin
      const events = yield* desk.events
      yield* events.next
      assert.strictEqual((yield* desk.send("POST", "/api/logout")).status, 204)
      assert.isUndefined(desk.cookie)
      assert.strictEqual(yield* events.next, ShopRoom.event("end", { reason: "Stopped" }))
      assert.isUndefined(yield* events.next)
      assert.strictEqual((yield* thief.send("GET", "/api/session")).status, 409)
      yield* TestClock.adjust("10 seconds")
      for (const visitor of [desk, thief]) {
        assert.strictEqual((yield* visitor.send("GET", "/api/devices")).status, 401)
        assert.strictEqual((yield* visitor.session).state.count, 0)
      }
      assert.deepStrictEqual((yield* devices(phone)).map(({ id }) => id), [idOf(phone)])
    }))

  it.effect("without a visit does nothing", () =>
    Effect.gen(function*() {
      const stranger = (yield* ShopRoom.open()).visitor()
      assert.strictEqual((yield* stranger.send("POST", "/api/logout")).status, 204)
      assert.strictEqual((yield* stranger.send("GET", "/api/sessions")).json.count, 0)
    }))
})

describe("a member", () => {
  it.effect("sees the carts of all devices of the user", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [desk, phone] = [shop.visitor(), shop.visitor()]
      yield* login(desk, "ada")
      yield* login(phone, "ada")
      yield* desk.add("tea", 1)
      const member = yield* (yield* shop.run(Member)).start("ada", { user: "ada" })
      const carts = Effect.gen(function*() {
        yield* TestSessions.settle
        const { devices } = yield* member.state
        return Object.fromEntries(devices.map(({ cart, id }) => [id, cart.count]))
      })
      assert.deepStrictEqual(yield* carts, { [idOf(desk)]: 1, [idOf(phone)]: 0 })
      yield* phone.add("honey", 3)
      assert.deepStrictEqual(yield* carts, { [idOf(desk)]: 1, [idOf(phone)]: 3 })
      assert.strictEqual((yield* member.state).user?.name, "Ada")

      // Ada must not see the next user of that browser.
      yield* login(phone, "grace")
      assert.deepStrictEqual(yield* carts, { [idOf(desk)]: 1 })
      yield* phone.add("honey", 1)
      assert.deepStrictEqual(yield* carts, { [idOf(desk)]: 1 })
      yield* login(phone, "ada")
      assert.deepStrictEqual(yield* carts, { [idOf(desk)]: 1, [idOf(phone)]: 4 })

      yield* phone.send("POST", "/api/logout")
      assert.deepStrictEqual(yield* carts, { [idOf(desk)]: 1 })
      assert.isTrue(Option.isSome(yield* (yield* shop.run(Member)).find("ada")))
    }))
})
