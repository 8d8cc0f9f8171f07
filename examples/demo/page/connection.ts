/**
 * The state of the connection: a light in the header, and a banner while there is no connection.
 */
import { Effect, Stream, SubscriptionRef } from "effect"
import type { Status } from "effect-sessions/client"
import { anyOf, events, find, on, together } from "./dom.ts"
import { ShopClient, statuses } from "./ShopClient.ts"
import { count } from "./words.ts"

const light = find("#status")
const banner = find("#banner")

const says: { readonly [S in Status.Status["_tag"]]: string } = {
  Connecting: "Opening the door",
  Open: "Open, your tabs are in step",
  Reconnecting: "Lost touch",
  Ended: "Your visit is over",
  Refused: "Not let in",
  Closed: "Closed"
}

/** A shorter loss is not shown. In milliseconds. */
const patience = 400

const showBanner = (status: Status.Status, waiting: number) => {
  banner.hidden = status._tag !== "Reconnecting" || Date.now() - status.since < patience
  if (status._tag !== "Reconnecting") return
  const seconds = Math.ceil((status.at - Date.now()) / 1_000)
  find("#banner-when").textContent = seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now."
  find("#banner-pending").textContent = waiting === 0 ? "" : `${count(waiting, "action")} will be sent then.`
}

export const connection = Effect.flatMap(ShopClient, (client) =>
  together(
    Stream.runForEach(statuses, ({ _tag }) =>
      Effect.sync(() => {
        light.dataset["status"] = _tag
        light.textContent = says[_tag]
      })),
    anyOf<ShopClient>(
      statuses,
      SubscriptionRef.changes(client.pending),
      Stream.tick("250 millis")
    ).pipe(Stream.runForEach(() =>
      Effect.sync(() => showBanner(SubscriptionRef.getUnsafe(client.status), SubscriptionRef.getUnsafe(client.pending)))
    )),
    on(find("#try-now"), "click", () =>
      client.reconnect),
    // The browser notices the loss before the socket does.
    Stream.runForEach(anyOf(events(window, "online"), events(window, "offline")), () => client.reconnect)
  ))
