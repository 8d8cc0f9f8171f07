// A cart for each user, as a session.
//   node --conditions=source examples/01-cart.ts
import { Effect, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Add", { payload: Schema.String, success: Schema.Int })]
}) {}

const CartLayer = Cart.toLayer(
  Cart.behavior({ init: () => [], handlers: { Add: ({ state, payload }) => [[...state, payload], state.length + 1] } })
)

Effect.gen(function*() {
  const cart = yield* (yield* Cart).start("ada")
  console.log("items in the cart:", yield* cart.call("Add", "tea"))
}).pipe(Effect.provide(Layer.provide(CartLayer, Sessions.layer())), Effect.runPromise)
