import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Option, Random, Schema, Scope, SubscriptionRef } from "effect"
import {
  type KindOptions,
  Reducer,
  Session,
  type SessionsConfig,
  SnapshotStore,
  Store,
  Supervision
} from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"
import { connected } from "../client/fakes.ts"
import { type SteppedClock, steppedClock } from "../steppedClock.ts"

const hour = 3_600_000

class Watch extends Session.Service<Watch>()("Watch", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Add", { success: Schema.Int }),
    Rpc.make("After", { payload: Schema.String }),
    Rpc.make("Every", { payload: Schema.String }),
    Rpc.make("Hang"),
    Rpc.make("Throw")
  ]
}) {}

const watches = (options?: KindOptions.KindOptions<any>) =>
  Watch.toLayer(
    Watch.behavior({
      init: () => 0,
      handlers: {
        Add: ({ state }) => [state + 1, state + 1],
        After: ({ payload, self, state }) => Effect.as(self.after(payload as "1 second", "Add"), [state] as const),
        Every: ({ payload, self, state }) => Effect.as(self.every(payload as "1 second", "Add"), [state] as const),
        Hang: () => Effect.never,
        Throw: () => {
          throw new Error("ouch")
        }
      }
    }),
    options
  )

/** Runs it with a clock that it sets forward and back by an hour. */
const both = (
  name: string,
  test: (clock: SteppedClock, step: number) => Effect.Effect<void, unknown, any>,
  layer: Layer.Layer<any, any, any>,
  config?: SessionsConfig.Options
) => {
  for (const [way, step] of [["forward", hour], ["back", -hour]] as const) {
    it.effect(`${name} when the date is set ${way} by an hour`, () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("30 days")
        const clock = yield* steppedClock
        yield* clock.provide(
          Effect.scoped(Effect.provide(test(clock, step), TestSessions.layer(layer, config) as Layer.Layer<any>))
        )
      }) as Effect.Effect<void>)
  }
}

const start = Effect.flatMap(Watch, (watches) => watches.start("a"))

describe("A step of the clock of the machine", () => {
  both("a session expires in its time", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* TestSessions.elapse("20 minutes")
      clock.step(step)
      yield* TestSessions.elapse("9 minutes")
      assert.isTrue(yield* ref.isLive)
      yield* TestSessions.elapse("1 minute")
      assert.isFalse(yield* ref.isLive)
    }), watches({ idleTimeout: "30 minutes" }))

  both("a session is as old as it is", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* TestSessions.elapse("20 minutes")
      clock.step(step)
      yield* TestSessions.elapse("39 minutes")
      assert.isTrue(yield* ref.isLive)
      yield* TestSessions.elapse("1 minute")
      assert.isFalse(yield* ref.isLive)
      const [{ duration }] = yield* (yield* TestSessions.Recorder).of("Stop") as any
      assert.strictEqual(duration, hour)
    }), watches({ idleTimeout: "Infinity", absoluteTimeout: "1 hour" }))

  both("a call is waited for as long as was said", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      const call = yield* Effect.forkChild(Effect.flip(ref.call("Hang", undefined, { timeout: "10 seconds" })))
      yield* TestSessions.elapse("1 second")
      clock.step(step)
      const other = yield* Effect.forkChild(Effect.flip(ref.call("Add", undefined, { timeout: "10 seconds" })))
      yield* TestSessions.elapse("8 seconds")
      assert.isUndefined(call.pollUnsafe())
      yield* TestSessions.elapse("1 second")
      assert.strictEqual((yield* Fiber.join(call))._tag, "CallTimeout")
      assert.isUndefined(other.pollUnsafe())
      yield* TestSessions.elapse("1 second")
      assert.strictEqual((yield* Fiber.join(other))._tag, "CallTimeout")
    }), watches())

  both("timers keep their times", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* ref.call("Every", "1 minute")
      yield* ref.call("After", "5 minutes")
      yield* TestSessions.elapse("90 seconds")
      assert.strictEqual(yield* ref.state, 1)
      clock.step(step)
      yield* TestSessions.elapse("2 minutes")
      assert.strictEqual(yield* ref.state, 3)
      yield* TestSessions.elapse("2 minutes")
      assert.strictEqual(yield* ref.state, 6)
    }), watches({ idleTimeout: "1 day" }))

  both(
    "rates count what was within their window",
    (clock, step) =>
      Effect.gen(function*() {
        const watches = yield* Watch
        const ref = yield* start
        yield* ref.call("Add")
        clock.step(step)
        assert.strictEqual((yield* Effect.flip(ref.call("Add")) as any)._tag, "MessageRateExceeded")
        assert.strictEqual((yield* Effect.flip(watches.start("b")))._tag, "StartRateExceeded")
        yield* TestSessions.elapse("1 minute")
        yield* watches.start("b")
        yield* ref.call("Add")
      }),
    watches({ messageRate: { limit: 1, window: "1 minute" } }),
    { startRate: { limit: 1, window: "1 minute" } }
  )

  both(
    "the address of a client is limited and forgotten in time",
    (clock, step) =>
      Effect.gen(function*() {
        const watches = yield* Watch
        yield* watches.start("a", { address: "192.0.2.1" })
        clock.step(step)
        const again = yield* Effect.flip(watches.start("b", { address: "192.0.2.1" }))
        assert.strictEqual(again._tag, "StartRateExceeded")
        yield* TestSessions.elapse("1 minute")
        yield* watches.start("b", { address: "192.0.2.1" })
      }),
    watches(),
    { startRatePerAddress: { limit: 1, window: "1 minute" } }
  )

  both("the reconnect window is as long as it is", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      const scope = yield* Scope.make()
      yield* Scope.provide(ref.attach, scope)
      yield* Scope.close(scope, Exit.void)
      yield* TestSessions.elapse("10 seconds")
      clock.step(step)
      yield* TestSessions.elapse("19 seconds")
      assert.isTrue(yield* ref.isLive)
      yield* TestSessions.elapse("1 second")
      assert.isFalse(yield* ref.isLive)
    }), watches({ reconnectWindow: "30 seconds" }))

  both("a session hibernates in its time", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* TestSessions.elapse("30 seconds")
      clock.step(step)
      yield* TestSessions.elapse("29 seconds")
      assert.strictEqual((yield* ref.info).status, "running")
      yield* TestSessions.elapse("2 seconds")
      assert.strictEqual((yield* ref.info).status, "hibernating")
    }), watches({ hibernateAfter: "1 minute" }))

  both(
    "crashes count within their window",
    (clock, step) =>
      Effect.gen(function*() {
        const ref = yield* start
        yield* ref.cast("Throw")
        clock.step(step)
        yield* TestSessions.elapse("1 minute")
        yield* ref.cast("Throw")
        assert.isTrue(yield* ref.isLive)
        clock.step(step)
        yield* TestSessions.elapse("59 seconds")
        yield* ref.cast("Throw")
        assert.isFalse(yield* ref.isLive)
      }),
    watches({
      supervision: Supervision.resume({ maxCrashes: 1, within: "1 minute", backoff: () => 0 }),
      idleTimeout: "1 day"
    })
  )

  both(
    "an end that takes too long is cut short in time",
    (clock, step) =>
      Effect.gen(function*() {
        const watches = yield* Watch
        const ref = yield* start
        yield* ref.cast("Hang")
        const end = yield* Effect.forkChild(watches.end("a"))
        yield* TestSessions.settle
        clock.step(step)
        yield* TestSessions.elapse("9 seconds")
        assert.isUndefined(end.pollUnsafe())
        yield* TestSessions.elapse("1 second")
        assert.isTrue(yield* Fiber.join(end))
      }),
    watches(),
    { shutdownGrace: "10 seconds" }
  )

  both("what is dated has the date, and moves with it", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* start
      yield* TestSessions.elapse("10 minutes")
      yield* ref.call("Add")
      yield* TestSessions.elapse("1 minute")
      clock.step(step)
      const { expiresAt, lastActiveAt, startedAt } = yield* ref.info
      const now = 30 * 24 * hour + 11 * 60_000
      assert.deepStrictEqual({ expiresAt, lastActiveAt, startedAt }, {
        startedAt: now - 11 * 60_000,
        lastActiveAt: now + step - 60_000,
        expiresAt: now + step + 29 * 60_000
      })
    }), watches({ idleTimeout: "30 minutes" }))
})

class Box extends Store.Service<Box>()("Box", {
  reducers: [
    Reducer.make("box", {
      prefix: "box",
      state: Schema.Int,
      initial: 0,
      actions: { add: Schema.Void, late: Schema.Void },
      on: { add: (n) => n + 1, late: (n) => n + 100 },
      throttle: { add: "1 minute" },
      debounce: { late: "1 minute" }
    })
  ]
}) {}

describe("A step of the clock of the machine, in kinds", () => {
  both("what is throttled or debounced by a store has its time", (clock, step) =>
    Effect.gen(function*() {
      const ref = yield* (yield* Box).start("a")
      yield* Store.dispatchWait(ref, "box.add")
      yield* Store.dispatchWait(ref, "box.late")
      yield* TestSessions.elapse("30 seconds")
      clock.step(step)
      yield* Store.dispatchWait(ref, "box.add")
      assert.deepStrictEqual(yield* ref.state, { box: 1 })
      yield* TestSessions.elapse("30 seconds")
      yield* Store.dispatchWait(ref, "box.add")
      assert.deepStrictEqual(yield* ref.state, { box: 102 })
    }), Box.toLayer(Store.behavior(Box)))
})

/** A process with this store. */
const inProcess = (
  store: Context.Context<SnapshotStore.SnapshotStore>,
  options: KindOptions.KindOptions<any>,
  what: Effect.Effect<void, unknown, any>
) =>
  Effect.scoped(Effect.provide(
    what,
    TestSessions.layer(
      watches({ snapshots: { save: "everyChange" }, ...options }).pipe(
        Layer.provide(Layer.succeedContext(store))
      ) as any
    ) as Layer.Layer<any>
  ))

describe("A session in the store", () => {
  for (const [way, step] of [["forward", hour], ["back", -hour]] as const) {
    it.effect(`is not lost to the store while it lives, when the date is set ${way} by an hour`, () =>
      Effect.gen(function*() {
        yield* TestClock.adjust("30 days")
        const clock = yield* steppedClock
        const store = yield* Layer.build(MemoryStore.layer)
        const { peek } = Context.get(store, SnapshotStore.SnapshotStore)
        yield* clock.provide(inProcess(
          store,
          { idleTimeout: "30 minutes" },
          Effect.gen(function*() {
            const ref = yield* start
            yield* ref.call("Add")
            yield* TestSessions.elapse("10 minutes")
            clock.step(step)
            for (let i = 0; i < 19; i++) {
              yield* TestSessions.elapse("1 minute")
              assert.isTrue(Option.isSome(yield* peek({ kind: "Watch", id: "a" })))
            }
            assert.isTrue(yield* ref.isLive)
            yield* TestSessions.elapse("1 minute")
            assert.isFalse(yield* ref.isLive)
          })
        ))
      }).pipe(Effect.scoped))
  }

  it.effect("keeps its deadlines when the date is set back while it is stored", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("30 days")
      const clock = yield* steppedClock
      const store = yield* Layer.build(MemoryStore.layer)
      const options = { idleTimeout: "30 minutes", absoluteTimeout: "50 minutes" } as const
      yield* clock.provide(inProcess(
        store,
        options,
        Effect.gen(function*() {
          const ref = yield* start
          yield* ref.call("Every", "10 minutes")
          yield* TestSessions.elapse("5 minutes")
          yield* ref.call("Add")
        })
      ))
      clock.step(-hour)
      yield* clock.provide(inProcess(
        store,
        options,
        Effect.gen(function*() {
          const ref = (yield* Watch).ref("a")
          assert.strictEqual(yield* ref.state, 1)
          yield* TestSessions.elapse("5 minutes")
          assert.strictEqual(yield* ref.state, 2)
          yield* TestSessions.elapse("24 minutes")
          assert.strictEqual(yield* ref.state, 4)
          yield* TestSessions.elapse("1 minute")
          assert.isFalse(yield* ref.isLive)
        })
      ))
    }).pipe(Effect.scoped))
})

describe("A client", () => {
  for (const step of [hour, -hour]) {
    it.effect(`pauses for the right time before it reconnects, and notices a dead connection (${step} ms)`, () =>
      Effect.gen(function*() {
        const clock = yield* steppedClock
        yield* clock.provide(Effect.gen(function*() {
          const { client, server } = yield* connected({ reconnect: { base: "10 seconds", max: "1 minute" } })
          const socket = server.socket
          yield* TestClock.adjust("5 seconds")
          clock.step(step)
          yield* TestClock.adjust("14 seconds")
          assert.isFalse(socket.messages.some((message: any) => message._tag === "Ping"))
          yield* TestClock.adjust("1 second")
          assert.isTrue(socket.messages.some((message: any) => message._tag === "Ping"))
          socket.drop()
          const { at, since } = SubscriptionRef.getUnsafe(client.status) as any
          assert.deepStrictEqual([at, since], [20_000 + step + 10_000, 20_000 + step])
          clock.step(step)
          const count = server.sockets.length
          yield* TestClock.adjust("9 seconds")
          assert.strictEqual(server.sockets.length, count)
          yield* TestClock.adjust("1 second")
          assert.strictEqual(server.sockets.length, count + 1)
        }))
      }).pipe(
        Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 1, nextIntUnsafe: () => 0 })
      ) as Effect.Effect<void>)
  }
})

describe("A call without time", () => {
  it.effect("is answered at once if the session can, and otherwise fails at once", () =>
    Effect.gen(function*() {
      const ref = yield* start
      assert.strictEqual(yield* ref.call("Add", undefined, { timeout: 0 }), 1)
      yield* ref.cast("Hang")
      const error = yield* Effect.flip(ref.call("Add", undefined, { timeout: 0 }))
      assert.strictEqual(error._tag, "CallTimeout")
      const once = yield* Effect.flip(ref.callOnce("Add", undefined, { client: "c", sequence: 1, timeout: 0 }))
      assert.strictEqual(once._tag, "CallTimeout")
    }).pipe(Effect.provide(TestSessions.layer(watches()))))
})

describe("A process that stood still", () => {
  it.effect("gives what ends its grace all the same: nothing is begun anew before it is released", () =>
    Effect.gen(function*() {
      const clock = yield* steppedClock
      const steps: Array<string> = []
      class Lock extends Session.Service<Lock>()("Lock", { state: Schema.Int, protocol: [Rpc.make("Wait")] }) {}
      const layer = Lock.toLayer(Lock.behavior({
        init: () =>
          Effect.as(
            Effect.acquireRelease(
              Effect.sync(() => steps.push("acquired")),
              () => Effect.andThen(Effect.sleep("10 millis"), Effect.sync(() => steps.push("released")))
            ),
            0
          ),
        handlers: { Wait: () => Effect.never }
      }))
      yield* clock.provide(
        Effect.gen(function*() {
          const locks = yield* Lock
          yield* locks.start("door")
          // Its deadline comes first after the standstill, and shows what else is due.
          const other = yield* Effect.forkChild(
            Effect.exit((yield* locks.start("clock")).call("Wait", undefined, { timeout: 5 }))
          )
          yield* TestSessions.settle
          yield* Effect.forkChild(locks.end("door", { drain: false }))
          yield* TestSessions.settle
          clock.standStill(60_000)
          const again = yield* Effect.forkChild(locks.start("door"))
          yield* TestSessions.elapse("10 seconds")
          yield* Fiber.join(again)
          yield* Fiber.join(other)
          assert.deepStrictEqual(steps, ["acquired", "acquired", "released", "acquired"])
        }).pipe(Effect.provide(TestSessions.layer(layer)))
      )
    }))
})
