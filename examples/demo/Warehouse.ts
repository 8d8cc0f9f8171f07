/**
 * The stock of each product. Each time the shop opens, it starts with the numbers of the catalogue.
 */
import { Context, Effect, Layer } from "effect"
import * as Catalogue from "./Catalogue.ts"

export class Warehouse extends Context.Service<Warehouse, {
  readonly left: (sku: Catalogue.Sku) => Effect.Effect<number>
  readonly set: (sku: Catalogue.Sku, left: number) => Effect.Effect<void>
}>()("corner-shop/Warehouse") {
  static readonly layer = Layer.sync(Warehouse, () => {
    const stock = new Map(Catalogue.all.map(([sku, product]) => [sku, product.stock]))
    return {
      left: (sku) => Effect.sync(() => stock.get(sku) ?? 0),
      set: (sku, left) => Effect.sync(() => void stock.set(sku, left))
    }
  })
}
