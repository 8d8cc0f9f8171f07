/**
 * Retries operations whose error says that a retry is safe.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Schedule from "effect/Schedule"
import { backoff } from "../internal/backoff.ts"

/**
 * How often to retry, and how long to wait before each retry.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The number of retries after the first attempt. Default: 3. */
  readonly times?: number | undefined
  /** The first pause; each further one is twice as long. Default: 50 milliseconds. */
  readonly delay?: Duration.Input | undefined
  /** The longest pause; an error that asks for a longer one is not retried. Default: 1 minute. */
  readonly maxDelay?: Duration.Input | undefined
}

/**
 * `true` for an error of this library that says that the operation had no effect, so that it is safe to retry.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSafe = (error: unknown): boolean => Predicate.hasProperty(error, "retrySafe") && error.retrySafe === true

/** How long the error asks the caller to wait, in milliseconds. */
const retryAfterOf = (error: unknown): number | undefined =>
  Predicate.hasProperty(error, "retryAfter") && typeof error.retryAfter === "number" ? error.retryAfter : undefined

/**
 * Retries an effect while its error says that the operation had no effect, and gives the last error when the retries are
 * used up.
 *
 * **When to use:** for a start that exceeded the rate of starts, a call that timed out before its handler began, a full
 * mailbox, or a store that does not answer. An operation that may have had an effect is never retried: its error is
 * returned at once.
 *
 * **Details:** waits as long as the error asks for (`retryAfter`), otherwise with exponentially growing pauses. An error
 * that asks for a longer pause than `maxDelay` is returned at once. Defects and interruptions are not retried.
 *
 * ```ts
 * cart.call("Add", item).pipe(Retry.whenSafe({ times: 5 }))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const whenSafe = (options?: Options): <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> => {
  const first = Duration.toMillis(options?.delay ?? "50 millis")
  const longest = Duration.toMillis(options?.maxDelay ?? "1 minute")
  return Effect.retry({
    times: options?.times ?? 3,
    while: (error) => isSafe(error) && (retryAfterOf(error) ?? 0) <= longest,
    schedule: Schedule.modifyDelay(
      Schedule.forever,
      ({ attempt, input }) => Effect.succeed(retryAfterOf(input) ?? backoff(attempt, first, longest))
    )
  })
}
