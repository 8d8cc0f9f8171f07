/**
 * The cart: one slice of a visit, and what actions do to it.
 */
import { Number, Schema } from "effect"
import { type Action, Middleware, Reducer } from "effect-sessions"
import * as Catalogue from "./Catalogue.ts"

/** The most of one product that a cart can hold. */
const most = 999

/** The most that a visitor can add at once. */
export const Quantity = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 99 }))

export const Item = Schema.Struct({
  sku: Catalogue.Sku,
  quantity: Schema.Int,
  price: Catalogue.Money
})

/** The number of things in the cart, and their total price. */
export const Totals = Schema.Struct({ count: Schema.Int, total: Catalogue.Money })

export const CartState = Schema.Struct({ items: Schema.Array(Item), ...Totals.fields })
export type CartState = typeof CartState.Type

/** What is added to a cart. */
export const Addition = Schema.Struct({ sku: Catalogue.Sku, quantity: Quantity })

/** A cart with these items and their totals. */
const cartOf = (items: CartState["items"]): CartState => ({
  items,
  count: Number.sumAll(items.map((item) => item.quantity)),
  total: Number.sumAll(items.map((item) => item.quantity * item.price))
})

/** The reducer: pure, so it serves any kind of store. */
export const cart = Reducer.make("cart", {
  prefix: "cart",
  state: CartState,
  initial: cartOf([]),
  actions: { add: Addition, remove: Schema.Struct({ sku: Schema.String }), clear: Schema.Void },
  on: {
    add: ({ items }, { quantity, sku }) =>
      items.some((item) => item.sku === sku)
        ? cartOf(items.map((item) => item.sku === sku ? { ...item, quantity: item.quantity + quantity } : item))
        : cartOf([...items, { sku, quantity, price: Catalogue.get(sku).price }]),
    remove: ({ items }, { sku }) => cartOf(items.filter((item) => item.sku !== sku)),
    clear: () => cartOf([])
  }
})

/** Refuses actions that a cart cannot execute, with the reason. */
export const rules = Middleware.validation<{ readonly cart: CartState }>((action, { cart: { items } }) => {
  const { type } = action
  if (type === "cart.add") {
    const { quantity, sku } = payloadOf<typeof Addition.Type>(action)
    const held = items.find((item) => item.sku === sku)?.quantity ?? 0
    return held + quantity > most ? `a cart holds at most ${most} of ${sku}` : undefined
  }
  if (type === "cart.remove") {
    const { sku } = payloadOf<{ readonly sku: string }>(action)
    return items.some((item) => item.sku === sku) ? undefined : "this is not in your cart"
  }
  return undefined
})

/** The schemas of the reducer have checked the payload, wherever the action came from. */
const payloadOf = <P>(action: Action.Action): P => action.payload as P

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
