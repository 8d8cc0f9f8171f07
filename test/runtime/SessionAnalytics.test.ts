import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Logger, Metric, Schema, Scope } from "effect"
import { EndReason, Session, SessionAnalytics, SessionEvents, Sessions, SessionSummary } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Int,
  protocol: [Rpc.make("Add"), Rpc.make("Die"), Rpc.make("Fail", { error: Schema.Literal("no") })]
}) {}

class Room extends Session.Service<Room>()("Room", { state: Schema.Int, protocol: [Rpc.make("Ping")] }) {}

const RoomLayer = Room.toLayer(Room.behavior({ init: () => 0, handlers: { Ping: ({ state }) => [state] } }))

const behavior = Cart.behavior({
  init: () => 0,
  handlers: {
    Add: ({ state }) => [state + 1],
    Die: () => {
      throw new Error("dead")
    },
    Fail: () => Effect.fail("no" as const)
  }
})

const CartLayer = Cart.toLayer(behavior, { idleTimeout: "1 hour" })

/** A sink that keeps what it gets, and does before that what a test wants. */
class Sink {
  readonly batches: Array<ReadonlyArray<SessionSummary>> = []
  before: Effect.Effect<void, unknown> = Effect.void
  tries = 0

  readonly layer = Layer.succeed(SessionAnalytics.AnalyticsSink, {
    record: (batch) =>
      Effect.andThen(
        Effect.suspend(() => {
          this.tries++
          return this.before
        }),
        Effect.sync(() => {
          this.batches.push(batch)
        })
      )
  })

  get ids(): ReadonlyArray<string> {
    return this.batches.flatMap((batch) => batch.map(({ id }) => id))
  }
}

const layer = (options?: SessionAnalytics.Options, sink = new Sink()) =>
  TestSessions.layer(
    Layer.merge(CartLayer, RoomLayer).pipe(
      Layer.provideMerge(SessionAnalytics.layer(options)),
      Layer.provideMerge(sink.layer)
    )
  )

const provide = (options?: SessionAnalytics.Options, sink?: Sink) => Effect.provide(layer(options, sink))

const summaries = Effect.andThen(
  TestSessions.settle,
  Effect.flatMap(TestSessions.Recorder, (recorder) => recorder.of("Summary"))
)

const summary = Effect.map(summaries, ([first]) => first!)

type Steps = ReadonlyArray<readonly [seconds: number, messages: number]>

/** What its activity was like: so many messages after each of these pauses, in seconds. */
const lives = (...steps: Steps) =>
  Effect.gen(function*() {
    const cart = yield* (yield* Cart).start("ada")
    for (const [seconds, messages] of steps) {
      yield* TestClock.adjust(seconds * 1_000)
      for (let i = 0; i < messages; i++) yield* cart.cast("Add")
    }
    return cart
  })

const endAll = (...ids: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const carts = yield* Cart
    for (const id of ids) {
      yield* carts.start(id)
      yield* carts.end(id)
    }
  })

const count = (metric: Metric.Counter<number>, attributes: Record<string, string>) =>
  Effect.map(Metric.value(Metric.withAttributes(metric, attributes)), ({ count }) => count)

const histogram = (metric: Metric.Histogram<number>, attributes: Record<string, string>) =>
  Effect.map(Metric.value(Metric.withAttributes(metric, attributes)), ({ count, sum }) => ({ count, sum }))

const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ cause, logLevel, message }) =>
    lines.push(`${logLevel} ${String(message)}${cause.reasons.length === 0 ? "" : `: ${String(Cause.squash(cause))}`}`)
  )
  return { lines, layer: Logger.layer([logger]) }
}

describe("A summary", () => {
  it.effect("describes the life of a session", () =>
    Effect.gen(function*() {
      yield* TestClock.adjust("1 day")
      const cart = yield* (yield* Cart).start("ada", { user: "ada@example.org" })
      yield* TestClock.adjust("30 seconds")
      yield* cart.call("Add")
      yield* cart.cast("Add")
      yield* Effect.flip(cart.call("Fail"))
      yield* TestClock.adjust("5 minutes")
      yield* Effect.scoped(cart.attach)
      yield* TestClock.adjust("10 seconds")
      yield* Effect.flip(cart.call("Die"))
      yield* TestClock.adjust("20 seconds")
      yield* cart.setUser("bob@example.org")
      yield* cart.end({ reason: EndReason.stopped("enough") })
      const day = 86_400_000
      assert.deepStrictEqual(yield* summary, {
        _tag: "Summary",
        at: day + 360_000,
        kind: "Cart",
        id: "ada",
        user: "bob@example.org",
        startedAt: day,
        observedAt: day,
        endedAt: day + 360_000,
        duration: 360_000,
        reason: EndReason.stopped("enough"),
        messages: 4,
        crashes: 1,
        connections: 1,
        activeTime: 60_000,
        pauses: 1,
        longestPause: 300_000,
        busiestMinute: 3,
        messagesPerActiveMinute: 4,
        pattern: "bursty"
      })
    }).pipe(provide()))

  it.effect("says that the user is not known", () =>
    Effect.gen(function*() {
      yield* endAll("ada")
      assert.isNull((yield* summary).user)
    }).pipe(provide()))

  it.effect("comes after the end of the session, for every listener", () =>
    Effect.gen(function*() {
      const order: Array<string> = []
      yield* (yield* SessionEvents).listen(({ _tag }) => order.push(_tag))
      yield* endAll("ada")
      yield* TestSessions.settle
      assert.deepStrictEqual(order.filter((tag) => tag === "Stop" || tag === "Summary"), ["Stop", "Summary"])
    }).pipe(Effect.scoped, provide()))

  it.effect("can be written as JSON, whatever the session died of", () =>
    Effect.gen(function*() {
      const carts = yield* Cart
      yield* endAll("ada")
      yield* carts.start("bob")
      yield* carts.end("bob", { reason: EndReason.crashed(new Error("a bug")) })
      const codec = Schema.toCodecJson(SessionSummary)
      for (const { _tag, at: _at, ...summary } of yield* summaries) {
        const json = JSON.stringify(yield* Schema.encodeEffect(codec)(summary))
        const read = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(json))
        assert.strictEqual(JSON.stringify(yield* Schema.encodeEffect(codec)(read)), json)
        assert.deepInclude(read, { kind: "Cart", id: summary.id, duration: summary.duration })
      }
    }).pipe(provide()))

  it.effect("is published for the selected kinds only", () =>
    Effect.gen(function*() {
      yield* endAll("ada")
      yield* (yield* Room).start("lobby")
      yield* (yield* Room).end("lobby")
      assert.deepStrictEqual((yield* summaries).map(({ kind }) => kind), ["Room"])
    }).pipe(provide({ kinds: ["Room"] })))
})

describe("The pattern of activity", () => {
  const told = (title: string, steps: Steps, expected: Partial<SessionSummary>, rest = 0) =>
    it.effect(title, () =>
      Effect.gen(function*() {
        const cart = yield* lives(...steps)
        yield* TestClock.adjust(rest * 1_000)
        yield* cart.end()
        assert.deepInclude(yield* summary, expected)
      }).pipe(provide()))

  told("of a session without a message is idle", [], { pattern: "idle", activeTime: 0, messages: 0, pauses: 0 }, 600)
  told(
    "of one short stretch is a glance",
    [[10, 1], [20, 2], [29, 1]],
    { pattern: "glance", activeTime: 59_000, pauses: 0, messages: 4, messagesPerActiveMinute: 4 }
  )
  told(
    "of one longer stretch is steady",
    [[30, 1], [30, 1], [59, 1]],
    { pattern: "steady", activeTime: 119_000, pauses: 0, longestPause: 0 }
  )
  told(
    "of a session that comes back after long pauses is bursty",
    [[10, 5], [60, 5], [600, 5]],
    { pattern: "bursty", activeTime: 10_000, pauses: 2, longestPause: 600_000, messages: 15 }
  )
  told(
    "of one that pauses less than it is active is steady",
    [[50, 1], [50, 1], [50, 1], [60, 1], [59, 1]],
    { pattern: "steady", activeTime: 209_000, pauses: 1, longestPause: 60_000 }
  )
  told(
    "does not count the wait for the timeout, neither as active nor as a pause",
    [[10, 1], [10, 1]],
    { pattern: "glance", activeTime: 20_000, pauses: 0, longestPause: 0, duration: 620_000 },
    600
  )
  told(
    "counts what little comes after the last message as active",
    [[10, 1]],
    { pattern: "glance", activeTime: 69_999, duration: 69_999 },
    59.999
  )
  told(
    "knows the busiest minute",
    [[0, 2], [59, 3], [1, 7], [59, 1], [1, 1], [180, 4]],
    { busiestMinute: 8, messages: 18 }
  )
  told(
    "gives the messages for each minute of activity",
    [[30, 10], [30, 10], [30, 10], [30, 10]],
    { activeTime: 120_000, messagesPerActiveMinute: 20 }
  )

  it.effect.prop(
    "adds up: what is neither active nor a pause is what came after the last activity",
    [
      Schema.Array(Schema.Tuple([
        Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 150 })),
        Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))
      ])).check(Schema.isMaxLength(20)),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 150 }))
    ],
    ([steps, rest]) =>
      Effect.gen(function*() {
        const cart = yield* lives(...steps)
        yield* TestClock.adjust(rest * 1_000)
        yield* cart.end()
        const told = yield* summary
        const gaps = steps.map(([seconds]) => seconds)
        const pauses = gaps.filter((gap) => gap >= 60)
        const sum = (all: ReadonlyArray<number>) => all.reduce((a, b) => a + b, 0)
        const messages = sum(steps.map(([, messages]) => messages))
        const perMinute = new Map<number, number>()
        let at = 0
        for (const [seconds, messages] of steps) {
          at += seconds
          const minute = Math.floor(at / 60)
          perMinute.set(minute, (perMinute.get(minute) ?? 0) + messages)
        }
        assert.deepInclude(told, {
          duration: 1_000 * (sum(gaps) + rest),
          activeTime: 1_000 * (sum(gaps) - sum(pauses) + (rest < 60 ? rest : 0)),
          pauses: pauses.length,
          longestPause: 1_000 * Math.max(0, ...pauses),
          messages,
          busiestMinute: Math.max(0, ...perMinute.values())
        })
        assert.strictEqual(told.pattern === "idle", messages === 0)
        if (told.pattern === "bursty") assert.isAbove(sum(pauses) * 1_000, told.activeTime)
        if (told.pattern === "glance") assert.strictEqual(told.pauses, 0)
        if (told.pattern === "steady") assert.isAtLeast(told.activeTime, sum(pauses) * 1_000)
      }).pipe(provide()),
    { arbitrary: { runs: 100 } }
  )

  it.effect("depends on what a pause is", () =>
    Effect.gen(function*() {
      const cart = yield* lives([60, 1], [299, 1], [300, 1])
      yield* cart.end()
      assert.deepInclude(yield* summary, { activeTime: 359_000, pauses: 1, longestPause: 300_000, pattern: "steady" })
    }).pipe(provide({ pause: "5 minutes" })))
})

describe("A life", () => {
  it.effect("begins when the session is first seen, if there was no listener before", () =>
    Effect.gen(function*() {
      const cart = yield* (yield* Cart).start("ada")
      const other = yield* (yield* Cart).start("bob")
      yield* cart.call("Add")
      yield* TestClock.adjust("10 minutes")
      yield* Effect.gen(function*() {
        yield* cart.call("Add")
        yield* TestClock.adjust("10 seconds")
        yield* cart.call("Add")
        yield* cart.end()
        yield* other.end()
        const [ada, bob] = yield* summaries
        assert.deepInclude(ada, {
          startedAt: 0,
          observedAt: 600_000,
          duration: 610_000,
          messages: 2,
          activeTime: 10_000
        })
        assert.deepInclude(bob, { startedAt: 0, observedAt: 610_000, duration: 610_000, messages: 0, pattern: "idle" })
      }).pipe(Effect.provide(SessionAnalytics.layer()))
    }).pipe(Effect.provide(TestSessions.layer(CartLayer.pipe(Layer.provideMerge(new Sink().layer))))))

  const kept = { hibernateAfter: "1 minute", snapshots: { passivateAfter: "1 minute" } } as const

  const withStore = (options?: SessionAnalytics.Options, store = MemoryStore.layer) =>
    Effect.provide(TestSessions.layer(
      Cart.toLayer(behavior, kept).pipe(
        Layer.provide(store),
        Layer.provideMerge(SessionAnalytics.layer(options)),
        Layer.provideMerge(new Sink().layer)
      )
    ))

  const away = (id: string) =>
    Effect.gen(function*() {
      yield* TestSessions.elapse("10 minutes")
      assert.isUndefined((yield* Cart).findUnsafe(id))
    })

  it.effect("continues over a time in the store", () =>
    Effect.gen(function*() {
      const cart = yield* (yield* Cart).start("ada")
      yield* cart.call("Add")
      yield* away("ada")
      assert.deepStrictEqual(yield* summaries, [])
      yield* cart.call("Add")
      yield* cart.end()
      assert.deepInclude(yield* summary, {
        startedAt: 0,
        observedAt: 0,
        duration: 600_000,
        messages: 2,
        pauses: 1,
        longestPause: 600_000
      })
      assert.lengthOf(yield* summaries, 1)
    }).pipe(withStore()))

  it.effect("is remembered for the latest sessions that left memory", () =>
    Effect.gen(function*() {
      const carts = yield* Cart
      for (const id of ["ada", "bob"]) {
        yield* (yield* carts.start(id)).call("Add")
        yield* away(id)
      }
      for (const id of ["ada", "bob"]) {
        yield* carts.ref(id).call("Add")
        yield* carts.end(id)
      }
      const [ada, bob] = yield* summaries
      assert.deepInclude(ada, { id: "ada", startedAt: 0, observedAt: 1_200_000, messages: 1 })
      assert.deepInclude(bob, { id: "bob", startedAt: 600_000, observedAt: 600_000, messages: 2 })
    }).pipe(withStore({ remembered: 1 })))

  it.effect("has another summary when the session is restored after its end", () =>
    Effect.gen(function*() {
      const carts = yield* Cart
      yield* (yield* carts.start("ada")).call("Add")
      yield* carts.end("ada", { reason: EndReason.evicted })
      yield* TestClock.adjust("5 minutes")
      yield* carts.ref("ada").call("Add")
      yield* carts.end("ada")
      const [first, second] = yield* summaries
      assert.deepInclude(first, { reason: EndReason.evicted, observedAt: 0, messages: 1 })
      assert.deepInclude(second, { startedAt: 0, observedAt: 300_000, duration: 300_000, messages: 1, pauses: 0 })
    }).pipe(withStore()))

  it.effect("has another summary after a restart of the server", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(MemoryStore.layer)
      const store = Layer.succeedContext(context)
      yield* Effect.gen(function*() {
        yield* (yield* (yield* Cart).start("ada")).call("Add")
        yield* (yield* Sessions).endAll({ reason: EndReason.shutdown })
        assert.deepInclude(yield* summary, { reason: EndReason.shutdown, messages: 1, duration: 0 })
      }).pipe(withStore({}, store))
      yield* TestClock.adjust("5 minutes")
      yield* Effect.gen(function*() {
        const cart = (yield* Cart).ref("ada")
        yield* cart.call("Add")
        yield* TestClock.adjust("10 seconds")
        yield* cart.end()
        assert.deepInclude(yield* summary, {
          startedAt: 0,
          observedAt: 300_000,
          duration: 310_000,
          messages: 1,
          activeTime: 10_000
        })
      }).pipe(withStore({}, store))
    }))

  it.effect("of the same id starts again with a new start", () =>
    Effect.gen(function*() {
      const cart = yield* lives([10, 3])
      yield* cart.end()
      yield* TestClock.adjust("1 minute")
      yield* (yield* lives([20, 1])).end()
      const [, second] = yield* summaries
      assert.deepInclude(second, { startedAt: 70_000, messages: 1, activeTime: 20_000, pauses: 0 })
    }).pipe(provide()))
})

describe("The metrics", () => {
  it.effect("count by kind, reason and pattern", () =>
    Effect.gen(function*() {
      const cart = yield* lives([10, 3], [120, 1])
      yield* cart.end()
      yield* (yield* Cart).start("bob")
      yield* TestSessions.elapse("1 hour")
      const stopped = { kind: "Cart", reason: "stopped" }
      const expired = { kind: "Cart", reason: "expired" }
      const { activeTime, lifetime, messages, patterns } = SessionAnalytics
      assert.deepStrictEqual(yield* histogram(lifetime, stopped), { count: 1, sum: 130_000 })
      assert.deepStrictEqual(yield* histogram(activeTime, stopped), { count: 1, sum: 10_000 })
      assert.deepStrictEqual(yield* histogram(messages, stopped), { count: 1, sum: 4 })
      assert.deepStrictEqual(yield* histogram(lifetime, expired), { count: 1, sum: 3_600_000 })
      assert.deepStrictEqual(yield* histogram(activeTime, expired), { count: 1, sum: 0 })
      assert.strictEqual(yield* count(patterns, { kind: "Cart", pattern: "bursty" }), 1)
      assert.strictEqual(yield* count(patterns, { kind: "Cart", pattern: "idle" }), 1)
    }).pipe(provide()))
})

describe("The sink", () => {
  it.effect("gets batches: full ones at once, the rest after a while", () => {
    const sink = new Sink()
    return Effect.gen(function*() {
      yield* endAll("a", "b", "c", "d", "e", "f", "g")
      yield* TestSessions.settle
      assert.deepStrictEqual(sink.batches.map((batch) => batch.map(({ id }) => id)), [["a", "b", "c"], ["d", "e", "f"]])
      yield* TestClock.adjust("9 seconds")
      assert.lengthOf(sink.batches, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(sink.ids.slice(6), ["g"])
      yield* TestClock.adjust("3 seconds")
      yield* endAll("h")
      yield* TestClock.adjust("9999 millis")
      assert.lengthOf(sink.ids, 7)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(sink.ids.slice(7), ["h"])
    }).pipe(provide({ batchSize: 3 }, sink))
  })

  it.effect("is retried when it fails or dies, with pauses, and gets nothing twice that it accepted", () => {
    const sink = new Sink()
    return Effect.gen(function*() {
      sink.before = Effect.fail("down")
      yield* endAll("a", "b")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(sink.tries, 1)
      yield* TestClock.adjust("999 millis")
      assert.strictEqual(sink.tries, 1)
      sink.before = Effect.die("a bug")
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(sink.tries, 2)
      sink.before = Effect.void
      yield* TestClock.adjust("1 second")
      assert.strictEqual(sink.tries, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(sink.ids, ["a", "b"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(sink.ids, ["a", "b"])
      assert.strictEqual(yield* count(SessionAnalytics.lost, {}), 0)
    }).pipe(provide({}, sink))
  })

  it.effect("that keeps failing loses one batch, which is counted and logged, and no later one", () => {
    const sink = new Sink()
    const log = logged()
    return Effect.gen(function*() {
      sink.before = Effect.fail("down")
      yield* endAll("a", "b")
      yield* TestClock.adjust("17 seconds")
      assert.strictEqual(sink.tries, 4)
      assert.strictEqual(yield* count(SessionAnalytics.lost, {}), 2)
      assert.deepStrictEqual(log.lines, [
        "Error the sink did not take 2 session summaries, which are lost: down"
      ])
      sink.before = Effect.void
      yield* endAll("c")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(sink.ids, ["c"])
    }).pipe(Effect.provide(layer({}, sink).pipe(Layer.provideMerge(log.layer))))
  })

  it.effect("that is slow delays no session; the oldest waiting summaries are dropped, counted and logged", () => {
    const sink = new Sink()
    const log = logged()
    return Effect.gen(function*() {
      sink.before = Effect.sleep("1 minute")
      yield* endAll("a", "b")
      yield* TestSessions.settle
      yield* endAll("c", "d", "e", "f", "g")
      assert.strictEqual(yield* count(SessionAnalytics.lost, {}), 2)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(sink.ids, ["a", "b", "e", "f", "g"])
      assert.deepStrictEqual(log.lines, ["Warn 2 session summaries were dropped: the sink takes them too slowly"])
      assert.strictEqual(yield* count(SessionAnalytics.patterns, { kind: "Cart", pattern: "idle" }), 7)
    }).pipe(Effect.provide(layer({ batchSize: 2, bufferSize: 3 }, sink).pipe(Layer.provideMerge(log.layer))))
  })

  it.effect("gets what is left at the end of the server, those included that end with it", () => {
    const sink = new Sink()
    return Effect.gen(function*() {
      yield* Effect.gen(function*() {
        yield* endAll("a", "b", "c")
        yield* (yield* Cart).start("d")
        yield* (yield* Cart).start("e")
      }).pipe(Effect.provide(
        CartLayer.pipe(
          Layer.provideMerge(SessionAnalytics.layer({ batchSize: 2 })),
          Layer.provideMerge(Layer.merge(Sessions.layer(), sink.layer))
        )
      ))
      assert.deepStrictEqual(sink.ids, ["a", "b", "c", "d", "e"])
      assert.deepStrictEqual(sink.batches.flat().slice(3).map(({ reason }) => reason._tag), ["Shutdown", "Shutdown"])
      assert.isTrue(sink.batches.every(({ length }) => length <= 2))
    })
  })

  it.effect("that hangs does not delay the shutdown beyond the grace period", () => {
    const sink = new Sink()
    const log = logged()
    return Effect.gen(function*() {
      sink.before = Effect.never
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        CartLayer.pipe(
          Layer.provideMerge(SessionAnalytics.layer({ batchSize: 2, shutdownGrace: "3 seconds" })),
          Layer.provideMerge(Layer.merge(Sessions.layer(), sink.layer))
        ),
        scope
      )
      yield* Effect.provide(endAll("a", "b", "c"), context)
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestSessions.settle
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(closing)
      assert.strictEqual(yield* Effect.provide(count(SessionAnalytics.lost, {}), context), 3)
      assert.deepStrictEqual(log.lines, [
        "Warn 3 session summaries were lost: the sink did not take them before the end"
      ])
    }).pipe(Effect.provide(Layer.merge(log.layer, Layer.sync(Metric.MetricRegistry, () => new Map()))))
  })

  it.effect("may be none", () =>
    Effect.gen(function*() {
      yield* endAll("a")
      assert.lengthOf(yield* summaries, 1)
    }).pipe(Effect.provide(TestSessions.layer(
      CartLayer.pipe(
        Layer.provideMerge(SessionAnalytics.layer()),
        Layer.provideMerge(SessionAnalytics.AnalyticsSink.layerNone)
      )
    ))))
})

describe("The options", () => {
  const refused = (options: SessionAnalytics.Options, setting: string) =>
    it.effect(`${setting} is checked`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer(options))))
        assert.include(String(error), `analytics.${setting}`)
      }))

  refused({ pause: 0 }, "pause")
  refused({ remembered: -1 }, "remembered")
  refused({ batchSize: 0 }, "batchSize")
  refused({ batchEvery: 0 }, "batchEvery")
  refused({ bufferSize: 0 }, "bufferSize")
  refused({ retries: 0.5 }, "retries")
  refused({ retryPause: 0 }, "retryPause")
  refused({ shutdownGrace: 0 }, "shutdownGrace")
})
