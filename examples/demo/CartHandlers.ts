/**
 * The handlers of the endpoints about the visitor's own cart: each finds the visit and dispatches an action.
 */
import { DateTime, Effect, Option } from "effect"
import { SessionError, Store } from "effect-sessions"
import { HttpApiBuilder } from "effect/http-api"
import { NotInCart, QuantityLimit } from "./Cart.ts"
import * as CartEvent from "./CartEvent.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { visit, Visitor } from "./Visitor.ts"

export const CartHandlers = HttpApiBuilder.group(ShopApi, "cart", (handlers) =>
  handlers.handleAll({
    session: Effect.fn("session")(
      function*() {
        const { crashes, expiresAt, id, kind, lastActiveAt, startedAt, state, version } = yield* (yield* visit).info
        return {
          kind,
          id,
          startedAt: DateTime.makeUnsafe(startedAt),
          lastActiveAt: DateTime.makeUnsafe(lastActiveAt),
          expiresAt: expiresAt === undefined ? null : DateTime.makeUnsafe(expiresAt),
          version,
          crashes,
          state: state.cart
        }
      },
      Effect.catchTag("SessionNotFound", ShopError.fromCall),
      ShopError.orUnavailable
    ),
    leave: () => Effect.asVoid(Effect.flatMap(Visitor, (visitor) => ShopError.orUnavailable(visitor.end))),
    add: Effect.fn("add")(
      function*({ payload }) {
        return (yield* Store.dispatchWait(yield* visit, "cart.add", payload)).cart
      },
      (effect, { payload: { sku } }) =>
        Effect.catchTag(effect, "ActionStopped", ({ message }) => Effect.fail(new QuantityLimit({ sku, message }))),
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    remove: Effect.fn("remove")(
      function*({ params }) {
        const visitor = yield* Visitor
        const visit = yield* visitor.find
        if (Option.isNone(visit)) return yield* new NotInCart({ message: "your cart is empty" })
        return (yield* Store.dispatchWait(visit.value, "cart.remove", params)).cart
      },
      Effect.catchTag("ActionStopped", ({ message }) => Effect.fail(new NotInCart({ message }))),
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    events: Effect.fn("events")(
      function*() {
        const events = CartEvent.stream(yield* visit)
        return yield* (yield* Visitor).hold(events)
      },
      Effect.catchTag("NoSession", () => Effect.succeed(CartEvent.gone)),
      ShopError.orUnavailable
    )
  }))
