/**
 * Limits how many sessions may start within a time.
 *
 * The limiter is asked only when a session is really to be started; it never keeps a caller from a live session.
 *
 * **When to use:** `Sessions.layer` provides it with the configured `startRate` and `startRatePerAddress`. Provide your own
 * implementation to `Sessions.layerNoDeps` to count elsewhere, for example for several nodes together.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { StartRateExceeded } from "../contract/SessionError.ts"
import { MonotonicClock } from "../internal/MonotonicClock.ts"
import { SessionsConfig } from "../policy/SessionsConfig.ts"
import { SlidingWindow } from "../policy/SlidingWindow.ts"

/**
 * The most addresses to remember. A client that controls more addresses than this need not use one twice, so forgetting
 * the oldest gives it nothing.
 */
const maxAddresses = 50_000

/**
 * The start to check.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartRequest {
  readonly kind: string
  readonly id: string
  /** The client address (`StartOptions.address`), if it is known. */
  readonly address: string | undefined
}

/**
 * How much of the rate for all starts is used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /** Starts allowed within the window; `Infinity` if there is no limit. */
  readonly limit: number
  /** The length of the window in milliseconds. */
  readonly window: number
  /** Starts within the window. */
  readonly current: number
  /** `current` as a percentage of `limit`. */
  readonly utilisation: number
  /** Milliseconds until the next start is allowed; 0 if one is allowed now. */
  readonly retryAfter: number
}

/**
 * Limits the starts of sessions.
 *
 * @since 0.1.0
 * @category services
 */
export class StartLimiter extends Context.Service<StartLimiter, {
  /** Counts a start, or fails with `StartRateExceeded` if there were too many. */
  readonly check: (request: StartRequest) => Effect.Effect<void, StartRateExceeded>
  /** How much of the rate is used. Reading it counts nothing. */
  readonly status: Effect.Effect<Status>
  /** How many client addresses are remembered. */
  readonly addresses: Effect.Effect<number>
}>()("effect-sessions/StartLimiter") {
  /**
   * Counts in memory, with one sliding window for all starts and one for each client address, as configured. An address
   * is forgotten when it started nothing for one window. At most 50,000 addresses are remembered.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<StartLimiter, never, SessionsConfig> = Layer.effect(
    StartLimiter,
    Effect.gen(function*() {
      const { startRate, startRatePerAddress } = yield* SessionsConfig
      const clock = new MonotonicClock(yield* Clock.Clock)
      const all = startRate && new SlidingWindow(startRate.limit, startRate.window)
      // In the order of the latest start, so that quiet addresses are at the front.
      const byAddress = new Map<string, { readonly window: SlidingWindow; last: number }>()

      const forgetOldest = () => {
        const [oldest] = byAddress.keys()
        if (oldest !== undefined) byAddress.delete(oldest)
      }

      const forgetQuiet = (now: number, quiet: number) => {
        for (const [address, entry] of byAddress) {
          if (entry.last > now - quiet) break
          byAddress.delete(address)
        }
      }

      return {
        check: (request) =>
          Effect.suspend(() => {
            const now = clock.now()
            const wait = all === undefined ? 0 : all.wait(now)
            if (wait > 0) return Effect.fail(StartRateExceeded.of(all!.limit, all!.windowMillis, wait))
            if (startRatePerAddress !== undefined && request.address !== undefined) {
              const { limit, window } = startRatePerAddress
              forgetQuiet(now, window)
              const entry = byAddress.get(request.address) ?? { window: new SlidingWindow(limit, window), last: now }
              const wait = entry.window.take(now)
              if (wait > 0) return Effect.fail(StartRateExceeded.of(limit, window, wait, "this address"))
              entry.last = now
              byAddress.delete(request.address)
              byAddress.set(request.address, entry)
              if (byAddress.size > maxAddresses) forgetOldest()
            }
            all?.take(now)
            return Effect.void
          }),
        status: Effect.sync(() => {
          if (all === undefined) return { limit: Infinity, window: 0, current: 0, utilisation: 0, retryAfter: 0 }
          const now = clock.now()
          const current = all.count(now)
          return {
            limit: all.limit,
            window: all.windowMillis,
            current,
            utilisation: 100 * current / all.limit,
            retryAfter: all.wait(now)
          }
        }),
        addresses: Effect.sync(() => {
          if (startRatePerAddress !== undefined) {
            forgetQuiet(clock.now(), startRatePerAddress.window)
          }
          return byAddress.size
        })
      }
    })
  )
}
