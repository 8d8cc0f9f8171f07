/**
 * The handlers of the endpoints about the shop as a whole.
 */
import { Effect } from "effect"
import { Sessions } from "effect-sessions"
import { HttpApiBuilder } from "effect/http-api"
import { ShopApi } from "./ShopApi.ts"

export const ShopHandlers = HttpApiBuilder.group(
  ShopApi,
  "shop",
  Effect.fn(function*(handlers) {
    const sessions = yield* Sessions
    return handlers.handleAll({
      sessions: () => sessions.count
    })
  })
)
