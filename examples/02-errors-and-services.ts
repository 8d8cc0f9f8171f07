// Handlers that use services and fail with typed errors, and arguments at the start.
//   node --conditions=source examples/02-errors-and-services.ts
import { Context, Effect, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"

class OutOfStock extends Schema.TaggedError<OutOfStock>()("OutOfStock", { sku: Schema.String }) {}
class NoSuchUser extends Schema.TaggedError<NoSuchUser>()("NoSuchUser", { name: Schema.String }) {}

class Stock extends Context.Service<Stock, {
  readonly reserve: (sku: string) => Effect.Effect<void, OutOfStock>
}>()("example/Stock") {
  static readonly layer = Layer.succeed(Stock, {
    reserve: (sku) => sku === "tea" ? Effect.void : Effect.fail(new OutOfStock({ sku }))
  })
}

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ owner: Schema.String, skus: Schema.Array(Schema.String) }),
  args: Schema.Struct({ name: Schema.String }),
  error: NoSuchUser,
  protocol: [Rpc.make("Add", { payload: Schema.String, success: Schema.Int, error: OutOfStock })]
}) {}

const CartLayer = Cart.toLayer(Effect.gen(function*() {
  const stock = yield* Stock
  return Cart.behavior({
    init: ({ args: { name } }) =>
      name === "" ? Effect.fail(new NoSuchUser({ name })) : Effect.succeed({ owner: name, skus: [] }),
    handlers: {
      Add: Effect.fnUntraced(function*({ payload, state }) {
        yield* stock.reserve(payload)
        return [{ ...state, skus: [...state.skus, payload] }, state.skus.length + 1]
      })
    }
  })
})).pipe(Layer.provide(Stock.layer))

Effect.gen(function*() {
  const carts = yield* Cart
  const refused = yield* Effect.flip(carts.start("nobody", { args: { name: "" } }))
  console.log("start failed with", refused._tag)

  const cart = yield* carts.start("ada", { args: { name: "Ada" } })
  console.log("items:", yield* cart.call("Add", "tea"))
  yield* cart.call("Add", "gold").pipe(
    Effect.catchTag("OutOfStock", ({ sku }) => Effect.sync(() => console.log("out of stock:", sku)))
  )
  console.log("the state is as it was:", yield* cart.state)
}).pipe(Effect.provide(Layer.provide(CartLayer, Sessions.layer())), Effect.runPromise)
