/**
 * How pages are shown a visit: over a WebSocket that the visitor's cookie opens.
 */
import { Admission, LiveSocket, LiveViews } from "effect-sessions/live"
import { ShopLive } from "./ShopLive.ts"
import { Visitor } from "./Visitor.ts"

export const views = LiveViews.layer(ShopLive, {
  select: { cart: (visit) => visit.cart, user: (visit) => visit.user, catalog: (visit) => visit.catalog }
})

/** A page starts the visit with `GET /api/session`, which gives it the cookie. */
export const socket = LiveSocket.layer(ShopLive, { path: "/live", session: Admission.cookie(Visitor) })
