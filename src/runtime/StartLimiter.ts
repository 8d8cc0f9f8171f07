/**
 * How many sessions may start within a time.
 *
 * It is asked only when a session would really start: reaching a live one never fails on it. Replace
 * the Layer to count elsewhere, for instance for several nodes together.
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
 * How many addresses are remembered at most. Who has more of them than that has no need to use one twice, so forgetting
 * the oldest lets nobody in who could not come in anyway.
 */
const maxAddresses = 50_000

/**
 * What is known of a start when it is checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartRequest {
  readonly kind: string
  readonly id: string
  readonly address: string | undefined
}

/**
 * How far the rate is used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Status {
  /** `Infinity` when there is no limit. */
  readonly limit: number
  /** Milliseconds. */
  readonly window: number
  /** Starts within the window. */
  readonly current: number
  /** `current` as a percentage of `limit`. */
  readonly utilisation: number
  /** Milliseconds until a start is allowed; 0 when it is now. */
  readonly retryAfter: number
}

/**
 * The limiter of starts.
 *
 * @since 0.1.0
 * @category services
 */
export class StartLimiter extends Context.Service<StartLimiter, {
  /** Counts a start, or fails when there were too many. */
  readonly check: (request: StartRequest) => Effect.Effect<void, StartRateExceeded>
  /** How far the rate is used. Counts nothing. */
  readonly status: Effect.Effect<Status>
  /** How many addresses are remembered. */
  readonly addresses: Effect.Effect<number>
}>()("effect-sessions/StartLimiter") {
  /**
   * Sliding windows in memory, for all starts and for those of each address, as configured. Addresses
   * that were quiet for a window are forgotten.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<StartLimiter, never, SessionsConfig> = Layer.effect(
    StartLimiter,
    Effect.gen(function*() {
      const { startRate, startRatePerAddress } = yield* SessionsConfig
      const clock = new MonotonicClock(yield* Clock.Clock)
      const all = startRate && new SlidingWindow(startRate.limit, startRate.window)
      // In the order of the latest start, so that the quiet ones are found at the front.
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
