/**
 * The live views of the pages, over WebSockets that the visitor's cookie opens. A page starts the visit with
 * `GET /api/session`, which sets the cookie.
 */
import { Effect, Layer } from "effect"
import { Presence } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { HttpSession } from "effect-sessions/http"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import { Accounts } from "./Accounts.ts"
import { attend } from "./Attendance.ts"
import { Hearing } from "./Hearing.ts"
import { Inboxes } from "./Inboxes.ts"
import { HearingLive, InboxLive, ShopLive, ShoppersLive } from "./ShopLive.ts"
import { inOrder, shop, Shoppers } from "./Shoppers.ts"
import { Visitor } from "./Visitor.ts"

/** The most shoppers that a page lists. */
const mostShoppers = 50

export const views = Layer.mergeAll(
  LiveViews.layer(ShopLive, {
    select: { cart: (visit) => visit.cart, user: (visit) => visit.user, catalog: (visit) => visit.catalog },
    identify: { cart: ["sku"] }
  }),
  LiveViews.layer(ShoppersLive, {
    select: { count: Presence.count, shoppers: (state) => inOrder(Presence.list(state)).slice(0, mostShoppers) }
  }),
  LiveViews.layer(HearingLive, {
    select: { you: (hearing) => hearing.you, announcements: (hearing) => hearing.announcements }
  }),
  LiveViews.layer(InboxLive, {
    select: { notifications: (inbox) => inbox.notifications }
  })
)

const visitor = Admission.cookie(Visitor)

/** Only users have an inbox. Without one, a page is refused as if there were no visit, so that it does not try again. */
const inbox = Admission.through(
  visitor,
  Inboxes.kind,
  Effect.fnUntraced(function*({ session }) {
    const { user } = yield* session.info
    if (user === undefined) return yield* new HttpSession.NoSession({ message: "guests have no inbox" })
    // The visit may have been stored for longer than the account.
    yield* (yield* Accounts).open(user)
    return yield* (yield* Inboxes).open(user)
  })
)

export const sockets = Layer.mergeAll(
  LiveSocket.layer(ShopLive, {
    path: "/live",
    session: Admission.whileConnected(visitor, ({ session }, { headers }) => attend(session, headers["user-agent"]))
  }),
  LiveSocket.layer(ShoppersLive, {
    path: "/live/shoppers",
    session: Admission.through(
      visitor,
      Shoppers.kind,
      () => Effect.flatMap(Shoppers, (shoppers) => shoppers.topic(shop))
    )
  }),
  LiveSocket.layer(HearingLive, {
    path: "/live/hearing",
    session: Admission.through(
      visitor,
      Hearing,
      ({ session }) => Effect.flatMap(Hearing, (hearings) => hearings.start(session.id))
    )
  }),
  LiveSocket.layer(InboxLive, { path: "/live/inbox", session: inbox })
)
