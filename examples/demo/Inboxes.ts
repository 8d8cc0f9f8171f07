/**
 * What waits for users, whether they are in the shop or not: words of others, and news of what is in their carts.
 */
import { Schema } from "effect"
import { Inbox } from "effect-sessions"
import { UserId } from "./Accounts.ts"
import * as Catalogue from "./Catalogue.ts"

/** From somebody; `null`: from a guest. */
const Words = Schema.Struct({ from: Schema.NullOr(UserId), text: Schema.String })

export class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: {
    message: Words,
    offer: Words,
    stock: Schema.Struct({ sku: Catalogue.Sku, left: Schema.Int, text: Schema.String })
  }
}) {}

/** Those that people push. The others are from the shop. */
export const Pushable = Schema.Literals(["message", "offer"])

export type Notification = typeof Inboxes.Notification.Type
