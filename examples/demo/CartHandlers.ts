/**
 * What the endpoints about the visitor's own cart do: each finds the cart and sends it a message.
 */
import { DateTime, Effect, Option } from "effect"
import { SessionError } from "effect-sessions"
import { HttpApiBuilder } from "effect/http-api"
import { NotInCart } from "./Cart.ts"
import * as CartEvent from "./CartEvent.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { Visitor } from "./VisitorCookie.ts"

export const CartHandlers = HttpApiBuilder.group(ShopApi, "cart", (handlers) =>
  handlers.handleAll({
    session: Effect.fn("session")(
      function*() {
        const visitor = yield* Visitor
        const cart = yield* visitor.cart
        const { expiresAt, kind, lastActiveAt, startedAt, state } = yield* cart.info
        return {
          kind,
          startedAt: DateTime.makeUnsafe(startedAt),
          lastActiveAt: DateTime.makeUnsafe(lastActiveAt),
          expiresAt: expiresAt === undefined ? null : DateTime.makeUnsafe(expiresAt),
          state
        }
      },
      Effect.catchTag("SessionNotFound", ShopError.fromCall)
    ),
    leave: () => Effect.flatMap(Visitor, (visitor) => visitor.leave),
    add: Effect.fn("add")(
      function*({ payload }) {
        const visitor = yield* Visitor
        const cart = yield* visitor.cart
        return yield* cart.call("Add", payload)
      },
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    remove: Effect.fn("remove")(
      function*({ params }) {
        const visitor = yield* Visitor
        const cart = yield* visitor.reach
        if (Option.isNone(cart)) return yield* new NotInCart({ message: "your cart is empty" })
        return yield* cart.value.call("Remove", params)
      },
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    events: Effect.fn("events")(function*() {
      const visitor = yield* Visitor
      return CartEvent.stream(yield* visitor.cart)
    })
  }))
