/**
 * The page's connection to the visit: views to show, actions to send.
 */
import { Effect, Option, Stream, SubscriptionRef } from "effect"
import { type Live, LiveClient } from "effect-sessions/client"
import { ShopLive } from "../ShopLive.ts"
import { anyOf } from "./dom.ts"

type Shop = typeof ShopLive

export class ShopClient extends LiveClient.Service<ShopClient>()("ShopClient", ShopLive) {
  /** The server that the page came from. A shop can be asked for signs of life more often than the whole world can. */
  static readonly live = this.layer({
    url: `${location.origin.replace(/^http/, "ws")}/live`,
    reconnect: { max: "10 seconds" },
    heartbeat: "10 seconds"
  })
}

/** The values of a view, newest first, also of the next visit when this one has ended. */
export const view = <const N extends Live.ViewName<Shop>>(
  name: N
): Stream.Stream<Live.View<Shop, N>, never, ShopClient> =>
  Stream.unwrap(Effect.gen(function*() {
    const { state } = yield* (yield* ShopClient).mount(name)
    return SubscriptionRef.changes(state).pipe(
      Stream.filter(Option.isSome),
      Stream.map(({ value }) => value)
    )
  }))

/** Something has changed in the visit. */
export const changes = anyOf<ShopClient>(view("cart"), view("user"), view("catalog"))

/** How the page is connected. */
export const statuses = Stream.unwrap(Effect.map(ShopClient, (client) => SubscriptionRef.changes(client.status)))
