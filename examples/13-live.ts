// A session's state in every tab: views, patches, actions that are handled once, and optimistic updates.
//   node --conditions=source examples/13-live.ts
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { Live, Session, Sessions } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { LiveClient } from "effect-sessions/client"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtSigner, JwtVerifier } from "effect-sessions/jwt"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import { HttpRouter, HttpServer } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"
import { createServer } from "node:http"

const Item = Schema.Struct({ id: Schema.Int, name: Schema.String })

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ items: Schema.Array(Item), margin: Schema.Number }),
  protocol: [Rpc.make("Add", { payload: Item, success: Schema.Int })]
}) {}

// What server and browser share: what clients see, and what they can do. Nobody sees the margin.
class CartLive extends Live.Service<CartLive>()("CartLive", {
  kind: Cart,
  views: { items: Schema.Array(Item), count: Schema.Int },
  messages: ["Add"]
}) {}

// --- the server

const CartLayer = Cart.toLayer(Cart.behavior({
  init: () => ({ items: [], margin: 0.3 }),
  handlers: {
    Add: ({ payload, state }) => [{ ...state, items: [payload, ...state.items] }, state.items.length + 1]
  }
}))

const Views = LiveViews.layer(CartLive, {
  select: { items: (cart) => cart.items, count: (cart) => cart.items.length }
})

const Routes = LiveSocket.layer(CartLive, { path: "/live", session: Admission.token({ kind: Cart }) })

const secret = Redacted.make("a secret of at least thirty-two bytes")

const Main = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide([Views, JwtVerifier.layer(), CrossOrigin.layer(), Connections.layer()]),
  Layer.provide(JwtKeys.layerSecret(secret)),
  Layer.provide(Layer.provide(CartLayer, Sessions.layer())),
  Layer.provideMerge(JwtSigner.layerSecret(secret)),
  Layer.provideMerge(
    NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })
  )
)

// --- two tabs

const tab = Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const token = yield* (yield* JwtSigner).sign({ sub: "ada" })
  return yield* LiveClient.make(CartLive, {
    url: `${HttpServer.formatAddress(address).replace("http", "ws")}/live`,
    protocols: ["bearer", token]
  })
})

Effect.gen(function*() {
  const [left, right] = yield* Effect.all([tab, tab])
  // Shown at once; taken back if the server refuses.
  const tea = { id: 1, name: "tea" }
  const count = yield* left.call("Add", tea, { optimistic: { items: (items) => [tea, ...items] } })
  yield* right.cast("Add", { id: 2, name: "milk" })
  console.log("after tea:", count)
  yield* right.changes("items").pipe(
    Stream.takeUntil((items) => items.length === 2),
    Stream.runForEach((items) => Effect.sync(() => console.log("right:", items.map((item) => item.name).join(", "))))
  )
}).pipe(Effect.scoped, Effect.provide(Layer.merge(Main, LiveClient.layerWebSocket)), Effect.runPromise)
