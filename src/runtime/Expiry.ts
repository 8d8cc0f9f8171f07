/**
 * When sessions expire.
 *
 * A session expires when it had no activity for its idle timeout, or when its absolute timeout has passed. An expired
 * session is never reached again: a session with watchers ends at once, a session that is asked for ends then, and
 * the others are swept on a `Schedule`. The cost depends on how many deadlines are due, not on how many sessions
 * live: a touch writes one number, and a deadline is checked only when it would have come.
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
 * What the tracker knows of one session. Times are milliseconds of a monotonic clock: only their differences mean
 * something.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry extends TimingWheel.Entry {
  readonly kind: { readonly name: string }
  readonly id: string
  lastActiveAt: number
  /** Milliseconds; `Infinity`: it does not expire for being idle. */
  idleTimeout: number
  /** `Infinity`: it may stay for ever. */
  readonly absoluteDeadline: number
}

/**
 * The activity tracker: knows the deadlines of all sessions.
 *
 * @since 0.1.0
 * @category services
 */
export class Expiry extends Context.Service<Expiry, {
  /** Tracks a session from now on. */
  readonly add: (entry: Entry) => void
  /** Tracks it no longer. */
  readonly remove: (entry: Entry) => void
  /** Notes activity. */
  readonly touch: (entry: Entry, now: number) => void
  /** Replaces the idle timeout of one session, counted from now. */
  readonly setIdleTimeout: (entry: Entry, timeout: number, now: number) => void
  /** When the session expires if nothing happens; `Infinity` when never. */
  readonly expiresAt: (entry: Entry) => number
  /** Has the session expired? */
  readonly isExpired: (entry: Entry, now: number) => boolean
  /** The next time at which something may expire; `Infinity` when nothing can. */
  readonly next: () => number
  /** Looks at what is due, and gives those that have expired since it was last asked. */
  readonly advance: (now: number) => Array<Entry>
  /** Those that have expired and are not ended yet. */
  readonly expired: ReadonlySet<Entry>
  /** Gives all that have expired, to be ended, and tracks them no longer. */
  readonly sweep: (now: number) => Array<Entry>
  /** How many that can expire are tracked. */
  readonly size: () => number
  /** When to sweep. */
  readonly schedule: Schedule.Schedule<unknown>
}>()("effect-sessions/Expiry") {
  /**
   * Sweeps at the configured `sweepInterval`.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<Expiry, never, SessionsConfig> = Layer.effect(
    Expiry,
    Effect.map(SessionsConfig, (config) => make(Schedule.spaced(config.sweepInterval)))
  )

  /**
   * Sweeps when the schedule says so.
   *
   * @since 0.1.0
   */
  static readonly layerSchedule = (schedule: Schedule.Schedule<unknown>): Layer.Layer<Expiry> =>
    Layer.sync(Expiry, () => make(schedule))
}

/** Deadlines are looked at ten times a second at most. */
const resolution = 100

const expiresAt = (entry: Entry): number => Math.min(entry.lastActiveAt + entry.idleTimeout, entry.absoluteDeadline)

const isExpired = (entry: Entry, now: number): boolean =>
  now >= entry.lastActiveAt + entry.idleTimeout || now >= entry.absoluteDeadline

const make = (schedule: Schedule.Schedule<unknown>): Expiry["Service"] => {
  // A slot may hold entries whose deadline moved on: they are put where they belong when their old one comes.
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
      // It found something to do after its deadline was noticed.
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
