/**
 * What a visitor's open pages are told: the cart at once and after each change, and why it ended.
 */
import { Schema, Stream } from "effect"
import { EndReason, type Session } from "effect-sessions"
import { type Cart, CartState } from "./Cart.ts"

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

/** Follows a cart until it ends. A slow reader skips to the newest state. */
export const stream = (cart: Session.Ref<typeof Cart>): Stream.Stream<CartEvent> =>
  cart.changes().pipe(
    Stream.map((data): CartEvent => ({ event: "state", data })),
    Stream.catchTags({
      SessionEnded: ({ reason }) => Stream.succeed<CartEvent>({ event: "end", data: { reason: reason._tag } }),
      SessionNotFound: () => Stream.succeed<CartEvent>({ event: "end", data: { reason: "Stopped" } })
    })
  )
