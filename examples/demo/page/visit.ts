/**
 * The visit: how the page starts it, and the dialog ("the door") that is shown when it is over.
 */
import { Effect, Option, Stream } from "effect"
import type { Status } from "effect-sessions/client"
import * as Api from "./Api.ts"
import { events, find, on, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { ShopClient, statuses, view } from "./ShopClient.ts"

const door = find<HTMLDialogElement>("#door")

const shut = (title: string, text: string) =>
  Effect.sync(() => {
    find("#door-title").textContent = title
    find("#door-text").textContent = text
    if (!door.open) door.showModal()
  })

const open = Effect.sync(() => door.close())

type Reason = Exclude<Status.Ended["reason"], null>

const goodbyes: { readonly [R in Reason]: readonly [title: string, text: string] } = {
  Stopped: ["Goodbye", "You left the shop or logged out, in this tab or elsewhere. The cart is put back."],
  Expired: ["Still there?", "You were away for long, so your cart was put back on the shelf."],
  Crashed: ["One crash too many", "Your visit crashed so often that its supervisor gave up on it, as it is told to."],
  Evicted: ["The shop was full", "Your visit had to make room for others."],
  Disconnected: ["Goodbye", "None of your tabs was open any more."]
}

const goodbye = (reason: Status.Ended["reason"]) =>
  shut(...(reason === null ? ["No visit", "There is no visit any more."] as const : goodbyes[reason]))

/** The shop no longer knows the visit, or has given it a new cookie: try again. */
const passing: ReadonlySet<string> = new Set(["NoSession", "revoked"])

/** Requests the visit, which starts one and sets the cookie if there is none, and connects. */
const comeIn = Effect.flatMap(ShopClient, (client) => Effect.andThen(Api.visit, client.reconnect)).pipe(
  Effect.catch(({ message }) => shut("Not in yet", message))
)

/** Connects again without asking the visitor: once, until the connection was open again. */
const comeBack = Effect.fnUntraced(function*(reason: string) {
  const before = yield* Effect.flatMap(
    Stream.runHead(view("cart")),
    Option.match({
      onNone: () => Effect.succeed(0),
      onSome: ({ count }) => Effect.succeed(count)
    })
  )
  // Another tab may be about to receive a new cookie.
  yield* Effect.sleep("300 millis")
  yield* comeIn
  if (reason === "NoSession" && before > 0) {
    yield* notice("Your visit was gone: the shop was restarted, or you were away for long. Your cart begins anew.")
  }
})

let tried = false

const watch = (status: Status.Status): Effect.Effect<void, never, ShopClient> => {
  switch (status._tag) {
    case "Open":
      tried = false
      return open
    case "Ended":
      return goodbye(status.reason)
    case "Refused":
      if (tried || !passing.has(status.reason)) return shut("Not let in", status.reason || "The shop does not say why.")
      tried = true
      return comeBack(status.reason)
    default:
      return Effect.void
  }
}

export const visit = together(
  Stream.runForEach(statuses, watch),
  // The Escape key does not close this dialog.
  Stream.runDrain(events(door, "cancel")),
  on(find("#come-in"), "click", () => comeIn),
  on(find("#leave"), "click", () => Effect.catch(Api.leave, ({ message }) => notice(message)))
)
