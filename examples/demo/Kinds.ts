/**
 * All kinds of sessions in the shop.
 */
import { Layer } from "effect"
import { Inbox, Presence } from "effect-sessions"
import { Inboxes } from "./Inboxes.ts"
import { HearingLayer, LoudspeakerLayer } from "./Loudspeaker.ts"
import { MemberLayer } from "./Member.ts"
import { Shoppers } from "./Shoppers.ts"
import { VisitLayer } from "./Visit.ts"

/** A page that is reloaded is back within the grace, and others do not see it leave. */
const ShoppersLayer = Presence.layer(Shoppers, { grace: "2 seconds" })

const InboxesLayer = Inbox.layer(Inboxes, {
  // Read notifications are removed first.
  capacity: 50,
  expireAfter: "30 days",
  // Only the newest notification of each product is stored.
  kinds: { stock: { onDuplicate: "replace" } },
  snapshots: { save: { debounce: "250 millis" } }
})

export const layer = Layer.mergeAll(LoudspeakerLayer, MemberLayer).pipe(
  Layer.provideMerge(Layer.mergeAll(VisitLayer, ShoppersLayer, HearingLayer, InboxesLayer))
)
