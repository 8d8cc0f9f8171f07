/**
 * The operator's part: announcements and changes of the stock.
 */
import { Effect } from "effect"
import * as Catalogue from "../Catalogue.ts"
import * as Api from "./Api.ts"
import { find, on, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { count } from "./words.ts"

const words = find<HTMLInputElement>("#announce-text")
const sku = find<HTMLSelectElement>("#restock-sku")
const left = find<HTMLInputElement>("#restock-left")

const orNotice = (request: Effect.Effect<void, Api.Refusal>) => Effect.catch(request, ({ message }) => notice(message))

const announce = Effect.suspend(() => Api.announce(words.value)).pipe(
  Effect.flatMap(({ delivered }) => {
    words.value = ""
    return notice(`Announced to ${count(delivered, "visit")}.`)
  })
)

const restock = Effect.suspend(() => Api.restock(sku.value, left.valueAsNumber)).pipe(
  Effect.flatMap(({ left: now, notified }) => {
    left.value = ""
    const { name } = Catalogue.get(sku.value as Catalogue.Sku)
    return notice(
      `${name}: ${now} left. ${count(notified, "user")} with it in the cart ${notified === 1 ? "is" : "are"} told.`
    )
  })
)

export const operator = together(
  on(find("#announce"), "submit", () => orNotice(announce)),
  on(find("#restock"), "submit", () => orNotice(restock))
)
