/**
 * Alerts about slow calls, and about a number of live sessions that comes near the limit.
 *
 * ```ts
 * const Alerts = SessionAlerts.layer({ slowCall: "500 millis", nearLimit: 0.8 })
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SessionEvents } from "./SessionEvents.ts"
import { Sessions } from "./Sessions.ts"

/**
 * An alert.
 *
 * - `SlowCall`: a call took at least `slowCall`. `duration` is in milliseconds.
 * - `NearLimit`: the number of live sessions has reached the threshold. `utilisation` is `count` as a percentage of
 *   `limit`. It is sent once each time the threshold is crossed upwards.
 *
 * @since 0.1.0
 * @category models
 */
export type Alert =
  | {
    readonly _tag: "SlowCall"
    readonly kind: string
    readonly id: string
    readonly tag: string
    readonly duration: number
  }
  | { readonly _tag: "NearLimit"; readonly count: number; readonly limit: number; readonly utilisation: number }

/**
 * Sends alerts to `onAlert`. Default: logs them as warnings.
 *
 * **Details:** `slowCall` defaults to 1 second. `nearLimit` is a fraction of the limit, above 0 and up to 1, and defaults
 * to 0.9; any other value dies with a `RangeError`.
 *
 * **Gotchas:** the Layer listens to the events of all sessions, so every message costs a little more.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(options?: {
  readonly slowCall?: Duration.Input | undefined
  readonly nearLimit?: number | undefined
  readonly onAlert?: ((alert: Alert) => Effect.Effect<void, never, R>) | undefined
}): Layer.Layer<never, never, Sessions | SessionEvents | R> =>
  Layer.effectDiscard(
    Effect.gen(function*() {
      const events = yield* SessionEvents
      const sessions = yield* Sessions
      const run = Effect.runForkWith(yield* Effect.context<R>())
      const slowCall = Duration.toMillis(options?.slowCall ?? "1 second")
      const nearLimit = options?.nearLimit ?? 0.9
      if (!(nearLimit > 0 && nearLimit <= 1)) {
        return yield* Effect.die(
          new RangeError(`nearLimit must be a part of the limit, above 0 and up to 1, got ${nearLimit}`)
        )
      }
      const notify = (alert: Alert) => run<void, never>((options?.onAlert ?? logAlert)(alert))
      let near = false
      yield* events.listen((event) => {
        switch (event._tag) {
          case "Call":
            if (event.duration >= slowCall) {
              const { duration, id, kind, tag } = event
              notify({ _tag: "SlowCall", kind, id, tag, duration })
            }
            return
          case "Start":
          case "Stop": {
            const { count, limit, utilisation } = Effect.runSync(sessions.count)
            const isNear = count >= nearLimit * limit
            if (isNear && !near) notify({ _tag: "NearLimit", count, limit, utilisation })
            near = isNear
          }
        }
      })
    })
  )

const logAlert = (alert: Alert): Effect.Effect<void> =>
  alert._tag === "SlowCall"
    ? Effect.logWarning(
      `slow call: session ${alert.kind}/${alert.id} took ${Math.round(alert.duration)} ms to answer ${alert.tag}`
    )
    : Effect.logWarning(
      `${alert.count} of ${alert.limit} sessions are live (${
        alert.utilisation.toFixed(0)
      } %): nothing starts beyond the limit`
    )
