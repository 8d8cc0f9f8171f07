/**
 * The endpoints about other people in the shop: who is there, and messages between them.
 */
import { Context, Schema } from "effect"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { UserId } from "./Accounts.ts"
import { about, openToAll, startErrors, Time } from "./ApiParts.ts"
import * as Catalogue from "./Catalogue.ts"
import { Text } from "./Hearing.ts"
import { Pushable } from "./Inboxes.ts"
import { CartUnavailable, InboxUnavailable, NotLoggedIn, RateExceeded } from "./ShopError.ts"
import { VisitorCookie } from "./Visitor.ts"

const Shopper = Schema.Struct({
  /** The user, or a key that stands for a guest. */
  key: Schema.String,
  name: Schema.String,
  devices: Schema.Array(Schema.Struct({ agent: Schema.String, since: Time }))
})

const Notification = Schema.Struct({
  id: Schema.Int,
  kind: Schema.Literals(["message", "offer", "stock"]),
  /** The user who wrote it; `null` for a guest and for the shop. */
  from: Schema.NullOr(UserId),
  text: Schema.String,
  at: Time,
  /** `null` while it is unread. */
  readAt: Schema.NullOr(Time),
  /** For `stock`: the product, and how many of it are left. */
  sku: Schema.optionalKey(Catalogue.Sku),
  left: Schema.optionalKey(Schema.Int)
})

const inboxErrors = [NotLoggedIn, RateExceeded, CartUnavailable, InboxUnavailable] as const

export const people = HttpApiGroup.make("people")
  .add(
    HttpApiEndpoint.post("push", "/notifications", {
      payload: Schema.Struct({ user: UserId, kind: Pushable, text: Text }),
      success: Schema.Struct({ id: Schema.Int }).pipe(
        HttpApiSchema.status(201),
        Schema.annotate({ description: "It is in the inbox" })
      ),
      error: [...startErrors, InboxUnavailable]
    }).annotateMerge(
      about(
        "Notify a user",
        "With a `message` or an `offer` of 1 to 280 characters, which waits in the user's inbox whether that one is in the "
          + "shop, was there, or is yet to come. It says who it is from, unless you are a guest. At most 20 a minute."
      ).pipe(Context.merge(openToAll))
    ),
    HttpApiEndpoint.get("notifications", "/notifications", {
      success: Schema.Struct({ unread: Schema.Int, notifications: Schema.Array(Notification) }),
      error: inboxErrors
    }).annotateMerge(
      about(
        "List your notifications",
        "Newest first. The shop keeps 50 of them, for 30 days; those that are read go first."
      )
    ),
    HttpApiEndpoint.post("read", "/notifications/read", {
      payload: Schema.Struct({ ids: Schema.Array(Schema.Int).check(Schema.isMaxLength(100)) }),
      success: Schema.Struct({ read: Schema.Int, unread: Schema.Int }),
      error: inboxErrors
    }).annotateMerge(
      about(
        "Mark notifications as read",
        "`read` is how many of them were unread, `unread` how many are left. Ids that you do not have do no harm."
      )
    )
  )
  .middleware(VisitorCookie)
  .add(
    HttpApiEndpoint.get("presence", "/presence", { success: Schema.Array(Shopper) }).annotateMerge(about(
      "List who is in the shop",
      "Those whose pages are open now, in the order in which they came, each with all devices."
    ))
  )
  .annotate(OpenApi.Description, "The others in the shop, and what they say to you.")
