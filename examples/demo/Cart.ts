/**
 * The cart: the one kind of session in this shop.
 *
 * The class is the contract: what a cart holds and the messages it takes. The behaviour below it says what
 * they do. A cart handles one message at a time, so there is nothing to lock: two tabs that add tea at the
 * same moment are two messages in a row.
 */
import { Effect, Number, Schema } from "effect"
import { Session } from "effect-sessions"
import { Rpc } from "effect/rpc"
import * as Catalogue from "./Catalogue.ts"

/** How many of one product a cart can hold. */
const most = 999

/** How many a visitor can add at once. */
export const Quantity = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 99 }))

export const Item = Schema.Struct({
  sku: Catalogue.Sku,
  quantity: Schema.Int,
  price: Catalogue.Money
})

/** How many things are in the cart, and what they cost together. */
export const Totals = Schema.Struct({ count: Schema.Int, total: Catalogue.Money })

export const CartState = Schema.Struct({ items: Schema.Array(Item), ...Totals.fields })
export type CartState = typeof CartState.Type

export class QuantityLimit extends Schema.TaggedError<QuantityLimit>()(
  "QuantityLimit",
  { sku: Catalogue.Sku, message: Schema.String },
  { httpApiStatus: 422 }
) {}

export class NotInCart extends Schema.TaggedError<NotInCart>()(
  "NotInCart",
  { message: Schema.String },
  { httpApiStatus: 404 }
) {}

export class Cart extends Session.Service<Cart>()("Cart", {
  state: CartState,
  protocol: [
    Rpc.make("Add", {
      payload: { sku: Catalogue.Sku, quantity: Quantity },
      success: Totals,
      error: QuantityLimit
    }),
    Rpc.make("Remove", {
      payload: { sku: Schema.String },
      success: Totals,
      error: NotInCart
    })
  ]
}) {}

/** A cart with these items, added up. */
const cartOf = (items: CartState["items"]): CartState => ({
  items,
  count: Number.sumAll(items.map((item) => item.quantity)),
  total: Number.sumAll(items.map((item) => item.quantity * item.price))
})

/** A handler gives the next state and the answer. */
const replyTotals = (cart: CartState): [CartState, typeof Totals.Type] => [
  cart,
  { count: cart.count, total: cart.total }
]

export const CartLayer = Cart.toLayer(
  Cart.behavior({
    init: () => cartOf([]),
    handlers: {
      Add: ({ payload: { quantity, sku }, state: { items } }) => {
        const found = items.find((item) => item.sku === sku)
        if (found === undefined) {
          const { price } = Catalogue.get(sku)
          return replyTotals(cartOf([...items, { sku, quantity, price }]))
        }
        const raised = { ...found, quantity: found.quantity + quantity }
        return raised.quantity > most
          ? Effect.fail(new QuantityLimit({ sku, message: `a cart holds at most ${most} of ${sku}` }))
          : replyTotals(cartOf(items.map((item) => item === found ? raised : item)))
      },
      Remove: ({ payload: { sku }, state: { items } }) => {
        const rest = items.filter((item) => item.sku !== sku)
        return rest.length === items.length
          ? Effect.fail(new NotInCart({ message: "this is not in your cart" }))
          : replyTotals(cartOf(rest))
      }
    }
  })
)
