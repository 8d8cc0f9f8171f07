/**
 * The event stream for a visitor's pages: the cart at once and after each change, and the reason of the visit's end.
 */
import { Schema, Stream } from "effect"
import { EndReason, type Session, SessionError } from "effect-sessions"
import { CartState } from "./Cart.ts"
import type { Visit } from "./Visit.ts"

const StateEvent = Schema.Struct({
  event: Schema.Literal("state"),
  data: Schema.fromJsonString(CartState)
})

const EndEvent = Schema.Struct({
  event: Schema.Literal("end"),
  data: Schema.fromJsonString(Schema.Struct({ reason: Schema.Literals(EndReason.tags) }))
})

export const CartEvent = Schema.Union([StateEvent, EndEvent])
export type CartEvent = typeof CartEvent.Type

/** Follows the cart of a visit until that ends. A slow reader skips to the newest state. */
export const stream = (visit: Session.Ref<typeof Visit>): Stream.Stream<CartEvent> =>
  visit.changes((state) => state.cart).pipe(
    Stream.map((data): CartEvent => ({ event: "state", data })),
    Stream.catchTags({
      SessionEnded: ({ reason }) => Stream.succeed<CartEvent>({ event: "end", data: { reason: reason._tag } }),
      SessionNotFound: () => gone
    }),
    // The visit cannot be loaded now. The page connects again.
    Stream.catchIf(SessionError.isLoadError, () => Stream.empty)
  )

/** The only event for a visit that is over. */
export const gone: Stream.Stream<CartEvent> = Stream.succeed({ event: "end", data: { reason: "Stopped" } })
