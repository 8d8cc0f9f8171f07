/**
 * When sessions expire.
 *
 * A session expires when it had no activity for its idle timeout, or when its absolute timeout has passed. An expired
 * session is never reached again. It ends at once if it has watchers, or when it is next looked up; all others are ended
 * by a sweep, which runs on a `Schedule`. The cost depends on the number of deadlines that are due, not on the number of
 * live sessions: an activity writes one number, and a deadline is checked only when it would have been reached.
 *
 * **When to use:** `Sessions.layer` provides it. Provide `layerSchedule` to `Sessions.layerNoDeps` to sweep on a schedule
 * of your own; implement the service to keep track of deadlines in another way.
 *
 * ```ts
 * const NightlySweep = Expiry.layerSchedule(Schedule.cron("0 3 * * *"))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { SessionsConfig } from "../policy/SessionsConfig.ts"
import * as TimingWheel from "./internal/time/TimingWheel.ts"

/**
 * The deadlines of one session. Times are milliseconds of a monotonic clock, of which only differences are meaningful.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry extends TimingWheel.Entry {
  readonly kind: { readonly name: string }
  readonly id: string
  /** When it was last active. */
  lastActiveAt: number
  /** Milliseconds. `Infinity`: the session never expires for being idle. */
  idleTimeout: number
  /** When it expires, active or not. `Infinity`: never. */
  readonly absoluteDeadline: number
}

/**
 * Tracks the activity and the deadlines of all sessions.
 *
 * **Details:** all methods are synchronous, because some run for every message. They must not throw.
 *
 * @since 0.1.0
 * @category services
 */
export class Expiry extends Context.Service<Expiry, {
  /** Begins to track a session. */
  readonly add: (entry: Entry) => void
  /** Stops tracking a session. */
  readonly remove: (entry: Entry) => void
  /** Records activity of a session. */
  readonly touch: (entry: Entry, now: number) => void
  /** Replaces the idle timeout of a session (milliseconds), counted from now. */
  readonly setIdleTimeout: (entry: Entry, timeout: number, now: number) => void
  /** When the session expires without further activity. `Infinity`: never. */
  readonly expiresAt: (entry: Entry) => number
  /** Whether the session has expired. */
  readonly isExpired: (entry: Entry, now: number) => boolean
  /** The earliest time at which a session may expire. `Infinity`: none can. */
  readonly next: () => number
  /** Checks the deadlines that are due, and gives the sessions that have expired since the last call. */
  readonly advance: (now: number) => Array<Entry>
  /** The sessions that have expired and have not been ended yet. */
  readonly expired: ReadonlySet<Entry>
  /** Gives all expired sessions, for the caller to end, and stops tracking them. */
  readonly sweep: (now: number) => Array<Entry>
  /** The number of tracked sessions that can expire. */
  readonly size: () => number
  /** When the host sweeps. */
  readonly schedule: Schedule.Schedule<unknown>
}>()("effect-sessions/Expiry") {
  /**
   * Sweeps every `sweepInterval`, as configured (default: 60 seconds).
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<Expiry, never, SessionsConfig> = Layer.effect(
    Expiry,
    Effect.map(SessionsConfig, (config) => make(Schedule.spaced(config.sweepInterval)))
  )

  /**
   * Sweeps on the given schedule.
   *
   * @since 0.1.0
   */
  static readonly layerSchedule = (schedule: Schedule.Schedule<unknown>): Layer.Layer<Expiry> =>
    Layer.sync(Expiry, () => make(schedule))
}

/** The resolution of the timing wheel in milliseconds: deadlines are checked at most ten times a second. */
const resolution = 100

const expiresAt = (entry: Entry): number => Math.min(entry.lastActiveAt + entry.idleTimeout, entry.absoluteDeadline)

const isExpired = (entry: Entry, now: number): boolean =>
  now >= entry.lastActiveAt + entry.idleTimeout || now >= entry.absoluteDeadline

const make = (schedule: Schedule.Schedule<unknown>): Expiry["Service"] => {
  // Activity does not move an entry in the wheel. When its old deadline comes, it is inserted again at the current one.
  const wheel = new TimingWheel.TimingWheel<Entry>(resolution)
  const expired = new Set<Entry>()

  const remove = (entry: Entry): void => {
    wheel.remove(entry)
    expired.delete(entry)
  }

  const advance = (now: number): Array<Entry> => {
    const found: Array<Entry> = []
    wheel.advance(now, (entry) => {
      if (isExpired(entry, now)) {
        expired.add(entry)
        found.push(entry)
      } else {
        wheel.insert(entry, expiresAt(entry))
      }
    })
    return found
  }

  return {
    add: (entry) => wheel.insert(entry, expiresAt(entry)),
    remove,
    touch(entry, now) {
      entry.lastActiveAt = now
      // A session that is active again after its deadline was noticed, and before it was ended, goes on.
      if (expired.size > 0 && expired.delete(entry)) wheel.insert(entry, expiresAt(entry))
    },
    setIdleTimeout(entry, timeout, now) {
      entry.idleTimeout = timeout
      entry.lastActiveAt = now
      remove(entry)
      wheel.insert(entry, expiresAt(entry))
    },
    expiresAt,
    isExpired,
    next: () => wheel.next(),
    advance,
    expired,
    sweep(now) {
      advance(now)
      const all = Array.from(expired)
      expired.clear()
      return all
    },
    size: () => wheel.size + expired.size,
    schedule
  }
}
