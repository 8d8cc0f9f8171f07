import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Metric, Schema, Scope } from "effect"
import { Session, SessionEvents, SessionMetrics, Sessions, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Int,
  args: Schema.UndefinedOr(Schema.Literals(["refuse", "die"])),
  error: Schema.Literal("refused"),
  protocol: [
    Rpc.make("Add", { success: Schema.Int }),
    Rpc.make("Nap", { payload: Schema.Int }),
    Rpc.make("Sample"),
    Rpc.make("Fail", { error: Schema.Literal("no") }),
    Rpc.make("Die")
  ]
}) {}
const CartLayer = Cart.toLayer(
  Cart.behavior({
    init: ({ args }) =>
      args === "refuse" ? Effect.fail("refused" as const) : args === "die" ? Effect.die("dead") : Effect.succeed(0),
    handlers: {
      Add: ({ state }) => [state + 1, state + 1],
      Nap: ({ payload, state }) => Effect.as(Effect.sleep(payload), [state] as const),
      Sample: ({ state }) => [state],
      Fail: () => Effect.fail("no" as const),
      Die: () => {
        throw new Error("dead")
      }
    }
  }),
  {
    mailboxCapacity: 3,
    overflow: { Sample: "dropOldest", Add: "reject" },
    supervision: Supervision.resume({ maxCrashes: 1, backoff: () => 0 })
  }
)

class Room extends Session.Service<Room>()("Room", { state: Schema.Int, protocol: [Rpc.make("Ping")] }) {}
const RoomLayer = Room.toLayer(Room.behavior({ init: () => 0, handlers: { Ping: ({ state }) => [state] } }))

const test = () => TestSessions.layer(Layer.mergeAll(CartLayer, RoomLayer), { maxSessions: 50 })

/** The value of one series. */
const counter = (metric: Metric.Counter<number>, attributes: Record<string, string>) =>
  Effect.map(Metric.value(Metric.withAttributes(metric, attributes)), ({ count }) => count)
const gauge = (metric: Metric.Gauge<number>, attributes: Record<string, string>) =>
  Effect.map(Metric.value(Metric.withAttributes(metric, attributes)), ({ value }) => value)

const cart = { kind: "Cart" }

/** All series of these metrics that are not zero. */
const nonZero = Effect.map(
  Metric.snapshot,
  (series) =>
    Object.fromEntries(
      series.flatMap(({ attributes, id, state }) => {
        const value = Number("count" in state ? state.count : "value" in state ? state.value : NaN)
        const labels = Object.entries(attributes ?? {}).map(([name, value]) => `${name}=${value}`).sort()
        return value === 0 ? [] : [[`${id.replace("effect_sessions_", "")} ${labels.join(" ")}`.trim(), value]]
      }).sort(([one], [other]) => String(one) < String(other) ? -1 : 1)
    )
)

/** Something of everything. */
const life = Effect.gen(function*() {
  const carts = yield* Cart
  const rooms = yield* Room
  yield* rooms.start("lobby")
  const ada = yield* carts.start("ada")
  yield* carts.start("ada")
  yield* carts.start("bob")
  yield* carts.start("gone")
  yield* Effect.flip(carts.start("no", { args: "refuse" }))
  yield* Effect.flip(carts.start("dead", { args: "die" }))
  yield* Effect.flip(carts.start("no id"))

  yield* ada.call("Add")
  yield* ada.cast("Add")
  assert.isTrue(ada.castUnsafe("Add"))
  yield* Effect.flip(ada.call("Fail"))

  // A full mailbox: one is dropped, one refused, one times out.
  yield* ada.cast("Nap", 60_000)
  yield* ada.cast("Sample")
  yield* ada.cast("Sample")
  const late = yield* Effect.forkChild(Effect.flip(ada.call("Nap", 1, { timeout: "10 seconds" })))
  yield* TestSessions.settle
  yield* ada.cast("Sample")
  yield* Effect.flip(ada.cast("Add"))
  yield* TestClock.adjust("10 seconds")
  assert.strictEqual((yield* Fiber.join(late))._tag, "CallTimeout")
  yield* TestClock.adjust("50 seconds")

  yield* carts.end("gone")
  yield* Effect.flip(ada.call("Die"))
  const bob = yield* carts.get("bob")
  yield* Effect.flip(bob.call("Die"))
  yield* Effect.flip(bob.call("Die"))
})

const afterLife = {
  "crashes_total kind=Cart": 3,
  "ended_total kind=Cart reason=crashed": 1,
  "ended_total kind=Cart reason=stopped": 1,
  limit: 50,
  "live kind=Cart": 1,
  "live kind=Room": 1,
  "message_failures_total kind=Cart outcome=dead_letter": 3,
  "message_failures_total kind=Cart outcome=dropped": 1,
  "message_failures_total kind=Cart outcome=rejected": 1,
  "message_failures_total kind=Cart outcome=timeout": 1,
  "messages_total kind=Cart type=call": 6,
  "start_failures_total kind=Cart": 2,
  "started_total kind=Cart": 3,
  "started_total kind=Room": 1
}

describe("SessionMetrics", () => {
  it.effect("count a scripted life, by kind, type, outcome and reason", () =>
    Effect.gen(function*() {
      yield* life
      const { "messages_total kind=Cart type=cast": casts, ...others } = yield* nonZero
      assert.deepStrictEqual(others, afterLife)
      // Add twice, Nap, Sample three times. Whether the refused Add counts is not promised.
      assert.strictEqual(casts, 6)
    }).pipe(Effect.provide(test())))

  it.effect("exist, at zero, before anything has happened", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* gauge(SessionMetrics.live, cart), 0)
      assert.strictEqual(yield* counter(SessionMetrics.started, cart), 0)
      const reasons = (yield* Metric.snapshot)
        .filter(({ attributes, id }) => id === "effect_sessions_ended_total" && attributes?.["kind"] === "Cart")
        .map(({ attributes }) => attributes?.["reason"])
      assert.deepStrictEqual(
        reasons.sort(),
        ["crashed", "disconnected", "evicted", "expired", "moved", "shutdown", "stopped"]
      )
    }).pipe(Effect.provide(test())))

  it.effect("can be read by their names while sessions come and go", () =>
    Effect.gen(function*() {
      const carts = yield* Cart
      for (let i = 0; i < 5; i++) yield* carts.start(`cart-${i}`)
      assert.strictEqual(yield* gauge(SessionMetrics.live, cart), 5)
      yield* carts.end("cart-0")
      assert.strictEqual(yield* gauge(SessionMetrics.live, cart), 4)
      assert.strictEqual(yield* counter(SessionMetrics.ended, { ...cart, reason: "stopped" }), 1)
      yield* TestSessions.elapse("2 hours")
      assert.strictEqual(yield* gauge(SessionMetrics.live, cart), 0)
      assert.strictEqual(yield* counter(SessionMetrics.ended, { ...cart, reason: "expired" }), 4)
      assert.strictEqual(yield* counter(SessionMetrics.started, cart), 5)
      assert.strictEqual((yield* Metric.value(SessionMetrics.limit)).value, 50)
    }).pipe(Effect.provide(test())))

  it.effect("agree with the totals of the stats", () =>
    Effect.gen(function*() {
      yield* life
      const { Cart: totals } = (yield* (yield* Sessions).stats).totals
      assert(totals !== undefined)
      assert.strictEqual(totals.started, yield* counter(SessionMetrics.started, cart))
      assert.strictEqual(totals.calls, yield* counter(SessionMetrics.messages, { ...cart, type: "call" }))
      assert.strictEqual(totals.casts, yield* counter(SessionMetrics.messages, { ...cart, type: "cast" }))
      assert.strictEqual(totals.crashes, yield* counter(SessionMetrics.crashes, cart))
      assert.strictEqual(totals.ended.Stopped, yield* counter(SessionMetrics.ended, { ...cart, reason: "stopped" }))
    }).pipe(Effect.provide(test())))

  it.effect("never carry an id, and have as many series for many sessions as for none", () =>
    Effect.gen(function*() {
      const before = (yield* Metric.snapshot).length
      const carts = yield* Cart
      for (let i = 0; i < 40; i++) yield* (yield* carts.start(`cart-${i}`, { user: `user-${i}` })).call("Add")
      const series = yield* Metric.snapshot
      assert.strictEqual(series.length, before)
      assert.notMatch(JSON.stringify(series.map(({ attributes }) => attributes)), /cart-\d|user-\d/)
    }).pipe(Effect.provide(test())))

  it.effect("go with their Layer", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        CartLayer.pipe(
          Layer.provideMerge(Sessions.layer()),
          Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, registry))
        ),
        scope
      )
      yield* Context.get(context, Cart).start("ada")
      assert.isAbove(registry.size, 10)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(Array.from(registry.keys()), [])
    }))

  it.effect("carry the attributes of the program they are in", () =>
    Effect.gen(function*() {
      yield* (yield* Cart).start("ada")
      const live = (yield* Metric.snapshot).find(({ attributes, id }) =>
        id === "effect_sessions_live" && attributes?.["kind"] === "Cart"
      )
      assert.deepStrictEqual(live?.attributes, { kind: "Cart", service: "shop" })
    }).pipe(Effect.provide(
      Layer.provide(test(), Layer.succeed(Metric.CurrentMetricAttributes, { service: "shop" }))
    )))

  it.effect("are shown by Prometheus", () =>
    Effect.gen(function*() {
      yield* life
      const lines = (yield* PrometheusMetrics.format()).split("\n")
      for (
        const line of [
          "# TYPE effect_sessions_live gauge",
          "# TYPE effect_sessions_started_total counter",
          "# HELP effect_sessions_crashes_total Handlers that died",
          "effect_sessions_limit 50",
          "effect_sessions_live{kind=\"Room\"} 1",
          "effect_sessions_started_total{kind=\"Cart\"} 3"
        ]
      ) assert.include(lines, line)
      const stopped = lines.find((line) =>
        line.startsWith("effect_sessions_ended_total{") && line.includes("reason=\"stopped\"") && line.includes("Cart")
      )
      assert.match(stopped ?? "", / 1$/)
    }).pipe(Effect.provide(test())))
})

describe("SessionMetrics.layerDurations", () => {
  const measured = SessionMetrics.layerDurations.pipe(Layer.provideMerge(test()))

  const histogram = (attributes: Record<string, string>) =>
    Metric.value(Metric.withAttributes(SessionMetrics.duration, attributes))

  it.effect("measures from sending to the answer, the wait included, by kind, tag and outcome", () =>
    Effect.gen(function*() {
      const ada = yield* (yield* Cart).start("ada")
      yield* ada.cast("Nap", 40)
      const second = yield* Effect.forkChild(ada.call("Nap", 3))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(second)
      yield* ada.call("Add")
      yield* Effect.flip(ada.call("Fail"))
      const nap = yield* histogram({ kind: "Cart", tag: "Nap", outcome: "success" })
      assert.strictEqual(nap.count, 2)
      assert.deepStrictEqual([nap.min, nap.max, nap.sum], [40, 43, 83])
      assert.deepStrictEqual(
        nap.buckets.filter(([boundary]) => boundary === 10 || boundary === 50).map(([, count]) => count),
        [0, 2]
      )
      assert.strictEqual((yield* histogram({ kind: "Cart", tag: "Add", outcome: "success" })).count, 1)
      assert.strictEqual((yield* histogram({ kind: "Cart", tag: "Fail", outcome: "failure" })).count, 1)
      assert.strictEqual((yield* histogram({ kind: "Cart", tag: "Fail", outcome: "success" })).count, 0)
    }).pipe(Effect.provide(measured)))

  it.effect("measures how long sessions lived and what they did, by kind and reason", () =>
    Effect.gen(function*() {
      const ada = yield* (yield* Cart).start("ada")
      yield* ada.call("Add")
      yield* ada.call("Add")
      yield* TestClock.adjust("1 minute")
      yield* ada.end()
      const attributes = { kind: "Cart", reason: "stopped" }
      const lifetime = yield* Metric.value(Metric.withAttributes(SessionMetrics.lifetime, attributes))
      assert.deepStrictEqual([lifetime.count, lifetime.sum], [1, 60_000])
      const handled = yield* Metric.value(Metric.withAttributes(SessionMetrics.handled, attributes))
      assert.deepStrictEqual([handled.count, handled.sum], [1, 2])
    }).pipe(Effect.provide(measured)))

  it.effect("is necessary: without it nothing is measured", () =>
    Effect.gen(function*() {
      yield* (yield* (yield* Cart).start("ada")).call("Add")
      assert.isFalse((yield* Metric.snapshot).some(({ id }) => id === "effect_sessions_message_duration_ms"))
    }).pipe(Effect.provide(test())))

  it.effect("listens for as long as it lives", () =>
    Effect.gen(function*() {
      const events = yield* SessionEvents
      assert.isFalse(events.active)
      yield* Effect.scoped(Layer.build(SessionMetrics.layerDurations)).pipe(
        Effect.tap(() => Effect.sync(() => assert.isFalse(events.active)))
      )
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(SessionMetrics.layerDurations)
        assert.isTrue(events.active)
      }))
    }).pipe(Effect.provide(SessionEvents.layer)))
})
