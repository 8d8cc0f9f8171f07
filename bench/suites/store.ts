/**
 * What does a store cost compared with a plain session? Measures one reducer beside a plain handler that does the same,
 * watchers whose selection does not change, and the time and memory of a history. Everything runs in one process, in turn,
 * so that the ratios hold when the machine's speed drifts.
 */
import { Effect, Layer, Schema, Stream } from "effect"
import { Reducer, Session, Sessions, Store } from "effect-sessions"
import { Rpc } from "effect/rpc"
import { makeIds, median, memory } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

const Item = Schema.Struct({ sku: Schema.String, quantity: Schema.Int })

class Plain extends Session.Service<Plain>()("Plain", {
  state: Schema.Struct({ count: Schema.Int }),
  protocol: [Rpc.make("Set", { payload: Schema.Int })]
}) {}

const counter = Reducer.make("counter", {
  prefix: "counter",
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 },
  actions: { set: Schema.Int },
  on: { set: (_, count) => ({ count }) }
})

const cart = Reducer.make("cart", {
  prefix: "cart",
  state: Schema.Struct({ items: Schema.Array(Item), note: Schema.String }),
  initial: { items: Array.from({ length: 20 }, (_, i) => ({ sku: `sku-${i}`, quantity: 1 })), note: "" },
  actions: { raise: Schema.Int },
  on: {
    raise: (state, at) => ({
      ...state,
      items: state.items.map((item, i) => i === at ? { ...item, quantity: item.quantity + 1 } : item)
    })
  }
})

class Counter extends Store.Service<Counter>()("Counter", { reducers: [counter] }) {}
class Kept extends Store.Service<Kept>()("Kept", { reducers: [counter] }) {}
class Cart extends Store.Service<Cart>()("Cart", { reducers: [cart] }) {}
class KeptCart extends Store.Service<KeptCart>()("KeptCart", { reducers: [cart] }) {}

const layer = Layer.mergeAll(
  Plain.toLayer(
    Plain.behavior({ init: () => ({ count: 0 }), handlers: { Set: ({ payload }) => [{ count: payload }] } })
  ),
  Counter.toLayer(Store.behavior(Counter)),
  Kept.toLayer(Store.behavior(Kept, { history: 100 })),
  Cart.toLayer(Store.behavior(Cart)),
  KeptCart.toLayer(Store.behavior(KeptCart, { history: 100 }))
).pipe(Layer.provideMerge(Sessions.layer({ maxSessions: 1_000_000, startRate: false })))

const watchersCount = 1_000

const suite = (plan: Plan) =>
  Effect.gen(function*() {
    const rounds = Math.max(Math.round(400_000 * plan.effort), 40_000)
    const plain = yield* (yield* Plain).start("a")
    const counting = yield* (yield* Counter).start("a")
    const keeping = yield* (yield* Kept).start("a")

    /** Operations per second. */
    const timed = (count: number, operation: (i: number) => Effect.Effect<unknown, unknown>) =>
      Effect.gen(function*() {
        const start = performance.now()
        for (let i = 0; i < count; i++) yield* operation(i)
        return count / (performance.now() - start) * 1_000
      })
    const casts = timed(rounds, (i) => plain.cast("Set", i))
    const dispatches = timed(rounds, (i) => Store.dispatch(counting, "counter.set", i))
    const withHistory = timed(rounds, (i) => Store.dispatch(keeping, "counter.set", i))
    const rates = { casts: [] as Array<number>, dispatches: [] as Array<number>, withHistory: [] as Array<number> }
    for (let turn = 0; turn < 6; turn++) {
      const found = [yield* casts, yield* dispatches, yield* withHistory] as const
      // The first turn is the warm-up.
      if (turn === 0) continue
      rates.casts.push(found[0])
      rates.dispatches.push(found[1])
      rates.withHistory.push(found[2])
    }

    const watched = yield* (yield* Counter).start("watched")
    const few = Math.round(rounds / 40)
    const dispatchWatched = timed(few, (i) => Store.dispatch(watched, "counter.set", i))
    yield* dispatchWatched
    const alone = yield* dispatchWatched
    yield* Effect.forEach(
      Array.from({ length: watchersCount }),
      () => Effect.forkChild(Stream.runDrain(watched.changes(({ counter: { count } }) => count < 0))),
      { discard: true }
    )
    yield* Effect.sleep("50 millis")
    const watching = yield* dispatchWatched

    const ids = makeIds(1_000)
    const weigh = (kind: (typeof Cart)["Service"] | (typeof KeptCart)["Service"]) =>
      Effect.gen(function*() {
        const before = yield* memory
        for (const id of ids) {
          const ref = yield* kind.start(id)
          // Enough actions to fill the history.
          for (let i = 0; i < 249; i++) yield* Store.dispatch(ref, "cart.raise", i % 20)
        }
        return ((yield* memory) - before) / ids.length
      })
    const bare = yield* weigh(yield* Cart)
    const kept = yield* weigh(yield* KeptCart)

    return {
      store_cast: median(rates.casts),
      store_dispatch: median(rates.dispatches),
      store_history: median(rates.withHistory),
      store_watcher_ns: (1e9 / watching - 1e9 / alone) / watchersCount,
      store_bytes: bare,
      store_bytes_history: kept
    }
  })

/** Ignores the driver: only this library has stores. */
export const store = (_driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.scoped(Effect.provide(suite(plan), layer))
