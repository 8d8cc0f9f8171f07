/**
 * The operator's announcements, until the visitor dismisses them in any tab. A screen reader reads each aloud.
 */
import { Effect, Stream } from "effect"
import type { Announcement } from "../Hearing.ts"
import { find, on, rows, together } from "./dom.ts"
import { HearingClient, hearingView } from "./ShopClient.ts"
import { hour } from "./words.ts"

const list = find("#announcements")

const show = rows<Announcement>(list, "#announcement", {
  key: ({ id }) => id,
  show: (row, { at, text }) => {
    find("[data-show=text]", row).textContent = text
    find("[data-show=at]", row).textContent = hour(new Date(at))
    find("button", row).ariaLabel = `Dismiss: ${text}`
  }
})

const dismiss = ({ target }: Event) =>
  Effect.flatMap(HearingClient, (client) => {
    const id = (target as Element).closest("button")?.closest<HTMLElement>("[data-key]")?.dataset["key"]
    if (id === undefined) return Effect.void
    const without = (all: ReadonlyArray<Announcement>) => all.filter((announcement) => announcement.id !== id)
    return Effect.ignore(client.cast("Dismiss", { id }, { optimistic: { announcements: without } }))
  })

export const announcements = together(
  Stream.runForEach(hearingView("announcements"), (all) => Effect.sync(() => show(all))),
  on(list, "click", dismiss)
)
