// Live views for plain clients: an event stream, and an action as a POST.
//   node --conditions=source examples/docs/live-http.ts
import { Effect, Layer, Schema } from "effect"
import { Live, Session, Sessions } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections, CookieKeys, CrossOrigin, HttpSession } from "effect-sessions/http"
import { LiveHttp, LiveViews } from "effect-sessions/live"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { Rpc } from "effect/rpc"

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Add", { payload: Schema.String, success: Schema.Int })]
}) {}

class CartLive extends Live.Service<CartLive>()("CartLive", {
  kind: Cart,
  views: { items: Cart.state, count: Schema.Int },
  messages: ["Add"]
}) {}

class Visitor extends HttpSession.Service<Visitor>()("app/Visitor", { kind: Cart }) {}

const CartLayer = Cart.toLayer(Cart.behavior({
  init: () => [],
  handlers: { Add: ({ payload, state }) => [[...state, payload], state.length + 1] }
}))

const Views = LiveViews.layer(CartLive, { select: { items: (cart) => cart, count: (cart) => cart.length } })

const LiveRoutes = LiveHttp.layer(CartLive, {
  path: "/live",
  session: Admission.cookie(Visitor),
  allow: (name, { session }) => name !== "Add" || Effect.map(Effect.orDie(session.info), ({ user }) => user !== "guest")
})

const Welcome = HttpRouter.add(
  "GET",
  "/",
  Effect.gen(function*() {
    yield* (yield* Visitor).start()
    return HttpServerResponse.text("welcome")
  })
).pipe(Layer.provide(HttpSession.middleware(Visitor).layer))

const Routes = Layer.mergeAll(Welcome, LiveRoutes).pipe(
  Layer.provide(CrossOrigin.protect),
  Layer.provide([Views, CookieKeys.layerRandom, CrossOrigin.layer(), Connections.layer()]),
  Layer.provide(Layer.provideMerge(CartLayer, Sessions.layer()))
)

const { dispose, handler } = HttpRouter.toWebHandler(Routes, { disableLogger: true })

const request = (path: string, init?: RequestInit) =>
  handler(new Request(`https://shop.example${path}`, { ...init, headers: { host: "shop.example", cookie } }))

let cookie = ""
cookie = (await request("/")).headers.get("set-cookie")!.split(";")[0]!

const events = (await request("/live?view=items")).body!.pipeThrough(new TextDecoderStream()).getReader()
console.log((await events.read()).value!.trim())
console.log("answer:", await (await request("/live/Add", { method: "POST", body: JSON.stringify("tea") })).text())
console.log((await events.read()).value!.trim())
await events.cancel()
await dispose()
