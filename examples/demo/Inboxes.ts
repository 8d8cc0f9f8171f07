/**
 * Notifications for users, in the shop or not: messages of others, and news about the products in their carts.
 */
import { Schema } from "effect"
import { Inbox } from "effect-sessions"
import { UserId } from "./Accounts.ts"
import * as Catalogue from "./Catalogue.ts"

/** The user who sent it; `null` for a guest. */
const Words = Schema.Struct({ from: Schema.NullOr(UserId), text: Schema.String })

export class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: {
    message: Words,
    offer: Words,
    stock: Schema.Struct({ sku: Catalogue.Sku, left: Schema.Int, text: Schema.String })
  }
}) {}

/** The kinds of notification that people send. The shop sends the others. */
export const Pushable = Schema.Literals(["message", "offer"])

export type Notification = typeof Inboxes.Notification.Type
