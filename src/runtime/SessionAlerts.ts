/**
 * Tells when sessions are slow or nearly too many.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SessionEvents } from "./SessionEvents.ts"
import { Sessions } from "./Sessions.ts"

/**
 * What an alert is about.
 *
 * - `SlowCall`: a call took longer than the threshold (`duration`, in milliseconds).
 * - `NearLimit`: more sessions are live than the threshold, a part of the limit. Told once each time that the
 *   threshold is crossed upwards.
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
 * Watches the events and hands alerts to `onAlert`; by default they are logged as warnings.
 *
 * `slowCall` defaults to 1 second, `nearLimit` (a part of the limit, between 0 and 1) to 0.9.
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
