/**
 * The cart, and adding to it. An added item shows at once, computed by the same reducer that the shop runs, and is marked
 * until the shop has confirmed it.
 */
import { Effect, Stream } from "effect"
import type { LiveClient } from "effect-sessions/client"
import { cart as reducer, type CartState } from "../Cart.ts"
import * as Catalogue from "../Catalogue.ts"
import type { ShopLive } from "../ShopLive.ts"
import { find, on, rows, together } from "./dom.ts"
import { notice } from "./notice.ts"
import { ShopClient, view } from "./ShopClient.ts"
import { count, money } from "./words.ts"

const panel = find("#cart")

let shown: CartState = reducer.initial

/** How many actions about a product have no answer yet. */
const unconfirmed = new Map<string, number>()

const show = () => {
  const { count: things, items, total } = shown
  panel.dataset["count"] = String(things)
  find("#cart-empty").hidden = things > 0
  find("#cart-sum").hidden = things === 0
  find("#clear").hidden = things === 0
  find("#cart-count").textContent = count(things, "thing")
  for (const element of document.querySelectorAll("[data-show=total]")) element.textContent = money(total)
  for (const element of document.querySelectorAll("[data-show=count]")) element.textContent = String(things)
  showItems(items)
}

const showItems = rows<CartState["items"][number]>(find("#items"), "#item", {
  key: ({ sku }) => sku,
  show: (row, { price, quantity, sku }) => {
    const { name } = Catalogue.get(sku)
    row.toggleAttribute("data-unconfirmed", unconfirmed.has(sku))
    find("[data-show=name]", row).textContent = name
    find("[data-show=quantity]", row).textContent = `${quantity} × ${money(price)}`
    find("[data-show=sum]", row).textContent = money(quantity * price)
    find("[data-do=add]", row).ariaLabel = `One more ${name}`
    find("[data-do=remove]", row).ariaLabel = `Take ${name} out`
  }
})

const mark = (sku: string, by: 1 | -1) =>
  Effect.sync(() => {
    const open = (unconfirmed.get(sku) ?? 0) + by
    if (open === 0) unconfirmed.delete(sku)
    else unconfirmed.set(sku, open)
    show()
  })

/** The client undoes a refused action by itself; the page only shows the reason. */
const orSayWhy = <R>(action: Effect.Effect<unknown, { readonly _tag: string; readonly message: string }, R>) =>
  Effect.catch(action, ({ _tag, message }) =>
    // The dialog at the door says that the visit is over.
    _tag === "SessionGone" ? Effect.void : notice(`Not done: ${message}.`))

/** The cart after an action, before the shop confirms it. */
const foreseen = (action: string, payload?: unknown): LiveClient.CallOptions<typeof ShopLive> => ({
  optimistic: { cart: (cart) => reducer.on[action]!(cart, payload) }
})

export const add = (sku: Catalogue.Sku) =>
  Effect.flatMap(ShopClient, (client) => {
    const payload = { sku, quantity: 1 }
    return Effect.acquireUseRelease(
      mark(sku, 1),
      () => orSayWhy(client.dispatch("cart.add", payload, foreseen("add", payload))),
      () => mark(sku, -1)
    )
  })

const remove = (sku: string) =>
  Effect.flatMap(ShopClient, (client) => orSayWhy(client.dispatch("cart.remove", { sku }, foreseen("remove", { sku }))))

const clear = Effect.flatMap(
  ShopClient,
  (client) => orSayWhy(client.dispatch("cart.clear", undefined, foreseen("clear")))
)

/** A click on a button in a row. */
const clicked = ({ target }: Event) => {
  const button = (target as Element).closest<HTMLElement>("[data-do]")
  const sku = button?.closest<HTMLElement>("[data-key]")?.dataset["key"] as Catalogue.Sku | undefined
  if (sku === undefined) return Effect.void
  return button?.dataset["do"] === "add" ? add(sku) : remove(sku)
}

export const cart = together(
  Stream.runForEach(view("cart"), (cart) =>
    Effect.sync(() => {
      shown = cart
      show()
    })),
  on(find("#items"), "click", clicked),
  on(find("#clear"), "click", () => clear)
)
