/**
 * How fast is another kind of session than the reference? An example of measuring your own kind: it starts with arguments,
 * and its handlers are Effects that use a service.
 *
 * Run: node --expose-gc --conditions=source bench/main.ts --module ./bench/example-kind.ts
 */
import { Context, Effect, Layer, Schema } from "effect"
import { Session } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"
import { benchKind } from "./harness.ts"

class Prices extends Context.Service<Prices, {
  readonly of: (item: string) => Effect.Effect<number>
}>()("bench/Prices") {}

const PricesLayer = Layer.succeed(Prices, { of: (item) => Effect.succeed(item.length) })

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ owner: Schema.String, items: Schema.Int, total: Schema.Number }),
  args: Schema.String,
  protocol: [
    Rpc.make("Total", { success: Schema.Number }),
    Rpc.make("Add", { payload: Schema.String })
  ]
}) {}

const CartLayer = Cart.toLayer(Effect.gen(function*() {
  const prices = yield* Prices
  return Cart.behavior({
    init: ({ args }) => ({ owner: args, items: 0, total: 0 }),
    handlers: {
      Total: ({ state }) => [state, state.total],
      Add: Effect.fnUntraced(function*({ payload, state }) {
        const price = yield* prices.of(payload)
        return [{ ...state, items: state.items + 1, total: state.total + price }]
      })
    }
  })
})).pipe(Layer.provide(PricesLayer))

export default benchKind({
  kind: Cart,
  layer: CartLayer,
  start: { args: "Ada" },
  call: (cart) => cart.call("Total"),
  cast: (cart) => cart.cast("Add", "apple"),
  castUnsafe: (cart) => cart.castUnsafe("Add", "apple"),
  broadcast: (carts) => carts.broadcast("Add", "apple")
})
