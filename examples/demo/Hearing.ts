/**
 * What the shop sends to a visit: announcements, and the name under which the visitor is listed.
 *
 * A session of its own beside the visit, not a slice of it: time travel in a visit neither removes an announcement nor
 * repeats it. The session lives as long as pages of the visit are connected, and one minute more, so that a page that loses
 * its connection for less misses nothing. A visitor who comes later does not get earlier announcements.
 */
import { Schema } from "effect"
import { Session } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"

/** A text from one person to another. */
export const Text = Schema.Trim.check(Schema.isNonEmpty(), Schema.isMaxLength(280)).annotate({
  expected: "1 to 280 characters"
})

export const Announcement = Schema.Struct({ id: Schema.String, text: Schema.String, at: Schema.Number })
export type Announcement = typeof Announcement.Type

/** The key under which a visit is listed among the shoppers, and its device under that key. */
const You = Schema.Struct({ key: Schema.String, device: Schema.String })

export class Hearing extends Session.Service<Hearing>()("Hearing", {
  state: Schema.Struct({ you: Schema.NullOr(You), announcements: Schema.Array(Announcement) }),
  protocol: [
    Rpc.make("Recognise", { payload: You }),
    Rpc.make("Announce", { payload: Announcement }),
    Rpc.make("Dismiss", { payload: { id: Schema.String } })
  ]
}) {}
