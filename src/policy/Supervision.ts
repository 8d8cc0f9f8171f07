/**
 * What happens to a session whose handler dies of a defect.
 *
 * A crash concerns one session only: the message that caused it goes to the dead letters and is not
 * replayed, its caller gets `SessionCrashed`, and the session goes on by its policy, after a pause that
 * grows with the crashes. The crashes are counted per session, so that one crash loop ends one session.
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
  /** Default: 10 seconds. */
  readonly within?: Duration.Input | undefined
  /** The pause after the n-th crash within the window. Default: `exponential()`. */
  readonly backoff?: ((crash: number) => Duration.Input) | undefined
}

/**
 * No pause after the first crash, then `base` doubling with each further one, up to `cap`.
 * Defaults: 50 milliseconds and 5 seconds.
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
 * Goes on with the state that the last good message left. The default.
 *
 * @since 0.1.0
 * @category constructors
 */
export const resume = (options?: Options): Supervision => make("resume", options)

/**
 * Closes the session's Scope, runs `init` again with the same arguments and goes on in a new
 * incarnation (`epoch`). Waiting messages stay in the mailbox.
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
 * A policy with its durations resolved.
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
 * Resolves the durations of a policy once, for a runtime.
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
 * What to do about a crash.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "stop" }
  | { readonly _tag: "resume"; readonly pauseMillis: number }
  | { readonly _tag: "reset"; readonly pauseMillis: number }

/**
 * The crashes of one session that still count, oldest first, in milliseconds.
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
