/**
 * The contract between the shop and its pages: the views that pages see, and the actions that they may send.
 */
import { Schema } from "effect"
import { Live } from "effect-sessions"
import { Hearing } from "./Hearing.ts"
import { Inboxes } from "./Inboxes.ts"
import { Shopper, Shoppers } from "./Shoppers.ts"
import { Visit } from "./Visit.ts"

const { cart, catalog, user } = Visit.state.fields

/** The visitor's own visit. */
export class ShopLive extends Live.Service<ShopLive>()("ShopLive", {
  kind: Visit,
  views: { cart, user, catalog },
  actions: ["cart.add", "cart.remove", "cart.clear", "catalog.search", "catalog.check", "drill.crash"]
}) {}

/** Who is in the shop: their number, and the people who came first. */
export class ShoppersLive extends Live.Service<ShoppersLive>()("ShoppersLive", {
  kind: Shoppers.kind,
  views: { count: Schema.Int, shoppers: Schema.Array(Shopper) }
}) {}

/** The announcements of the shop to this visit. */
export class HearingLive extends Live.Service<HearingLive>()("HearingLive", {
  kind: Hearing,
  views: Hearing.state.fields,
  messages: ["Dismiss"]
}) {}

/** The visitor's notifications, oldest first. */
export class InboxLive extends Live.Service<InboxLive>()("InboxLive", {
  kind: Inboxes.kind,
  views: { notifications: Schema.Array(Inboxes.Notification) },
  messages: ["Read"]
}) {}
