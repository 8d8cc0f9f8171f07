/**
 * The HTTP API of the shop: endpoints, payloads, answers and errors, as schemas.
 *
 * Nothing here says how anything is done: see CartHandlers.ts and ShopHandlers.ts. The same definition gives the
 * server its validation, `/openapi.json` its contents, and a TypeScript client its types.
 */
import { Schema } from "effect"
import { SessionError } from "effect-sessions"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { CartState, NotInCart, Quantity, QuantityLimit, Totals } from "./Cart.ts"
import { CartEvent } from "./CartEvent.ts"
import * as Catalogue from "./Catalogue.ts"
import { KeepAlive } from "./KeepAlive.ts"
import { ReadableErrors } from "./ReadableErrors.ts"
import { CartUnavailable, RateExceeded } from "./ShopError.ts"
import { VisitorCookie } from "./VisitorCookie.ts"

/** Why a visitor who is new may not come in now. Those who have a cart never see these. */
const startErrors = [RateExceeded, SessionError.SessionLimitReached, SessionError.SessionsClosed] as const

/** A visitor's session. */
export const CartSession = Schema.Struct({
  kind: Schema.String,
  startedAt: Schema.DateTimeUtcFromString,
  lastActiveAt: Schema.DateTimeUtcFromString,
  /** `null` when sessions do not expire. */
  expiresAt: Schema.NullOr(Schema.DateTimeUtcFromString),
  state: CartState
})

const cart = HttpApiGroup.make("cart")
  .add(
    HttpApiEndpoint.get("session", "/session", {
      success: CartSession,
      error: [...startErrors, CartUnavailable]
    }),
    HttpApiEndpoint.delete("leave", "/session", {
      success: HttpApiSchema.NoContent
    }),
    HttpApiEndpoint.post("add", "/cart/items", {
      payload: Schema.Struct({ sku: Catalogue.Sku, quantity: Quantity }),
      success: Totals,
      error: [...startErrors, CartUnavailable, QuantityLimit]
    }),
    HttpApiEndpoint.delete("remove", "/cart/items/:sku", {
      params: { sku: Schema.String },
      success: Totals,
      error: [RateExceeded, CartUnavailable, NotInCart]
    }),
    HttpApiEndpoint.get("events", "/events", {
      success: HttpApiSchema.StreamSse({ events: CartEvent }),
      error: startErrors
    }).middleware(KeepAlive)
  )
  .middleware(VisitorCookie)

const shop = HttpApiGroup.make("shop")
  .add(
    HttpApiEndpoint.get("sessions", "/sessions", {
      success: Schema.Struct({ count: Schema.Int, limit: Schema.Int, utilisation: Schema.Finite })
    })
  )

export class ShopApi extends HttpApi.make("corner-shop").add(cart, shop).prefix("/api").middleware(ReadableErrors) {}
