import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Logger, References, Schema } from "effect"
import { Session, SessionAlerts, SessionEvents } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Int,
  protocol: [Rpc.make("Nap", { payload: Schema.Int })]
}) {}
const CartLayer = Cart.toLayer(Cart.behavior({
  init: () => 0,
  handlers: { Nap: ({ payload, state }) => Effect.as(Effect.sleep(payload), [state] as const) }
}))

const alerting = (
  told: Array<SessionAlerts.Alert>,
  options: { readonly slowCall?: "2 seconds"; readonly nearLimit?: number } = {},
  maxSessions = 10
) =>
  SessionAlerts.layer({
    ...options,
    onAlert: (alert) =>
      Effect.sync(() => {
        told.push(alert)
      })
  }).pipe(Layer.provideMerge(TestSessions.layer(CartLayer, { maxSessions })))

/** Calls a handler that takes so long. */
const nap = (millis: number) =>
  Effect.gen(function*() {
    const ref = yield* (yield* Cart).start("ada")
    const call = yield* Effect.forkChild(ref.call("Nap", millis, { timeout: "1 hour" }))
    yield* TestClock.adjust(millis)
    yield* Fiber.join(call)
  })

describe("the alert about a slow call", () => {
  it.effect("comes when the answer took a second, and not a millisecond sooner", () => {
    const told: Array<SessionAlerts.Alert> = []
    return Effect.gen(function*() {
      yield* nap(999)
      assert.deepStrictEqual(told, [])
      yield* nap(1_000)
      assert.deepStrictEqual(told, [{ _tag: "SlowCall", kind: "Cart", id: "ada", tag: "Nap", duration: 1_000 }])
    }).pipe(Effect.provide(alerting(told)))
  })

  it.effect("has the threshold that it is given", () => {
    const told: Array<SessionAlerts.Alert> = []
    return Effect.gen(function*() {
      yield* nap(1_999)
      assert.deepStrictEqual(told, [])
      yield* nap(2_000)
      yield* nap(3_000)
      assert.deepStrictEqual(told.map((alert) => alert._tag === "SlowCall" && alert.duration), [2_000, 3_000])
    }).pipe(Effect.provide(alerting(told, { slowCall: "2 seconds" })))
  })

  it.effect("is not sent for a cast, for which no caller waits", () => {
    const told: Array<SessionAlerts.Alert> = []
    return Effect.gen(function*() {
      yield* (yield* (yield* Cart).start("ada")).cast("Nap", 5_000)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(told, [])
    }).pipe(Effect.provide(alerting(told)))
  })
})

describe("the alert about the limit of sessions", () => {
  const ids = Array.from({ length: 10 }, (_, i) => `cart-${i}`)

  it.effect("comes once each time that nine tenths are reached from below", () => {
    const told: Array<SessionAlerts.Alert> = []
    return Effect.gen(function*() {
      const carts = yield* Cart
      yield* carts.startAll(ids.slice(0, 8))
      assert.deepStrictEqual(told, [])
      yield* carts.start(ids[8]!)
      const first: SessionAlerts.Alert = { _tag: "NearLimit", count: 9, limit: 10, utilisation: 90 }
      assert.deepStrictEqual(told, [first])
      yield* carts.start(ids[9]!)
      yield* carts.end(ids[9]!)
      yield* carts.start(ids[9]!)
      assert.deepStrictEqual(told, [first])
      yield* carts.endAll(ids.slice(8))
      yield* carts.start(ids[8]!)
      assert.deepStrictEqual(told, [first, first])
      yield* carts.endAll()
      assert.deepStrictEqual(told, [first, first])
    }).pipe(Effect.provide(alerting(told)))
  })

  it.effect("has the threshold that it is given", () => {
    const told: Array<SessionAlerts.Alert> = []
    return Effect.gen(function*() {
      const carts = yield* Cart
      yield* carts.start(ids[0]!)
      assert.deepStrictEqual(told, [])
      yield* carts.start(ids[1]!)
      assert.deepStrictEqual(told, [{ _tag: "NearLimit", count: 2, limit: 4, utilisation: 50 }])
    }).pipe(Effect.provide(alerting(told, { nearLimit: 0.5 }, 4)))
  })
})

describe("SessionAlerts", () => {
  it.effect("logs warnings without `onAlert`", () => {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
      lines.push(`${logLevel} ${String(message)}`)
    })
    return Effect.gen(function*() {
      yield* nap(1_500)
      yield* TestSessions.settle
      assert.deepStrictEqual(lines.filter((line) => line.startsWith("Warn")), [
        "Warn 1 of 1 sessions are live (100 %): nothing starts beyond the limit",
        "Warn slow call: session Cart/ada took 1500 ms to answer Nap"
      ])
    }).pipe(Effect.provide(
      SessionAlerts.layer().pipe(
        Layer.provideMerge(TestSessions.layer(CartLayer, { maxSessions: 1 })),
        Layer.provide(Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "Info")))
      )
    ))
  })

  it.effect("gives the handler of alerts the services it needs", () => {
    class Pager extends Context.Service<Pager, { readonly page: (text: string) => void }>()("test/Pager") {}
    const pages: Array<string> = []
    return Effect.gen(function*() {
      yield* nap(1_000)
      assert.deepStrictEqual(pages, ["SlowCall"])
    }).pipe(Effect.provide(
      SessionAlerts.layer({ onAlert: ({ _tag }) => Effect.map(Pager, ({ page }) => page(_tag)) }).pipe(
        Layer.provideMerge(TestSessions.layer(CartLayer)),
        Layer.provide(Layer.succeed(Pager, { page: (text) => pages.push(text) }))
      )
    ))
  })

  it.effect("does not harm the session when its handler dies", () =>
    Effect.gen(function*() {
      yield* nap(1_000)
      yield* nap(1_000)
      assert.isTrue(yield* (yield* Cart).has("ada"))
    }).pipe(Effect.provide(
      SessionAlerts.layer({ onAlert: () => Effect.die("no pager") }).pipe(
        Layer.provideMerge(TestSessions.layer(CartLayer))
      )
    )))

  it.effect("stops watching when its Layer is closed", () =>
    Effect.gen(function*() {
      const told: Array<SessionAlerts.Alert> = []
      const watch = SessionAlerts.layer({ onAlert: (alert) => Effect.sync(() => void told.push(alert)) })
      yield* Effect.scoped(Effect.andThen(Layer.build(watch), nap(1_000)))
      yield* nap(1_000)
      assert.strictEqual(told.length, 1)
      assert.isTrue((yield* SessionEvents).active)
    }).pipe(Effect.provide(TestSessions.layer(CartLayer))))
})
