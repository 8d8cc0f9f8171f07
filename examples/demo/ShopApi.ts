/**
 * The HTTP API of the shop: endpoints, payloads, answers and errors, as schemas.
 *
 * The handlers are in the files named …Handlers.ts. The same definition gives the server its validation, `/openapi.json` its
 * contents, and a TypeScript client its types. PeopleApi.ts has the endpoints about other people, CounterApi.ts those of
 * the operator.
 */
import { Context, Schema } from "effect"
import { StoreError } from "effect-sessions"
import { LiveHttp } from "effect-sessions/live"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { UserId } from "./Accounts.ts"
import { about, Done, openToAll, startErrors, Time } from "./ApiParts.ts"
import { Addition, CartState, NotInCart, QuantityLimit, Totals } from "./Cart.ts"
import { CartEvent } from "./CartEvent.ts"
import { counter } from "./CounterApi.ts"
import { KeepAlive } from "./KeepAlive.ts"
import { people } from "./PeopleApi.ts"
import { InvalidRequest, ReadableErrors } from "./ReadableErrors.ts"
import { CartUnavailable, NoSuchDevice, NotLoggedIn, RateExceeded } from "./ShopError.ts"
import { Visit } from "./Visit.ts"
import { VisitorCookie } from "./Visitor.ts"

/** A visitor's session. */
export const CartSession = Schema.Struct({
  kind: Schema.String,
  /** Its address among the sessions, which is no secret. */
  id: Schema.String,
  startedAt: Time,
  lastActiveAt: Time,
  /** `null` if sessions do not expire. */
  expiresAt: Schema.NullOr(Time),
  /** How often the visit has changed. */
  version: Schema.Int,
  /** How often it crashed and resumed. */
  crashes: Schema.Int,
  state: CartState
})

const cart = HttpApiGroup.make("cart")
  .add(
    HttpApiEndpoint.get("session", "/session", {
      success: CartSession,
      error: [...startErrors]
    }).annotateMerge(about("Look at your cart", "And how long it is kept. A new visitor gets an empty one.")),
    HttpApiEndpoint.delete("leave", "/session", {
      error: CartUnavailable,
      success: Done
    }).annotateMerge(
      about(
        "Leave the shop",
        "Ends the visit, with its cart and all that follows it. Without a visit this does nothing."
      )
    ),
    HttpApiEndpoint.post("add", "/cart/items", {
      payload: Addition,
      success: Totals,
      error: [...startErrors, QuantityLimit]
    }).annotateMerge(
      about("Put a product into your cart", "From 1 to 99 at once; a cart holds at most 999 of each product.")
    ),
    HttpApiEndpoint.delete("remove", "/cart/items/:sku", {
      params: { sku: Schema.String },
      success: Totals,
      error: [RateExceeded, CartUnavailable, NotInCart]
    }).annotateMerge(about("Take a product out of your cart", "All of it, whatever the quantity.")),
    HttpApiEndpoint.get("events", "/events", {
      success: HttpApiSchema.StreamSse({ events: CartEvent }),
      error: startErrors
    }).annotateMerge(about(
      "Follow your cart",
      "A stream of server-sent events: `state` at once and after each change, and at last `end` with the reason."
    )).middleware(KeepAlive)
  )
  .middleware(VisitorCookie)
  .annotateEndpointsMerge(openToAll)
  .annotate(OpenApi.Description, "Your own cart, from the first request on.")

const Accepted = Schema.Struct({ accepted: Schema.Literal(true) }).pipe(
  HttpApiSchema.status(202),
  Schema.annotate({ description: "The action waits for its turn" })
)

const store = HttpApiGroup.make("store")
  .add(
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
    }).annotateMerge(about(
      "Dispatch an action",
      "Such as `{\"type\": \"cart.add\", \"payload\": {\"sku\": \"tea\", \"quantity\": 1}}`. It is checked before it is "
        + "accepted. With `?wait=1` the answer is the new state."
    )),
    HttpApiEndpoint.get("state", "/state", {
      query: { select: Schema.optionalKey(Schema.String) },
      success: Schema.Unknown,
      error: [...startErrors]
    }).annotateMerge(
      about("Look at the state of your visit", "All of it, or the slice named by `select`: cart, user or catalog.")
    ),
    HttpApiEndpoint.get("live", "/live", {
      query: { select: Schema.optionalKey(Schema.String) },
      headers: { "last-event-id": Schema.optionalKey(Schema.String) },
      success: HttpApiSchema.StreamSse({ events: LiveHttp.ServerSentEvent }),
      error: [...startErrors, InvalidRequest]
    }).annotateMerge(about(
      "Follow parts of your visit as patches",
      "A stream of server-sent events: `snapshot` at once, then `patch` (RFC 6902) after each change, and at last `end` "
        + "with the reason. `select` names one part or several (`cart`, `user`, `catalog`), by default all; `last-event-id` "
        + "goes on from the event with that id."
    )).middleware(KeepAlive),
    HttpApiEndpoint.get("history", "/history", {
      success: Schema.Array(
        Schema.Struct({
          version: Schema.Int,
          type: Schema.String,
          at: Time,
          /** Whether this is the current state of the visit. */
          current: Schema.Boolean
        })
      ),
      error: [...startErrors]
    }).annotateMerge(about("List what was done in your visit", "The last 100 actions, the oldest first.")),
    HttpApiEndpoint.post("travel", "/history/:version", {
      params: { version: Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0)) },
      success: Visit.state,
      error: [...startErrors, StoreError.VersionGone]
    }).annotateMerge(
      about("Travel to an earlier state", "To the state after the action with this version; 0 is the beginning.")
    )
  )
  .middleware(VisitorCookie)
  .annotateEndpointsMerge(openToAll)
  .annotate(OpenApi.Description, "Your visit as a store: actions, state, and travel in time.")

const Device = Schema.Struct({
  id: Schema.String,
  startedAt: Time,
  lastActiveAt: Time,
  address: Schema.NullOr(Schema.String),
  agent: Schema.NullOr(Schema.String),
  /** The number of open pages and sockets. */
  connections: Schema.Int,
  /** Whether this device sent the request. */
  current: Schema.Boolean
})

const identity = HttpApiGroup.make("identity")
  .add(
    HttpApiEndpoint.post("login", "/login", {
      payload: Schema.Struct({ user: UserId }),
      success: Schema.Struct({ user: UserId, token: Schema.String }),
      error: [...startErrors]
    }).annotateMerge(
      about(
        "Log in",
        "Your cart stays, your cookie is replaced. There are no passwords here: who says to be Ada is Ada. The token opens "
          + "the WebSocket `/socket?token=…`, which shows the carts of all your devices; it is valid for 15 minutes."
      ).pipe(Context.merge(openToAll))
    ),
    HttpApiEndpoint.post("logout", "/logout", { success: Done, error: CartUnavailable }).annotateMerge(
      about(
        "Log out",
        "Ends the visit on this device, with its cart. Without a visit this does nothing."
      ).pipe(Context.merge(openToAll))
    ),
    HttpApiEndpoint.get("devices", "/devices", {
      success: Schema.Array(Device),
      error: [NotLoggedIn, CartUnavailable]
    }).annotateMerge(
      about("List the devices on which you are logged in", "The one that was active last comes first.")
    ),
    HttpApiEndpoint.delete("endDevice", "/devices/:id", {
      params: { id: Schema.String },
      success: Done,
      error: [NotLoggedIn, NoSuchDevice, CartUnavailable]
    }).annotateMerge(about(
      "Log out a device",
      "Ends its visit and cuts its connections at once. For the device at hand it is the same as to log out."
    ))
  )
  .middleware(VisitorCookie)
  .annotate(OpenApi.Description, "Who you are, and on which devices.")

const shop = HttpApiGroup.make("shop")
  .add(
    HttpApiEndpoint.get("sessions", "/sessions", {
      success: Schema.Struct({ count: Schema.Int, limit: Schema.Int, utilisation: Schema.Finite })
    }).annotateMerge(about("Count the sessions", "How many are live, how many can be, and what percentage that is."))
  )
  .add(
    HttpApiEndpoint.get("node", "/node", {
      query: { visit: Schema.optionalKey(Schema.String) },
      success: Schema.Struct({
        /** The node that answers; `null` if the shop is one process. */
        here: Schema.NullOr(Schema.String),
        /** The node that has this visit; `null` while it moves. */
        owner: Schema.NullOr(Schema.String)
      })
    }).annotateMerge(about("Look which node has a visit", "By the `id` of the visit. This does not count as activity."))
  )
  .annotate(OpenApi.Description, "The shop as a whole.")

export class ShopApi extends HttpApi.make("corner-shop")
  .add(cart, store, identity, people, counter, shop)
  .prefix("/api")
  .middleware(ReadableErrors)
  .annotateMerge(OpenApi.annotations({
    title: "Corner shop",
    version: "0.1.0",
    description: "A small shop, where each visitor has a cart: a live session on the server, which a cookie names.\n\n"
      + "Every refusal is JSON with a `_tag` and a `message`. Besides those of each endpoint there are 403 for requests "
      + "from pages of other origins, 413 for bodies over 64 KiB and 415 for bodies that are not JSON.",
    license: { name: "MIT", identifier: "MIT" },
    servers: [{ url: "/", description: "This shop" }]
  }))
{}
