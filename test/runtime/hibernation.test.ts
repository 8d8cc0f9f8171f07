import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Metric, Option, Ref, Schema, Stream } from "effect"
import { EndReason, Reducer, Session, SessionMetrics, Store, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }),
    Rpc.make("AddSlowly", { success: Schema.Int }),
    Rpc.make("Wait", { payload: Schema.Any }),
    Rpc.make("Remind", { payload: Schema.Int }),
    Rpc.make("Fork"),
    Rpc.make("Crash")
  ]
}) {}

const released: Array<string> = []

const counters = (options: Parameters<typeof Counter.toLayer>[1] = {}) =>
  Effect.provide(TestSessions.layer(
    Counter.toLayer(
      Counter.behavior({
        init: ({ self }) =>
          Effect.as(Effect.acquireRelease(Effect.void, () => Effect.sync(() => released.push(self.id))), 0),
        handlers: {
          Add: ({ payload, state }) => [state + payload, state + payload],
          AddSlowly: ({ state }) => Effect.as(Effect.yieldNow, [state + 1, state + 1] as const),
          Wait: ({ payload, state }) => Effect.as(Deferred.await(payload), [state] as const),
          Remind: ({ payload, self, state }) => Effect.as(self.after("1 hour", "Add", payload), [state] as const),
          Fork: ({ self, state }) =>
            Effect.as(
              self.fork(Effect.andThen(Effect.sleep("30 minutes"), Effect.suspend(() => self.cast("Add", 100)))),
              [state] as const
            ),
          Crash: () => {
            throw new Error("ouch")
          }
        },
        end: ({ self, state }) => Effect.sync(() => released.push(`${self.id} ended at ${state}`))
      }),
      { hibernateAfter: "1 minute", idleTimeout: "10 hours", ...options }
    )
  ))

const status = (ref: Session.Ref<typeof Counter>) => Effect.map(ref.info, ({ status }) => status)

/** Starts a session and lets it hibernate. */
const asleep = Effect.gen(function*() {
  const ref = yield* (yield* Counter).start("a")
  yield* ref.call("Add", 1)
  yield* TestClock.adjust("61 seconds")
  assert.strictEqual(yield* status(ref), "hibernating")
  return ref
})

describe("Hibernation", () => {
  it.effect("comes when a session had nothing to do for a while, and goes with the next message", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* status(ref), "running")
      yield* ref.call("Add", 1)
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* status(ref), "running")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* status(ref), "hibernating")
      assert.strictEqual(yield* ref.call("Add", 2), 3)
      assert.strictEqual(yield* status(ref), "running")
      yield* TestClock.adjust("61 seconds")
      assert.strictEqual(yield* status(ref), "hibernating")
      assert.strictEqual(yield* ref.call("AddSlowly"), 4)
      const recorder = yield* TestSessions.Recorder
      assert.strictEqual((yield* recorder.of("Hibernate")).length, 2)
      assert.strictEqual((yield* recorder.of("Wake")).length, 2)
    }).pipe(counters()))

  it.effect("needs the kind's `hibernateAfter`", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      yield* TestClock.adjust("9 hours")
      assert.strictEqual(yield* status(ref), "running")
    }).pipe(counters({ hibernateAfter: undefined })))

  it.effect("leaves state, identity and exactly-once memory as they are, and counts as live", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ref = yield* counters.start("a", { user: "ada", metadata: { device: "phone" } })
      const once = { client: "c", sequence: 1 }
      assert.strictEqual(yield* ref.callOnce("Add", 5, once), 5)
      const before = yield* ref.info
      yield* TestClock.adjust("2 minutes")
      const info = yield* ref.info
      assert.deepStrictEqual(info, { ...before, status: "hibernating" })
      assert.strictEqual(yield* ref.state, 5)
      assert.isTrue(yield* ref.isLive)
      assert.strictEqual(yield* counters.count, 1)
      assert.isTrue(Option.isSome(yield* counters.find("a")))
      assert.strictEqual(yield* status(ref), "hibernating", "looking does not wake it")
      assert.strictEqual(yield* ref.callOnce("Add", 5, once), 5)
      assert.strictEqual(yield* ref.state, 5)
    }).pipe(counters()))

  it.effect("is invisible to watchers", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const seen = yield* Ref.make<ReadonlyArray<number>>([])
      yield* Effect.forkChild(Stream.runForEach(ref.changes(), (n) => Ref.update(seen, (all) => [...all, n])))
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* status(ref), "hibernating")
      yield* ref.call("Add", 1)
      yield* TestSessions.settle
      yield* TestClock.adjust("2 minutes")
      yield* ref.call("Add", 1)
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* Ref.get(seen), [0, 1, 2])
    }).pipe(counters()))

  it.effect("is ended by a timer of the session, and by work that it has forked", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      yield* ref.call("Remind", 7)
      yield* ref.call("Fork")
      yield* TestClock.adjust("29 minutes")
      assert.strictEqual(yield* status(ref), "hibernating")
      yield* TestClock.adjust("1 minute")
      yield* TestSessions.settle
      assert.strictEqual(yield* ref.state, 100)
      yield* TestClock.adjust("30 minutes")
      yield* TestSessions.settle
      assert.strictEqual(yield* ref.state, 107)
    }).pipe(counters()))

  it.effect("does not come while a message is handled, however long", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Counter).start("a")
      const latch = yield* Deferred.make<void>()
      const waiting = yield* Effect.forkChild(ref.call("Wait", latch, { timeout: "5 hours" }))
      yield* TestClock.adjust("2 hours")
      assert.strictEqual(yield* status(ref), "running")
      yield* Deferred.succeed(latch, undefined)
      yield* Fiber.join(waiting)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(yield* status(ref), "hibernating")
    }).pipe(counters()))

  it.effect("is no obstacle to the end: hook, release, reason, expiry", () =>
    Effect.gen(function*() {
      released.length = 0
      const ref = yield* asleep
      assert.isTrue(yield* ref.end())
      assert.deepStrictEqual(released, ["a ended at 1", "a"])
      const other = yield* (yield* Counter).start("b")
      const reason = yield* Effect.forkChild(other.awaitEnd)
      yield* TestClock.adjust("11 hours")
      assert.deepStrictEqual(yield* Fiber.join(reason), EndReason.expired("idle"))
      assert.strictEqual(yield* (yield* Counter).count, 0)
    }).pipe(counters()))

  it.effect("does not change how crashes are counted", () =>
    Effect.gen(function*() {
      const ref = yield* asleep
      assert.strictEqual((yield* Effect.flip(ref.call("Crash")))._tag, "SessionCrashed")
      assert.strictEqual(yield* ref.state, 1)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* ref.info).crashes, 1)
      assert.strictEqual((yield* Effect.flip(ref.call("Crash")))._tag, "SessionCrashed")
      yield* TestSessions.settle
      assert.isFalse(yield* ref.isLive)
    }).pipe(counters({ supervision: Supervision.resume({ maxCrashes: 1, within: "1 hour" }) })))

  it.effect("of many: all hibernate, wake in any order, and none is lost", () =>
    Effect.gen(function*() {
      const counters = yield* Counter
      const ids = Array.from({ length: 1_000 }, (_, i) => `s${i}`)
      yield* counters.startAll(ids)
      yield* TestClock.adjust("2 minutes")
      const gauge = Metric.value(Metric.withAttributes(SessionMetrics.hibernating, { kind: "Counter" }))
      assert.strictEqual((yield* gauge).value, 1_000)
      assert.strictEqual(yield* counters.broadcast("Add", 1), 1_000)
      assert.strictEqual((yield* gauge).value, 0)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* gauge).value, 1_000)
      assert.strictEqual(Array.from((yield* counters.endAll()).values()).filter(Boolean).length, 1_000)
      assert.strictEqual((yield* gauge).value, 0)
    }).pipe(counters()))

  it.effect("preserves the history of a store", () => {
    const counter = Reducer.make("counter", {
      prefix: "counter",
      state: Schema.Int,
      initial: 0,
      actions: { add: Schema.Int },
      on: { add: (state, n) => state + n }
    })
    class Shop extends Store.Service<Shop>()("Shop", { reducers: [counter] }) {}
    return Effect.gen(function*() {
      const shop = yield* (yield* Shop).start("a")
      yield* Store.dispatchWait(shop, "counter.add", 1)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* shop.info).status, "hibernating")
      yield* Store.dispatchWait(shop, "counter.add", 2)
      assert.strictEqual((yield* Store.history(shop)).length, 2)
      assert.deepStrictEqual(yield* Store.travel(shop, 1), { counter: 1 })
    }).pipe(
      Effect.provide(TestSessions.layer(
        Shop.toLayer(Store.behavior(Shop, { history: 10 }), { hibernateAfter: "1 minute" })
      ))
    )
  })
})
