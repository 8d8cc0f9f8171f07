/**
 * The handlers of the endpoints about the shop as a whole.
 */
import { Effect, Option } from "effect"
import { Sessions } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { HttpApiBuilder } from "effect/http-api"
import { ShopApi } from "./ShopApi.ts"

export const ShopHandlers = HttpApiBuilder.group(
  ShopApi,
  "shop",
  Effect.fn(function*(handlers) {
    const sessions = yield* Sessions
    const cluster = Option.getOrUndefined(yield* Effect.serviceOption(SessionCluster))
    return handlers.handleAll({
      sessions: () => sessions.count,
      node: Effect.fn("node")(function*({ query: { visit } }) {
        if (cluster === undefined) return { here: null, owner: null }
        const owner = visit === undefined ? undefined : yield* cluster.ownerOf(visit)
        return { here: cluster.self.key, owner: owner?.key ?? null }
      })
    })
  })
)
