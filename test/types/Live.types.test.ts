/**
 * The types of live sessions and of their client. Each test holds when this file compiles: see `Session.types.test.ts`.
 */
// @effect-diagnostics missingEffectError:off floatingEffect:off
import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { type Effect, type Layer, type Option, Schema, type Scope, type Stream, type SubscriptionRef } from "effect"
import { Reducer, Session, Store } from "effect-sessions"
import { type ClientError, Live, LiveAtom, LiveClient, type LiveError, type Status } from "effect-sessions/client"
import type * as AsyncResult from "effect/reactivity/AsyncResult"
import type * as Atom from "effect/reactivity/Atom"
import * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import type * as Socket from "effect/socket/Socket"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { left: Schema.Int }) {}

const Item = Schema.Struct({ sku: Schema.String, count: Schema.Int })
type Item = typeof Item.Type

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ items: Schema.Array(Item) }),
  protocol: [
    Rpc.make("Add", { payload: Item, success: Schema.Int, error: OutOfStock }),
    Rpc.make("Clear"),
    Rpc.make("Due", { payload: Schema.Date, success: Schema.Date }),
    Rpc.make("Hidden")
  ]
}) {}

class CartLive extends Live.Service<CartLive>()("CartLive", {
  kind: Cart,
  views: { items: Schema.Array(Item), due: Schema.Date },
  messages: ["Add", "Clear", "Due"]
}) {}
type D = typeof CartLive

const counter = Reducer.make("counter", {
  prefix: "counter",
  state: Schema.Struct({ count: Schema.Int }),
  initial: { count: 0 },
  actions: { increment: Schema.Void, set: Schema.Int },
  on: { increment: ({ count }) => ({ count: count + 1 }), set: (_, count) => ({ count }) }
})
class Shop extends Store.Service<Shop>()("Shop", { reducers: [counter] }) {}
class ShopLive extends Live.Service<ShopLive>()("ShopLive", {
  kind: Shop,
  views: { count: Schema.Int },
  messages: ["Reset"],
  actions: ["counter.set", "counter.increment"]
}) {}

class CartClient extends LiveClient.Service<CartClient>()("CartClient", CartLive) {}

declare const cart: LiveClient.LiveClient<D>
declare const shop: LiveClient.LiveClient<typeof ShopLive>

type ErrorOf<T> = T extends Effect.Effect<any, infer E, any> ? E : never

/** What is in here need only compile. */
const compiled = (_: () => void) => assert.isFunction(_)

describe("definitions", () => {
  it("know their views and commands", () => {
    expectTypeOf<Live.ViewName<D>>().toEqualTypeOf<"items" | "due">()
    expectTypeOf<Live.View<D, "items">>().toEqualTypeOf<ReadonlyArray<Item>>()
    expectTypeOf<Live.Command<D>["_tag"]>().toEqualTypeOf<"Add" | "Clear" | "Due">()
    expectTypeOf<Live.DispatchedAction<D>>().toEqualTypeOf<never>()
    expectTypeOf<Live.DispatchedAction<typeof ShopLive>["_tag"]>().toEqualTypeOf<"counter.set" | "counter.increment">()
    expectTypeOf<Live.Command<typeof ShopLive>["_tag"]>().toEqualTypeOf<"counter.set" | "counter.increment" | "Reset">()
  })

  it("name only what there is", () =>
    compiled(() => {
      // @ts-expect-error there is no such message
      Live.Service()("A", { kind: Cart, views: {}, messages: ["Nothing"] })
      // @ts-expect-error there is no such action
      Live.Service()("A", { kind: Shop, views: {}, actions: ["counter.nothing"] })
      // @ts-expect-error a cart has no actions
      Live.Service()("A", { kind: Cart, views: {}, actions: ["Add"] })
    }))

  it("are groups of RPCs", () => {
    const rpcs = Live.rpcs(CartLive)
    type Rpcs = typeof rpcs extends RpcGroup.RpcGroup<infer R> ? R : never
    expectTypeOf<Rpcs["_tag"]>().toEqualTypeOf<"live.hello" | "live.token" | "live.view" | "Add" | "Clear" | "Due">()
    type Add = Extract<Rpcs, { readonly _tag: "Add" }>
    expectTypeOf<Rpc.Payload<Add>>().toEqualTypeOf<Item>()
    expectTypeOf<Rpc.Error<Add>>().toEqualTypeOf<OutOfStock | LiveError.ActionError>()
  })
})

describe("clients", () => {
  it("are made of a definition, and need a WebSocket", () => {
    const client = LiveClient.make(CartLive, { url: "ws://x" })
    expectTypeOf(client).toEqualTypeOf<
      Effect.Effect<LiveClient.LiveClient<D>, never, Scope.Scope | Socket.WebSocketConstructor>
    >()
    expectTypeOf<typeof cart.status>().toEqualTypeOf<SubscriptionRef.SubscriptionRef<Status.Status>>()
    expectTypeOf<typeof cart.lifetime>().toEqualTypeOf<
      Effect.Effect<Option.Option<number>, LiveError.SessionGone | ClientError.ClientClosed>
    >()
  })

  it("are services", () => {
    expectTypeOf(CartClient.layer({ url: "ws://x" })).toEqualTypeOf<Layer.Layer<CartClient>>()
    expectTypeOf(CartClient.layerWith({ url: "ws://x" })).toEqualTypeOf<
      Layer.Layer<CartClient, never, Socket.WebSocketConstructor>
    >()
    expectTypeOf<(typeof CartClient)["Service"]>().toEqualTypeOf<LiveClient.LiveClient<D>>()
  })

  it("infer views", () =>
    compiled(() => {
      expectTypeOf(cart.mount("items")).toEqualTypeOf<
        Effect.Effect<LiveClient.LiveView<ReadonlyArray<Item>>, never, Scope.Scope>
      >()
      expectTypeOf(cart.changes("due")).toEqualTypeOf<Stream.Stream<Date, LiveClient.ViewFailure>>()
      // @ts-expect-error there is no such view
      cart.mount("nothing")
      // @ts-expect-error there is no such view
      cart.changes("nothing")
    }))

  it("infer payloads, answers and errors", () =>
    compiled(() => {
      const add = cart.call("Add", { sku: "pen", count: 1 })
      expectTypeOf<Effect.Success<typeof add>>().toEqualTypeOf<number>()
      expectTypeOf<ErrorOf<typeof add>>().toEqualTypeOf<OutOfStock | LiveClient.CallError>()
      const clear = cart.call("Clear")
      expectTypeOf<Effect.Success<typeof clear>>().toEqualTypeOf<void>()
      expectTypeOf<ErrorOf<typeof clear>>().toEqualTypeOf<LiveClient.CallError>()
      expectTypeOf<Effect.Success<ReturnType<typeof due>>>().toEqualTypeOf<Date>()
      const due = () => cart.call("Due", new Date(0), { timeout: "1 second" })
      cart.call("Clear", undefined, { timeout: 5 })
      expectTypeOf(cart.cast("Add", { sku: "pen", count: 1 })).toEqualTypeOf<
        Effect.Effect<void, ClientError.QueueFull | ClientError.ClientClosed | LiveError.InvalidPayload>
      >()
      // @ts-expect-error it needs a payload
      cart.call("Add")
      // @ts-expect-error another payload
      cart.call("Add", { sku: "pen" })
      // @ts-expect-error clients may not
      cart.call("Hidden")
      // @ts-expect-error there is no such command
      cart.cast("Nothing")
      // @ts-expect-error nobody waits for it
      cart.cast("Clear", undefined, { timeout: 5 })
      // @ts-expect-error a cart has no actions
      cart.dispatch("Add", { sku: "pen", count: 1 })
    }))

  it("dispatch the actions of a store", () =>
    compiled(() => {
      const set = shop.dispatch("counter.set", 5)
      expectTypeOf<Effect.Success<typeof set>>().toEqualTypeOf<void>()
      shop.dispatch("counter.increment")
      shop.call("counter.set", 5)
      shop.call("Reset")
      // @ts-expect-error another payload
      shop.dispatch("counter.set", "5")
      // @ts-expect-error a message is no action
      shop.dispatch("Reset")
    }))

  it("check optimistic changes by their views", () =>
    compiled(() => {
      cart.call("Clear", undefined, {
        optimistic: {
          items: (items) => {
            expectTypeOf(items).toEqualTypeOf<ReadonlyArray<Item>>()
            return []
          }
        }
      })
      // @ts-expect-error another value
      cart.cast("Clear", undefined, { optimistic: { items: () => 5 } })
      // @ts-expect-error there is no such view
      cart.cast("Clear", undefined, { optimistic: { nothing: () => [] } })
    }))

  it("tell of rejections by their commands", () => {
    type Rejection = LiveClient.Rejection<D>
    type Add = Extract<Rejection, { readonly tag: "Add" }>
    expectTypeOf<Add["payload"]>().toEqualTypeOf<Item>()
    expectTypeOf<Add["error"]>().toEqualTypeOf<OutOfStock | LiveClient.CallError>()
    expectTypeOf<Rejection["tag"]>().toEqualTypeOf<"Add" | "Clear" | "Due">()
  })
})

describe("atoms", () => {
  it("infer as the client does", () =>
    compiled(() => {
      const client = null as unknown as LiveAtom.ClientAtom<D, "no token">
      const items = LiveAtom.view(client, "items")
      expectTypeOf<Atom.Success<typeof items>>().toEqualTypeOf<ReadonlyArray<Item>>()
      const add = LiveAtom.call(client, "Add", (item) => ({ optimistic: { items: (items) => [...items, item] } }))
      expectTypeOf<Atom.Success<typeof add>>().toEqualTypeOf<number>()
      expectTypeOf<Atom.Failure<typeof add>>().toEqualTypeOf<OutOfStock | LiveClient.CallError | "no token">()
      expectTypeOf(LiveAtom.status(client)).toExtend<Atom.Atom<AsyncResult.AsyncResult<Status.Status, any>>>()
      // @ts-expect-error there is no such view
      LiveAtom.view(client, "nothing")
      // @ts-expect-error there is no such command
      LiveAtom.call(client, "nothing")
    }))
})
