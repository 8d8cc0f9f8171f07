import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Schema, Stream } from "effect"
import {
  DeadLetters,
  Expiry,
  Groups,
  Live,
  MessageLimiter,
  Reducer,
  Selector,
  Session,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter,
  Store,
  Supervision
} from "effect-sessions"
import { LiveViews } from "effect-sessions/live"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

const { settle } = TestSessions

const counter = Reducer.make("counter", {
  state: Schema.Struct({ n: Schema.Int, other: Schema.Int }),
  initial: { n: 0, other: 0 },
  actions: { add: Schema.Int, touch: Schema.Void },
  on: {
    add: (state, n) => ({ ...state, n: state.n + n }),
    touch: (state) => ({ ...state, other: state.other + 1 })
  }
})
class Shelf extends Store.Service<Shelf>()("Shelf", { reducers: [counter] }) {}
type State = typeof Shelf.state.Type
class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Notify", { payload: Schema.String }), Rpc.make("Hold", { payload: Schema.Int })]
}) {}
class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Visit }) {}

const double = (name?: string) =>
  Selector.make([(state: State) => state.counter.n], (n) => 2 * n, name === undefined ? undefined : { name })

class ShelfLive extends Live.Service<ShelfLive>()("ShelfLive", { kind: Shelf, views: { double: Schema.Int } }) {}

const layer = Layer.mergeAll(
  Shelf.toLayer(Store.behavior(Shelf), { supervision: Supervision.stop }),
  Groups.layer(Rooms).pipe(Layer.provideMerge(Visit.toLayer(
    Visit.behavior({
      init: () => [],
      handlers: {
        Notify: ({ payload, state }) => [[...state, payload]],
        Hold: ({ payload, state }) => Effect.as(Effect.sleep(payload), [state] as const)
      }
    }),
    { mailboxCapacity: 1 }
  )))
)
const provide = Effect.provide(TestSessions.layer(layer))

const told = Effect.gen(function*() {
  const events = yield* (yield* TestSessions.Recorder).events
  return events.flatMap((event) =>
    event._tag === "SelectorCacheHit" || event._tag === "SelectorCacheMiss"
      ? [`${event._tag} ${event.kind}/${event.id} ${event.selector}`]
      : event._tag === "BroadcastReceive"
      ? [`${event.kind}/${event.id} ${event.tag} from "${event.from}"`]
      : []
  )
})

describe("a selector", () => {
  it.effect("has an event for each hit and miss of its cache, wherever it selects", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Shelf).start("a")
      const select = double("double")
      assert.strictEqual(yield* Store.select(ref, select), 0)
      yield* Store.dispatchWait(ref, "touch")
      assert.strictEqual(yield* Store.select(ref, select), 0)
      assert.deepStrictEqual(yield* told, ["SelectorCacheMiss Shelf/a double", "SelectorCacheHit Shelf/a double"])
      const changes = yield* Effect.forkChild(Stream.runCollect(Stream.take(ref.changes(double("changes")), 2)))
      yield* settle
      yield* Store.dispatchWait(ref, "touch")
      yield* Store.dispatchWait(ref, "add", 1)
      assert.deepStrictEqual(yield* Fiber.join(changes), [0, 2])
      assert.deepStrictEqual((yield* told).slice(2), [
        "SelectorCacheMiss Shelf/a changes",
        "SelectorCacheHit Shelf/a changes",
        "SelectorCacheMiss Shelf/a changes"
      ])
    }).pipe(provide))

  it.effect("has events for live views too", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Shelf).start("a")
      const views = yield* ShelfLive
      yield* Effect.scoped(Effect.gen(function*() {
        const mounted = yield* views.mount(ref, "double", { changed: () => {}, ended: () => {} })
        mounted.next()
        yield* Store.dispatchWait(ref, "touch")
        mounted.next()
      }))
      assert.deepStrictEqual(yield* told, ["SelectorCacheMiss Shelf/a view", "SelectorCacheHit Shelf/a view"])
    }).pipe(
      Effect.provide(LiveViews.layer(ShelfLive, { select: { double: double("view") } })),
      provide
    ))

  it.effect("has no name unless it is given one; other functions have no events", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Shelf).start("a")
      yield* Store.select(ref, double())
      yield* Store.select(ref, (state) => state.counter.n)
      assert.deepStrictEqual(yield* told, ["SelectorCacheMiss Shelf/a "])
    }).pipe(provide))

  it.effect("a selector that throws is a defect of its caller: the store does not crash", () =>
    Effect.gen(function*() {
      const ref = yield* (yield* Shelf).start("a")
      const bad = Selector.make([(state: State) => state.counter], () => {
        throw new Error("bad selector")
      })
      for (const select of [bad, (state: any) => state.no.such]) {
        const exit = yield* Effect.exit(Store.select(ref, select))
        assert.isTrue(Exit.hasDies(exit))
      }
      assert.strictEqual((yield* ref.info).crashes, 0)
      assert.strictEqual(yield* Store.select(ref, (state) => state.counter.n), 0)
    }).pipe(provide))
})

describe("a broadcast", () => {
  it.effect("has an event for each session that accepts it, at that time", () =>
    Effect.gen(function*() {
      const visits = yield* Visit
      const rooms = yield* Rooms
      for (const id of ["a", "b", "c"]) yield* visits.start(id, { user: id === "c" ? "carl" : "ada" })
      for (const id of ["a", "b"]) yield* rooms.join("lobby", id)
      yield* visits.ref("b").cast("Hold", 1_000)
      yield* settle
      yield* visits.ref("b").cast("Notify", "fills the mailbox")
      const { delivered, waiting } = yield* rooms.broadcast("lobby", "Notify", "x")
      assert.deepStrictEqual({ delivered, waiting }, { delivered: 1, waiting: 1 })
      assert.deepStrictEqual(yield* told, [`Visit/a Notify from "lobby"`])
      yield* TestSessions.elapse("2 seconds")
      assert.deepStrictEqual((yield* told).slice(1), [`Visit/b Notify from "lobby"`])
      yield* rooms.broadcastToUser("carl", "Notify", "y")
      assert.deepStrictEqual((yield* told).slice(2), [`Visit/c Notify from ""`])
      yield* visits.broadcast("Notify", "z")
      assert.deepStrictEqual(
        (yield* told).slice(3).sort(),
        ["a", "b", "c"].map((id) => `Visit/${id} Notify from ""`)
      )
    }).pipe(provide))
})

describe("without a listener", () => {
  it.effect("no event is made", () => {
    const silent = Layer.succeed(SessionEvents, {
      active: false,
      publish: () => assert.fail("an event was made"),
      listen: () => Effect.void,
      listenUnsafe: () => () => {},
      stream: () => Stream.empty
    })
    const services = Layer.mergeAll(Expiry.layer, StartLimiter.layer, MessageLimiter.layer, DeadLetters.layer, silent)
    return Effect.gen(function*() {
      const ref = yield* (yield* Shelf).start("a")
      yield* Store.select(ref, double())
      yield* Stream.runHead(ref.changes(double()))
      yield* (yield* Visit).start("a")
      yield* (yield* Rooms).join("lobby", "a")
      yield* (yield* Rooms).broadcast("lobby", "Notify", "x")
      yield* (yield* Visit).broadcast("Notify", "x")
    }).pipe(Effect.provide(layer.pipe(
      Layer.provideMerge(Sessions.layerNoDeps),
      Layer.provideMerge(services),
      Layer.provide(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make()))
    )))
  })
})
