/**
 * Trying again when that is safe.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"

/**
 * How often and how fast to try again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How often to try again after the first failure. Default: 3. */
  readonly times?: number | undefined
  /** The first pause; it doubles each time. Default: 50 milliseconds. */
  readonly delay?: Duration.Input | undefined
  /** The longest pause; errors that ask for a longer one are not tried again. Default: 1 minute. */
  readonly maxDelay?: Duration.Input | undefined
}

/**
 * `true` for errors of this library that say that the operation had no effect.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSafe = (error: unknown): boolean => Predicate.hasProperty(error, "retrySafe") && error.retrySafe === true

/**
 * Tries again while the error says that the operation had no effect: a start that was refused by the rate of
 * starts, a call that timed out before its handler had begun, a full mailbox. Waits as long as the error asks
 * for (`retryAfter`), otherwise with growing pauses. Other errors come through at once, as does the last one.
 *
 * ```ts
 * cart.call("Add", item).pipe(Retry.whenSafe({ times: 5 }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const whenSafe = (options?: Options) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const times = options?.times ?? 3
  const first = Duration.toMillis(options?.delay ?? "50 millis")
  const longest = Duration.toMillis(options?.maxDelay ?? "1 minute")
  const attempt = (tried: number): Effect.Effect<A, E, R> =>
    Effect.catch(effect, (error) => {
      if (tried >= times || !isSafe(error)) return Effect.fail(error)
      const asked = Predicate.hasProperty(error, "retryAfter") && typeof error.retryAfter === "number"
        ? error.retryAfter
        : undefined
      if (asked !== undefined && asked > longest) return Effect.fail(error)
      return Effect.andThen(
        Effect.sleep(asked ?? Math.min(first * 2 ** tried, longest)),
        Effect.suspend(() => attempt(tried + 1))
      )
    })
  return attempt(0)
}
