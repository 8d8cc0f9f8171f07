/**
 * Short messages at the edge of the page. A screen reader reads them aloud, and they disappear by themselves.
 */
import { Effect } from "effect"
import { find } from "./dom.ts"

const notices = find("#notices")

/** How many are shown at a time. */
const most = 3

export const notice = (text: string): Effect.Effect<void> =>
  Effect.sync(() => {
    const line = document.createElement("p")
    line.textContent = text
    line.addEventListener("animationend", () => line.remove())
    notices.append(line)
    while (notices.children.length > most) notices.firstElementChild!.remove()
  })
