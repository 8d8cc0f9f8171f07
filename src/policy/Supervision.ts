/**
 * What happens to a session whose handler dies of a defect.
 *
 * A crash concerns one session only. The message that caused it becomes a dead letter and is not replayed, its caller gets
 * `SessionCrashed`, and the policy of the kind decides how the session goes on, after a pause that grows with the number
 * of crashes. Crashes are counted per session, so a crash loop ends one session and no other.
 *
 * **When to use:** `resume` (the default) if the last good state can be trusted, `reset` if it may be the cause of the
 * crash, `stop` if a crash should end the session.
 *
 * ```ts
 * const CartLive = Cart.toLayer(behavior, {
 *   supervision: Supervision.reset({ maxCrashes: 3, within: "1 minute" })
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type { Supervision } from "../contract/KindOptions.ts"
import { backoff } from "../internal/backoff.ts"

/**
 * Options shared by the policies.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** More crashes than this within `within` end the session with `Crashed`. Default: 5. */
  readonly maxCrashes?: number | undefined
  /** The time within which crashes are counted. Default: 10 seconds. */
  readonly within?: Duration.Input | undefined
  /** The pause after the n-th crash within `within`, counted from 1. Default: `exponential()`. */
  readonly backoff?: ((crash: number) => Duration.Input) | undefined
}

/**
 * No pause after the first crash, `base` (default: 50 milliseconds) after the second, then twice as long with each further
 * crash, up to `cap` (default: 5 seconds).
 *
 * @since 0.1.0
 * @category backoff
 */
export const exponential = (
  options?: { readonly base?: Duration.Input | undefined; readonly cap?: Duration.Input | undefined }
): (crash: number) => Duration.Input => {
  const base = Duration.toMillis(options?.base ?? "50 millis")
  const cap = Duration.toMillis(options?.cap ?? "5 seconds")
  return (crash) => backoff(crash - 1, base, cap)
}

const make = (onCrash: Supervision["onCrash"], options?: Options): Supervision => ({
  onCrash,
  maxCrashes: options?.maxCrashes ?? 5,
  within: options?.within ?? "10 seconds",
  backoff: options?.backoff ?? exponential()
})

/**
 * Goes on with the state as it was before the message that crashed. This is the default policy.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resume = (options?: Options): Supervision => make("resume", options)

/**
 * Closes the session's Scope, runs `init` again with the same arguments, and goes on as a new incarnation (with a higher
 * `epoch`). Waiting messages stay in the mailbox.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reset = (options?: Options): Supervision => make("reset", options)

/**
 * Ends the session with `Crashed` at the first crash.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stop: Supervision = make("stop", { maxCrashes: 0 })

/**
 * A policy with its durations in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resolved {
  readonly onCrash: Supervision["onCrash"]
  readonly maxCrashes: number
  readonly withinMillis: number
  readonly backoffMillis: (crash: number) => number
}

/**
 * Converts the durations of a policy to milliseconds, once for a kind.
 *
 * @since 0.1.0
 * @category decisions
 */
export const resolve = (policy: Supervision): Resolved => ({
  onCrash: policy.onCrash,
  maxCrashes: policy.maxCrashes,
  withinMillis: Duration.toMillis(policy.within),
  backoffMillis: (crash) => Math.max(0, Duration.toMillis(policy.backoff(crash)))
})

/**
 * What to do about a crash. `pauseMillis` is the pause before it, in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "stop" }
  | { readonly _tag: "resume"; readonly pauseMillis: number }
  | { readonly _tag: "reset"; readonly pauseMillis: number }

/**
 * Decides what to do about a crash at the time `now`. `recent` holds the times of the session's earlier crashes, oldest
 * first, in milliseconds of the same clock; this function adds the new crash and removes those that no longer count.
 *
 * @since 0.1.0
 * @category decisions
 */
export const decide = (policy: Resolved, recent: Array<number>, now: number): Decision => {
  while (recent.length > 0 && recent[0]! <= now - policy.withinMillis) recent.shift()
  recent.push(now)
  if (policy.onCrash === "stop" || recent.length > policy.maxCrashes) return { _tag: "stop" }
  const pauseMillis = policy.backoffMillis(recent.length)
  return { _tag: policy.onCrash, pauseMillis }
}
