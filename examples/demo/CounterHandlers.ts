/**
 * The handlers of the operator's endpoints.
 */
import { Clock, Effect, Option, Result } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { randomUUID } from "node:crypto"
import * as Catalogue from "./Catalogue.ts"
import { Inboxes } from "./Inboxes.ts"
import { Loudspeaker } from "./Loudspeaker.ts"
import { ShopApi } from "./ShopApi.ts"
import { Visit } from "./Visit.ts"
import { Warehouse } from "./Warehouse.ts"

/** Up to this stock, the notification says that only few are left. */
const few = 5

const newsOf = (sku: Catalogue.Sku, left: number): string => {
  const { name } = Catalogue.get(sku)
  if (left === 0) return `${name} is sold out`
  return left <= few ? `Only ${left} left of ${name}` : `${name}: ${left} in stock now`
}

export const CounterHandlers = HttpApiBuilder.group(
  ShopApi,
  "counter",
  Effect.fn(function*(handlers) {
    const inboxes = yield* Inboxes
    const loudspeaker = yield* Loudspeaker
    const visits = yield* Visit
    const warehouse = yield* Warehouse

    /** The users who have this product in the cart of a live visit. */
    const thoseWith = Effect.fnUntraced(function*(sku: Catalogue.Sku) {
      const users = new Set<string>()
      for (const visit of yield* visits.list) {
        const info = Option.getOrUndefined(yield* Effect.option(visit.info))
        if (info?.user !== undefined && info.state.cart.items.some((item) => item.sku === sku)) users.add(info.user)
      }
      return users
    })

    return handlers.handleAll({
      broadcast: Effect.fn("broadcast")(function*({ payload: { text } }) {
        const at = yield* Clock.currentTimeMillis
        const { delivered } = yield* loudspeaker.broadcastToAll("Announce", { id: randomUUID(), text, at })
        return { delivered }
      }),
      stock: Effect.fn("stock")(function*({ params: { sku }, payload: { left } }) {
        yield* warehouse.set(sku, left)
        const pushed = yield* inboxes.pushAll(
          yield* thoseWith(sku),
          "stock",
          { sku, left, text: newsOf(sku, left) },
          { key: `stock:${sku}` }
        )
        return { sku, left, notified: Array.from(pushed.values()).filter(Result.isSuccess).length }
      })
    })
  })
)
