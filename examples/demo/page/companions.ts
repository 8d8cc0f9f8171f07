/**
 * The other connections of the page. The visit's cookie opens them, so they reconnect after the visit has reconnected, and
 * after a login.
 */
import { Effect, Stream, SubscriptionRef } from "effect"
import type { LiveClient } from "effect-sessions/client"
import { anyOf } from "./dom.ts"
import { isMember } from "./identity.ts"
import { HearingClient, InboxClient, type ShopClient, ShoppersClient, statuses, view } from "./ShopClient.ts"

const comeBack = ({ reconnect, status }: LiveClient.LiveClient<any>) =>
  SubscriptionRef.getUnsafe(status)._tag === "Open" ? Effect.void : reconnect

const allComeBack = Effect.gen(function*() {
  yield* comeBack(yield* ShoppersClient)
  yield* comeBack(yield* HearingClient)
  if (isMember()) yield* comeBack(yield* InboxClient)
})

/** A new cookie may be on its way. The connection of the visit does not wait for it. */
const attempts = Stream.fromIterable(["200 millis", "1 second", "3 seconds"] as const).pipe(
  Stream.mapEffect((pause) => Effect.delay(allComeBack, pause))
)

export const companions = anyOf<ShopClient>(
  view("user"),
  Stream.filter(statuses, ({ _tag }) => _tag === "Open")
).pipe(Stream.switchMap(() => attempts), Stream.runDrain)
