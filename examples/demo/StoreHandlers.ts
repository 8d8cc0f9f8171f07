/**
 * What the endpoints about a visit as a store do: dispatch, look, and travel in time.
 */
import { DateTime, Effect } from "effect"
import { SessionError, Store } from "effect-sessions"
import { HttpApiBuilder } from "effect/http-api"
import { InvalidRequest } from "./ReadableErrors.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { Visit } from "./Visit.ts"
import { visit } from "./Visitor.ts"

export const StoreHandlers = HttpApiBuilder.group(ShopApi, "store", (handlers) =>
  handlers.handleAll({
    dispatch: Effect.fn("dispatch")(
      function*({ payload, query }) {
        // Before the visit is asked for: a bad action starts none.
        const action = yield* Store.decode(Visit, payload)
        const ref = yield* visit
        if (query.wait === undefined) {
          yield* Store.dispatchAction(ref, action)
          return { accepted: true as const }
        }
        return yield* Store.dispatchActionWait(ref, action)
      },
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    state: Effect.fn("state")(
      function*({ query: { select } }) {
        if (select !== undefined && !Object.hasOwn(Visit.state.fields, select)) {
          const slices = Object.keys(Visit.state.fields).join(", ")
          return yield* new InvalidRequest({ message: `there is no such slice, select one of ${slices}` })
        }
        const encoded = yield* Store.serialize(Visit, yield* visit)
        return select === undefined ? encoded : (encoded as Record<string, unknown>)[select]
      },
      Effect.catchTag("SchemaError", Effect.die),
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    history: Effect.fn("history")(
      function*() {
        const steps = yield* Store.history(yield* visit)
        return steps.map(({ at, type, version }) => ({ version, type, at: DateTime.makeUnsafe(at) }))
      },
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    ),
    travel: Effect.fn("travel")(
      function*({ params }) {
        return yield* Store.travel(yield* visit, params.version)
      },
      Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
    )
  }))
