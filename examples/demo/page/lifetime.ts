/**
 * The time until the visit expires without further activity. The page asks the server now and then, which does not count as
 * activity, and counts down in between.
 */
import { Effect, Option, Stream } from "effect"
import * as Api from "./Api.ts"
import { anyOf, events, find, on, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { changes, ShopClient, statuses } from "./ShopClient.ts"
import { remaining } from "./words.ts"

const line = find("#lifetime")

/** Below this, the time is shown prominently. In milliseconds. */
const urgent = 120_000

/** When the visit expires, in milliseconds since 1970; `undefined` if it never does, or if that is not known. */
let expiresAt: number | undefined

const show = Effect.suspend(() => {
  const left = expiresAt === undefined ? Infinity : expiresAt - Date.now()
  const wasUrgent = line.hasAttribute("data-urgent")
  const isUrgent = left < urgent
  line.toggleAttribute("data-urgent", isUrgent)
  find("#lifetime-text").textContent = left === Infinity ? "" : `Your cart is kept for ${remaining(left)}`
  find("#stay").hidden = !isUrgent
  return isUrgent && !wasUrgent
    ? notice(`Your cart is put back in ${remaining(left)}, unless you do something.`)
    : Effect.void
})

const ask = Effect.flatMap(ShopClient, (client) => client.lifetime).pipe(
  Effect.map(Option.match({ onNone: () => undefined, onSome: (millis) => Date.now() + millis })),
  Effect.orElseSucceed(() => undefined),
  Effect.flatMap((at) =>
    Effect.suspend(() => {
      expiresAt = at
      return show
    })
  )
)

/** Emits whenever the time may have changed. */
const occasions = anyOf<ShopClient>(
  changes,
  statuses,
  Stream.filter(events(document, "visibilitychange"), () => document.visibilityState === "visible"),
  Stream.tick("15 seconds")
)

export const lifetime = together(
  occasions.pipe(Stream.debounce("500 millis"), Stream.switchMap(() => Stream.fromEffect(ask)), Stream.runDrain),
  Stream.runForEach(Stream.tick("1 second"), () => show),
  on(find("#stay"), "click", () => Effect.ignore(Effect.andThen(Api.visit, ask)))
)
