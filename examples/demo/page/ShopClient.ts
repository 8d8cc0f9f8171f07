/**
 * The connections of the page: to the visit, with views to show and actions to send, and to the other live sessions of the
 * shop.
 */
import { type Context, Effect, Layer, Option, Stream, SubscriptionRef } from "effect"
import { type Live, LiveClient } from "effect-sessions/client"
import { HearingLive, InboxLive, ShopLive, ShoppersLive } from "../ShopLive.ts"
import { anyOf } from "./dom.ts"

/** The server that the page came from. The heartbeat is shorter than the default, which is meant for the whole Internet. */
const at = (path: string): LiveClient.Options => ({
  url: `${location.origin.replace(/^http/, "ws")}${path}`,
  reconnect: { max: "10 seconds" },
  heartbeat: "10 seconds"
})

/** The visit. */
export class ShopClient extends LiveClient.Service<ShopClient>()("ShopClient", ShopLive) {}

/** Who is in the shop. */
export class ShoppersClient extends LiveClient.Service<ShoppersClient>()("ShoppersClient", ShoppersLive) {}

/** The announcements of the shop to this visit. */
export class HearingClient extends LiveClient.Service<HearingClient>()("HearingClient", HearingLive) {}

/** The visitor's notifications. Refused before a login. */
export class InboxClient extends LiveClient.Service<InboxClient>()("InboxClient", InboxLive) {}

export const live = Layer.mergeAll(
  ShopClient.layer(at("/live")),
  ShoppersClient.layer(at("/live/shoppers")),
  HearingClient.layer(at("/live/hearing")),
  InboxClient.layer(at("/live/inbox"))
)

/** The newest values of a client's view. Continues with the next session when one has ended. */
const viewsOf =
  <Self, D extends Live.Any>(client: Context.Key<Self, LiveClient.LiveClient<D>>) =>
  <const N extends Live.ViewName<D>>(name: N): Stream.Stream<Live.View<D, N>, never, Self> =>
    Stream.unwrap(Effect.gen(function*() {
      const { state } = yield* (yield* client).mount(name)
      return SubscriptionRef.changes(state).pipe(
        Stream.filter(Option.isSome),
        Stream.map(({ value }) => value)
      )
    }))

export const view = viewsOf(ShopClient)
export const shoppersView = viewsOf(ShoppersClient)
export const hearingView = viewsOf(HearingClient)

/** Something has changed in the visit. */
export const changes = anyOf<ShopClient>(view("cart"), view("user"), view("catalog"))

/** The status of the connection. */
export const statuses = Stream.unwrap(Effect.map(ShopClient, (client) => SubscriptionRef.changes(client.status)))
