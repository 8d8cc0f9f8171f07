/**
 * The shelf: the products, and how many of each are left. The server has rendered the products into the page.
 */
import { Effect, Stream } from "effect"
import * as Catalogue from "../Catalogue.ts"
import { add } from "./cart.ts"
import { find, on, together } from "./dom.ts"
import { ShopClient, view } from "./ShopClient.ts"

const list = find("#shelf")

const products = Catalogue.all.map(([sku, { name }]) => {
  const element = find(`[data-sku=${sku}]`, list)
  return {
    sku,
    name,
    element,
    check: find("[data-do=check]", element),
    progress: find<HTMLProgressElement>("progress", element)
  }
})

/** The text of the button. */
const stockOf = (sku: string, { checking, stock }: Catalog): string => {
  if (checking === sku) return "Checking…"
  const left = stock[sku]
  return left === undefined ? "In stock?" : `${left} left`
}

type Catalog = Stream.Success<ReturnType<typeof view<"catalog">>>

const show = (catalog: Catalog) => {
  const results: ReadonlySet<string> = new Set(catalog.results)
  for (const { check, element, name, progress, sku } of products) {
    element.hidden = !results.has(sku)
    element.toggleAttribute("data-checking", catalog.checking === sku)
    progress.value = catalog.checking === sku ? catalog.progress : 0
    check.textContent = stockOf(sku, catalog)
    check.ariaLabel = `${name}: ${check.textContent}${sku in catalog.stock ? ", check again" : ""}`
  }
  find("#nothing").hidden = results.size > 0
}

/** Checks the stock in the warehouse, which takes a while. All tabs show the progress. */
const check = (sku: Catalogue.Sku) =>
  Effect.flatMap(ShopClient, (client) => Effect.ignore(client.cast("catalog.check", { sku })))

const clicked = ({ target }: Event) => {
  const button = (target as Element).closest<HTMLElement>("[data-do]")
  const product = products.find(({ element }) => element.contains(button))
  if (button === null || product === undefined) return Effect.void
  return button.dataset["do"] === "check" ? check(product.sku) : add(product.sku)
}

/** How many of each are in the cart. */
const showCounts = (items: ReadonlyArray<{ readonly sku: string; readonly quantity: number }>) => {
  for (const { element, sku } of products) {
    const quantity = items.find((item) => item.sku === sku)?.quantity
    const badge = find(".badge", element)
    badge.textContent = quantity === undefined ? "" : String(quantity)
    badge.hidden = quantity === undefined
  }
}

export const shelf = together(
  Stream.runForEach(view("catalog"), (catalog) => Effect.sync(() => show(catalog))),
  Stream.runForEach(view("cart"), ({ items }) => Effect.sync(() => showCounts(items))),
  on(list, "click", clicked)
)
