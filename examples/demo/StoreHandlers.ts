/**
 * The handlers of the endpoints about a visit as a store: dispatch, views, and time travel.
 */
import { DateTime, Effect, Stream } from "effect"
import { type Live, SessionError, Store } from "effect-sessions"
import { LiveHttp } from "effect-sessions/live"
import { HttpApiBuilder } from "effect/http-api"
import { InvalidRequest } from "./ReadableErrors.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { ShopLive } from "./ShopLive.ts"
import { Visit } from "./Visit.ts"
import { visit, Visitor } from "./Visitor.ts"

const noSuchPart = (parts: object) =>
  new InvalidRequest({ message: `there is no such slice, select one of ${Object.keys(parts).join(", ")}` })

/** The requested views, each once. Default: all. */
const parts = (select: string | undefined): ReadonlyArray<Live.ViewName<typeof ShopLive>> =>
  (select === undefined ? Object.keys(ShopLive.views) : Array.from(new Set(select.split(",")))) as never

const gone = Stream.succeed<LiveHttp.ServerSentEvent>({ event: "end", data: { reason: "Stopped" } })

export const StoreHandlers = HttpApiBuilder.group(
  ShopApi,
  "store",
  Effect.fn(function*(handlers) {
    const live = yield* ShopLive
    return handlers.handleAll({
      dispatch: Effect.fn("dispatch")(
        function*({ payload, query }) {
          // Checked before the visit is started, so that a bad action starts none.
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
            return yield* noSuchPart(Visit.state.fields)
          }
          const encoded = yield* Store.serialize(Visit, yield* visit)
          return select === undefined ? encoded : (encoded as Record<string, unknown>)[select]
        },
        Effect.catchTag("SchemaError", Effect.die),
        Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
      ),
      live: Effect.fn("live")(
        function*({ headers, query: { select } }) {
          const names = parts(select)
          const unknown = names.find((name) => !Object.hasOwn(ShopLive.views, name))
          if (unknown !== undefined) return yield* noSuchPart(ShopLive.views)
          const events = LiveHttp.follow(live, yield* visit, names, headers["last-event-id"])
          return yield* (yield* Visitor).hold(Stream.orDie(events))
        },
        Effect.catchTag("NoSession", () => Effect.succeed(gone)),
        ShopError.orUnavailable
      ),
      history: Effect.fn("history")(
        function*() {
          const steps = yield* Store.history(yield* visit)
          return steps.map(({ at, current, type, version }) => ({
            version,
            type,
            at: DateTime.makeUnsafe(at),
            current
          }))
        },
        Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
      ),
      travel: Effect.fn("travel")(
        function*({ params }) {
          return yield* Store.travel(yield* visit, params.version)
        },
        Effect.catchIf(SessionError.isCallError, ShopError.fromCall)
      )
    })
  })
)
