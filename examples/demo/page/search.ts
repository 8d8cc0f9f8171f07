/**
 * The search box. The search text is part of the visit, so that all tabs show it. The server waits until the visitor stops
 * typing.
 */
import { Effect, Stream } from "effect"
import { find, on, together } from "./dom.ts"
import { ShopClient, view } from "./ShopClient.ts"

const box = find<HTMLInputElement>("#search")
const clear = find("#search-clear")

let asked = ""

const ask = Effect.flatMap(ShopClient, (client) => {
  clear.hidden = box.value === ""
  if (box.value === asked) return Effect.void
  asked = box.value
  return Effect.ignore(client.cast("catalog.search", asked))
})

/** Another tab or time travel has changed the search text. It does not overwrite what the visitor is typing. */
const follow = (query: string) => {
  asked = query
  find("#nothing-query").textContent = query
  if (document.activeElement === box) return
  box.value = query
  clear.hidden = query === ""
}

const showAll = Effect.suspend(() => {
  box.value = ""
  box.focus()
  return ask
})

export const search = together(
  view("catalog").pipe(
    Stream.map(({ query }) => query),
    Stream.changes,
    Stream.runForEach((query) => Effect.sync(() => follow(query)))
  ),
  on(box, "input", () => ask),
  on(find("#search-form"), "submit", () => ask),
  on(clear, "click", () => showAll),
  on(find("#nothing button"), "click", () => showAll)
)
