/**
 * What the shop says to a visit: announcements, and who it takes the visitor for.
 *
 * A session of its own beside the visit, and not a slice of it: whoever turns back the clock of a visit neither unhears
 * what was announced nor hears it again. It lives as long as pages of the visit are connected, and a minute more: who lost
 * touch for less has missed nothing. Who comes later has not heard it, as in any shop.
 */
import { Schema } from "effect"
import { Session } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"

/** What is said to people, by people. */
export const Text = Schema.Trim.check(Schema.isNonEmpty(), Schema.isMaxLength(280)).annotate({
  expected: "1 to 280 characters"
})

export const Announcement = Schema.Struct({ id: Schema.String, text: Schema.String, at: Schema.Number })
export type Announcement = typeof Announcement.Type

/** Under which key a visit is among the shoppers, and which of that one's devices it is. */
const You = Schema.Struct({ key: Schema.String, device: Schema.String })

export class Hearing extends Session.Service<Hearing>()("Hearing", {
  state: Schema.Struct({ you: Schema.NullOr(You), announcements: Schema.Array(Announcement) }),
  protocol: [
    Rpc.make("Recognise", { payload: You }),
    Rpc.make("Announce", { payload: Announcement }),
    Rpc.make("Dismiss", { payload: { id: Schema.String } })
  ]
}) {}
