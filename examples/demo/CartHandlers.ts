/**
 * What the endpoints about the visitor's own cart do: each finds the visit and dispatches an action.
 */
import { DateTime, Effect, Option } from "effect"
import { SessionError, Store } from "effect-sessions"
import { HttpApiBuilder } from "effect/http-api"
import { NotInCart, QuantityLimit } from "./Cart.ts"
import * as CartEvent from "./CartEvent.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { Visitor } from "./VisitorCookie.ts"

export const CartHandlers = HttpApiBuilder.group(ShopApi, "cart", (handlers) =>
  handlers.handleAll({
    session: Effect.fn("session")(
      function*() {
        const visitor = yield* Visitor
        const visit = yield* visitor.visit
        const { expiresAt, kind, lastActiveAt, startedAt, state } = yield* visit.info
        return {
          kind,
          startedAt: DateTime.makeUnsafe(startedAt),
          lastActiveAt: DateTime.makeUnsafe(lastActiveAt),
          expiresAt: expiresAt === undefined ? null : DateTime.makeUnsafe(expiresAt),
          state: state.cart
        }
      },
      Effect.catchTag("SessionNotFound", ShopError.fromCall)
    ),
    leave: () => Effect.flatMap(Visitor, (visitor) => visitor.leave),
    add: Effect.fn("add")(
      function*({ payload }) {
        const visitor = yield* Visitor
        const visit = yield* visitor.visit
        return (yield* Store.dispatchWait(visit, "cart.add", payload)).cart
      },
      (effect, { payload: { sku } }) =>
        Effect.catchTag(effect, "ActionStopped", ({ message }) => Effect.fail(new QuantityLimit({ sku, message }))),
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    remove: Effect.fn("remove")(
      function*({ params }) {
        const visitor = yield* Visitor
        const visit = yield* visitor.reach
        if (Option.isNone(visit)) return yield* new NotInCart({ message: "your cart is empty" })
        return (yield* Store.dispatchWait(visit.value, "cart.remove", params)).cart
      },
      Effect.catchTag("ActionStopped", ({ message }) => Effect.fail(new NotInCart({ message }))),
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    events: Effect.fn("events")(function*() {
      const visitor = yield* Visitor
      return CartEvent.stream(yield* visitor.visit)
    })
  }))
