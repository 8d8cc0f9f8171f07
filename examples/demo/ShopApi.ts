/**
 * The HTTP API of the shop: endpoints, payloads, answers and errors, as schemas.
 *
 * Nothing here says how anything is done: see CartHandlers.ts, StoreHandlers.ts,
 * IdentityHandlers.ts and ShopHandlers.ts. The same definition gives the
 * server its validation, `/openapi.json` its contents, and a TypeScript client its types.
 */
import { Schema } from "effect"
import { SessionError, StoreError } from "effect-sessions"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import { UserId } from "./Accounts.ts"
import { Addition, CartState, NotInCart, QuantityLimit, Totals } from "./Cart.ts"
import { CartEvent } from "./CartEvent.ts"
import { KeepAlive } from "./KeepAlive.ts"
import { ReadableErrors } from "./ReadableErrors.ts"
import { CartUnavailable, NoSuchDevice, NotLoggedIn, RateExceeded } from "./ShopError.ts"
import { Visit } from "./Visit.ts"
import { VisitorCookie } from "./Visitor.ts"

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
      payload: Addition,
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

const Accepted = Schema.Struct({ accepted: Schema.Literal(true) }).pipe(HttpApiSchema.status(202))

const store = HttpApiGroup.make("store")
  .add(
    // The action is checked by the schemas of the reducers. With `?wait=1` the answer is the new state.
    HttpApiEndpoint.post("dispatch", "/dispatch", {
      query: { wait: Schema.optionalKey(Schema.Literal("1")) },
      payload: Schema.Struct({
        type: Schema.String,
        payload: Schema.optionalKey(Schema.Unknown),
        meta: Schema.optionalKey(Schema.Unknown)
      }),
      success: [Visit.state, Accepted],
      error: [
        ...startErrors,
        CartUnavailable,
        StoreError.UnknownAction,
        StoreError.InvalidAction,
        StoreError.ActionStopped
      ]
    }),
    HttpApiEndpoint.get("state", "/state", {
      query: { select: Schema.optionalKey(Schema.String) },
      success: Schema.Unknown,
      error: [...startErrors, CartUnavailable]
    }),
    HttpApiEndpoint.get("history", "/history", {
      success: Schema.Array(
        Schema.Struct({ version: Schema.Int, type: Schema.String, at: Schema.DateTimeUtcFromString })
      ),
      error: [...startErrors, CartUnavailable]
    }),
    HttpApiEndpoint.post("travel", "/history/:version", {
      params: { version: Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0)) },
      success: Visit.state,
      error: [...startErrors, CartUnavailable, StoreError.VersionGone]
    })
  )
  .middleware(VisitorCookie)

const Device = Schema.Struct({
  id: Schema.String,
  startedAt: Schema.DateTimeUtcFromString,
  lastActiveAt: Schema.DateTimeUtcFromString,
  address: Schema.NullOr(Schema.String),
  agent: Schema.NullOr(Schema.String),
  /** Pages and sockets that are open. */
  connections: Schema.Int,
  /** Is it the one that asks? */
  current: Schema.Boolean
})

const identity = HttpApiGroup.make("identity")
  .add(
    HttpApiEndpoint.post("login", "/login", {
      payload: Schema.Struct({ user: UserId }),
      // The token is for the socket, and valid for 15 minutes.
      success: Schema.Struct({ user: UserId, token: Schema.String }),
      error: [...startErrors, CartUnavailable]
    }),
    HttpApiEndpoint.post("logout", "/logout", { success: HttpApiSchema.NoContent }),
    HttpApiEndpoint.get("devices", "/devices", { success: Schema.Array(Device), error: NotLoggedIn }),
    HttpApiEndpoint.delete("endDevice", "/devices/:id", {
      params: { id: Schema.String },
      success: HttpApiSchema.NoContent,
      error: [NotLoggedIn, NoSuchDevice]
    })
  )
  .middleware(VisitorCookie)

const shop = HttpApiGroup.make("shop")
  .add(
    HttpApiEndpoint.get("sessions", "/sessions", {
      success: Schema.Struct({ count: Schema.Int, limit: Schema.Int, utilisation: Schema.Finite })
    })
  )

export class ShopApi
  extends HttpApi.make("corner-shop").add(cart, store, identity, shop).prefix("/api").middleware(ReadableErrors)
{}
