/**
 * A program in its three versions, each of which kept carts in another format, and what a visitor did in each. What
 * this left in the store is in `fixtures`: see `cartWriter.ts`.
 */
import { Context, Effect, Layer, Option, Schema } from "effect"
import { type KindOptions, Migration, Session, Sessions, Supervision } from "effect-sessions"
import { MemoryStore, SnapshotStore } from "effect-sessions/snapshots"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { sku: Schema.String }) {}

const contract = {
  args: Schema.optional(Schema.Struct({ currency: Schema.String })),
  protocol: [
    Rpc.make("Add", { payload: Schema.String, success: Schema.Int, error: SoldOut }),
    /** Adds something in half an hour, and something else every two hours. */
    Rpc.make("Remind"),
    Rpc.make("Crash")
  ]
}

const Item = Schema.Struct({ sku: Schema.String, quantity: Schema.Int })
const First = Schema.Array(Schema.String)
const Second = Schema.Struct({ items: Schema.Array(Item) })
const Third = Schema.Struct({ items: Schema.Array(Item), currency: Schema.String, since: Schema.NullOr(Schema.Date) })

class Cart1 extends Session.Service<Cart1>()("Cart", { state: First, ...contract }) {}
class Cart2 extends Session.Service<Cart2>()("Cart", { state: Second, ...contract }) {}
export class Cart extends Session.Service<Cart>()("Cart", { state: Third, ...contract }) {}

const handlers = <State>(add: (state: State, sku: string) => State, count: (state: State) => number) => ({
  Add: ({ payload: sku, state }: { readonly payload: string; readonly state: State }) => {
    if (sku === "gold") return Effect.fail(new SoldOut({ sku }))
    const next = add(state, sku)
    return Effect.succeed([next, count(next)] as const)
  },
  Remind: ({ self, state }: { readonly self: Session.Self; readonly state: State }) =>
    Effect.gen(function*() {
      yield* self.after("30 minutes", "Add", "milk", { key: "once" })
      yield* self.every("2 hours", "Add", "news")
      return [state] as const
    }),
  Crash: () => {
    throw new Error("the till is broken")
  }
})

const toFirst = Migration.make(First, (skus) => ({ items: skus.map((sku) => ({ sku, quantity: 1 })) }))
const toThird = Migration.make(Second, (cart) => ({ ...cart, currency: "EUR", since: null }))

const options = (...migrations: ReadonlyArray<Migration.Migration>): KindOptions.KindOptions<any> => ({
  idleTimeout: "1 day",
  supervision: Supervision.reset({ backoff: () => 0 }),
  snapshots: { save: "everyChange", migrations }
})

const put = (items: (typeof Second)["Type"]["items"], sku: string) => [...items, { sku, quantity: 1 }]

const Cart1Layer = Cart1.toLayer(
  Cart1.behavior({
    init: () => [],
    handlers: handlers<(typeof First)["Type"]>((skus, sku) => [...skus, sku], (skus) => skus.length)
  }),
  options()
)

const Cart2Layer = Cart2.toLayer(
  Cart2.behavior({
    init: () => ({ items: [] }),
    handlers: handlers<(typeof Second)["Type"]>(
      ({ items }, sku) => ({ items: put(items, sku) }),
      ({ items }) => items.length
    )
  }),
  options(toFirst)
)

/** The present version. */
export const CartLayer = Cart.toLayer(
  Cart.behavior({
    init: ({ args, self }) => ({ items: [], currency: args?.currency ?? "EUR", since: new Date(self.startedAt) }),
    handlers: handlers<(typeof Third)["Type"]>(
      (cart, sku) => ({ ...cart, items: put(cart.items, sku) }),
      ({ items }) => items.length
    )
  }),
  options(toFirst, toThird)
)

/** New Year 2026. */
export const start = 1_767_225_600_000

type Protocol = (typeof contract)["protocol"][number]
type Args = (typeof contract)["args"]["Type"]

/** What a visitor did in each version. Afterwards the server was shut down. */
const visit = (carts: Session.SessionKind<any, Protocol, Args, never>) =>
  Effect.gen(function*() {
    const cart = yield* carts.start("ada", {
      args: { currency: "USD" },
      user: "ada",
      metadata: { device: "phone" },
      idleTimeout: "3 days"
    })
    yield* Effect.flip(cart.callOnce("Crash", undefined, once(1)))
    yield* cart.callOnce("Add", "tea", once(2))
    yield* Effect.flip(cart.callOnce("Add", "gold", once(3)))
    yield* cart.call("Remind")
  })

/** The actions of the visitor's tab. */
export const once = (sequence: number) => ({ client: "tab", sequence })

const visits = {
  1: Effect.provide(Effect.flatMap(Cart1, visit), Cart1Layer),
  2: Effect.provide(Effect.flatMap(Cart2, visit), Cart2Layer),
  3: Effect.provide(Effect.flatMap(Cart, visit), CartLayer)
}

/** The snapshot that the visit leaves with a version of the program. */
export const write = (version: keyof typeof visits) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(start)
    const memory = yield* Layer.build(Layer.fresh(MemoryStore.layer))
    yield* Effect.provide(visits[version], Layer.provideMerge(Sessions.layer(), Layer.succeedContext(memory)))
    return Option.getOrThrow(yield* Context.get(memory, SnapshotStore).peek({ kind: "Cart", id: "ada" }))
  })
