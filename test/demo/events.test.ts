import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"
import { Visit } from "../../examples/demo/Visit.ts"
import * as ShopRoom from "./ShopRoom.ts"

const empty = ShopRoom.event("state", { items: [], count: 0, total: 0 })
const tea = (quantity: number) =>
  ShopRoom.event("state", { items: [{ sku: "tea", quantity, price: 4.5 }], count: quantity, total: quantity * 4.5 })
const ended = (reason: string) => ShopRoom.event("end", { reason })

describe("events", () => {
  it.effect("send the cart to every open page at once, and after each change", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      const first = yield* ada.events
      assert.strictEqual(first.response.headers.get("content-type"), "text/event-stream")
      assert.isString(ada.cookie)
      assert.strictEqual(yield* first.next, empty)
      yield* ada.add("tea", 1)
      assert.strictEqual(yield* first.next, tea(1))

      const second = yield* ada.twin.events
      assert.strictEqual(yield* second.next, tea(1))
      const stranger = yield* shop.visitor().events
      assert.strictEqual(yield* stranger.next, empty)

      yield* ada.twin.add("tea", 1)
      assert.strictEqual(yield* first.next, tea(2))
      assert.strictEqual(yield* second.next, tea(2))
      yield* ada.send("DELETE", "/api/cart/items/tea")
      assert.strictEqual(yield* first.next, empty)
      assert.strictEqual(yield* second.next, empty)
    }))

  it.effect("end with the visit", () =>
    Effect.gen(function*() {
      const ada = (yield* ShopRoom.open()).visitor()
      const events = yield* ada.events
      yield* events.next
      yield* ada.send("DELETE", "/api/session")
      assert.strictEqual(yield* events.next, ended("Stopped"))
      assert.isUndefined(yield* events.next)
    }))

  it.effect("end when the session expires: watching is not activity", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open({ idleTimeout: "10 seconds" })
      const events = yield* shop.visitor().events
      yield* events.next
      yield* shop.run(TestSessions.elapse("10 seconds"))
      assert.strictEqual(yield* events.next, ended("Expired"))
      assert.isUndefined(yield* events.next)
    }))

  it.effect("come with a comment every 15 seconds, so that no proxy takes the stream for dead", () =>
    Effect.gen(function*() {
      const events = yield* (yield* ShopRoom.open()).visitor().events
      yield* events.next
      for (let i = 0; i < 3; i++) {
        yield* TestSessions.settle
        yield* TestClock.adjust("15 seconds")
        assert.strictEqual(yield* events.next, ": keep-alive")
      }
    }))

  it.effect("leave nothing behind when the page is closed", () =>
    Effect.gen(function*() {
      const shop = yield* ShopRoom.open()
      const ada = shop.visitor()
      const events = yield* ada.events
      yield* events.next
      const carts = yield* shop.run(Visit)
      const [cart] = yield* carts.list
      assert.deepInclude(yield* cart!.info, { connections: 1, watchers: 2 })
      yield* events.close
      yield* TestSessions.settle
      assert.deepInclude(yield* cart!.info, { connections: 0, watchers: 0 })
    }))
})
