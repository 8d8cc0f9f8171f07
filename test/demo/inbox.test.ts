import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestSessions } from "effect-sessions/testing"
import { Inboxes } from "../../examples/demo/Inboxes.ts"
import * as ShopRoom from "./ShopRoom.ts"

const login = (visitor: ShopRoom.Visitor, user: string) => visitor.send("POST", "/api/login", { json: { user } })

const push = (visitor: ShopRoom.Visitor, user: unknown, text: unknown, kind: unknown = "message") =>
  visitor.send("POST", "/api/notifications", { json: { user, kind, text } })

const inbox = (visitor: ShopRoom.Visitor): Effect.Effect<any> =>
  Effect.map(visitor.send("GET", "/api/notifications"), ({ json }) => json)

const texts = (visitor: ShopRoom.Visitor) =>
  Effect.map(inbox(visitor), ({ notifications }) => notifications.map(({ text }: any) => text))

const read = (visitor: ShopRoom.Visitor, ids: unknown) =>
  visitor.send("POST", "/api/notifications/read", { json: { ids } })

/** A shop, and two who have logged in. */
const opened = Effect.gen(function*() {
  const shop = yield* ShopRoom.open()
  const [ada, bob] = [shop.visitor(), shop.visitor()]
  yield* login(ada, "ada")
  yield* login(bob, "bob")
  return { shop, ada, bob }
})

describe("the inbox", () => {
  it.effect("has the messages of others, newest first, whether its user was online or not", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const [bob, guest] = [shop.visitor(), shop.visitor()]
      yield* login(bob, "bob")
      // Ada has never been here.
      const pushed = yield* push(bob, "ada", "  the tea is fresh ")
      assert.deepStrictEqual([pushed.status, Object.keys(pushed.json)], [201, ["id"]])
      yield* shop.run(TestSessions.elapse("1 minute"))
      const offered = yield* push(guest, "ada", "two for one", "offer")
      assert.isAbove(offered.json.id, pushed.json.id)

      const ada = shop.visitor()
      yield* login(ada, "ada")
      assert.deepStrictEqual(yield* inbox(ada), {
        unread: 2,
        notifications: [
          {
            id: offered.json.id,
            kind: "offer",
            from: null,
            text: "two for one",
            at: "1970-01-01T00:01:00.000Z",
            readAt: null
          },
          {
            id: pushed.json.id,
            kind: "message",
            from: "bob",
            text: "the tea is fresh",
            at: "1970-01-01T00:00:00.000Z",
            readAt: null
          }
        ]
      })
      assert.deepStrictEqual(yield* inbox(bob), { unread: 0, notifications: [] })
    }))

  it.effect("marks named notifications as read, once", () =>
    Effect.gen(function*() {
      const { ada, bob, shop } = yield* opened
      const [first, second] = [(yield* push(bob, "ada", "one")).json.id, (yield* push(bob, "ada", "two")).json.id]
      yield* shop.run(TestSessions.elapse("1 second"))
      const done = yield* read(ada, [first, first, 0, -1, 9e15])
      assert.deepStrictEqual([done.status, done.json], [200, { read: 1, unread: 1 }])
      assert.deepStrictEqual((yield* read(ada, [first])).json, { read: 0, unread: 1 })
      // No user can read the inbox of another.
      assert.deepStrictEqual((yield* read(bob, [second])).json, { read: 0, unread: 0 })
      const { notifications, unread } = yield* inbox(ada)
      assert.strictEqual(unread, 1)
      assert.deepStrictEqual(notifications.map(({ readAt }: any) => readAt), [null, "1970-01-01T00:00:01.000Z"])
      for (const bad of [["x"], [0.5], null, Array.from({ length: 101 }, () => 1)]) {
        assert.strictEqual((yield* read(ada, bad)).status, 400)
      }
    }))

  it.effect("is only for users who have logged in", () =>
    Effect.gen(function*() {
      const guest = (yield* ShopRoom.open()).visitor()
      for (const visited of [false, true]) {
        if (visited) yield* guest.session
        for (const { json, status } of [yield* guest.send("GET", "/api/notifications"), yield* read(guest, [1])]) {
          assert.deepStrictEqual([status, Object.keys(json), json._tag], [401, ["_tag", "message"], "NotLoggedIn"])
        }
      }
    }))

  it.effect("refuses what does not fit", () =>
    Effect.gen(function*() {
      const { ada, shop } = yield* opened
      const bad: ReadonlyArray<readonly [user: unknown, text: unknown, kind: unknown, status: number]> = [
        ["ada", "", "message", 400],
        ["ada", " \n\t ", "message", 400],
        ["ada", "x".repeat(281), "message", 400],
        ["ada", 5, "message", 400],
        ["ada", undefined, "message", 400],
        ["ada", "x", "stock", 400],
        ["ada", "x", "gossip", 400],
        ["ada", "x", "__proto__", 400],
        ["../ada", "x", "message", 400],
        ["guest:1", "x", "message", 400]
      ]
      for (const [user, text, kind, expected] of bad) {
        const stranger = shop.visitor()
        const { json, status } = yield* push(stranger, user, text, kind)
        assert.deepStrictEqual([status, Object.keys(json)], [expected, ["_tag", "message"]], `${user} ${text} ${kind}`)
        assert.isUndefined(stranger.cookie, "a bad notification starts no visit")
      }
      assert.strictEqual((yield* push(shop.visitor(), "ada", "x".repeat(280))).status, 201)
      assert.deepStrictEqual(yield* texts(ada), ["x".repeat(280)])
    }))

  it.effect("cannot be flooded: each visitor may send 20 messages a minute, on any number of devices", () =>
    Effect.gen(function*() {
      const { ada, bob, shop } = yield* opened
      const phone = shop.visitor()
      yield* login(phone, "bob")
      for (let i = 0; i < 20; i++) assert.strictEqual((yield* push(i % 2 ? bob : phone, "ada", `${i}`)).status, 201)
      for (const visitor of [bob, phone]) {
        const { headers, json, status } = yield* push(visitor, "ada", "more")
        assert.deepStrictEqual([status, json._tag, headers.get("retry-after")], [429, "TooManyMessages", "60"])
      }
      assert.strictEqual((yield* push(shop.visitor(), "ada", "from another")).status, 201)
      assert.strictEqual((yield* inbox(ada)).unread, 21)
      yield* shop.run(TestSessions.elapse("1 minute"))
      assert.strictEqual((yield* push(bob, "ada", "again")).status, 201)
    }))

  it.effect("stores 50 notifications, and removes read ones first", () =>
    Effect.gen(function*() {
      const { ada, shop } = yield* opened
      const inboxes = yield* shop.run(Inboxes)
      const ids: Array<number> = []
      for (let i = 0; i < 50; i++) {
        ids.push((yield* inboxes.push("ada", "message", { from: null, text: `${i}` })).id)
      }
      yield* read(ada, [ids[7]])
      for (const text of ["a", "b"]) yield* inboxes.push("ada", "message", { from: null, text })
      const kept = yield* texts(ada)
      assert.strictEqual(kept.length, 50)
      assert.deepStrictEqual([kept[0], kept[1], kept.includes("7"), kept.at(-1)], ["b", "a", false, "1"])
    }))
})
