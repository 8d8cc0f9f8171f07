/**
 * Keeps the store's idea of expiry up to date, and lets it delete what has expired.
 *
 * Activity that changes nothing, such as a visit, is not saved, but it postpones a session's expiry. So sessions whose stored
 * expiry comes near are saved again.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { SnapshotStore } from "../../../contract/SnapshotStore.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import type { StoreReports } from "./StoreReports.ts"
import { SweepDate } from "./SweepDate.ts"

/** The longest interval, in milliseconds. */
const longestInterval = 60_000

export interface UpkeepOptions {
  readonly host: HostContext
  readonly store: SnapshotStore["Service"]
  readonly sessions: ReadonlyMap<string, LiveSession>
  readonly reports: StoreReports
  /** Of the kind, in milliseconds. */
  readonly idleTimeout: number
  /** Saves a session with its present expiry; `undefined`: the policy saves none before its end. */
  readonly save: ((session: LiveSession) => void) | undefined
}

/** Runs until it is interrupted. */
export const upkeep = ({ host, idleTimeout, reports, save, sessions, store }: UpkeepOptions): Effect.Effect<void> => {
  const interval = Math.min(longestInterval, idleTimeout / 4)
  // Dates that are made of the monotonic clock differ a little from one reading to the next.
  const tolerance = Math.min(1_000, interval / 4)
  const sweepDate = new SweepDate(2 * longestInterval)
  const postpone = (session: LiveSession, soon: number): void => {
    const { expiry } = session.stored!
    if (expiry < soon && host.dateOf(host.expiry.expiresAt(session)) > expiry + tolerance) save!(session)
  }
  const once = Effect.suspend(() => {
    if (save !== undefined) {
      const soon = host.date() + 2 * interval
      for (const session of sessions.values()) postpone(session, soon)
    }
    return Effect.catchCause(
      store.sweep(sweepDate.next(host.now(), host.date())),
      (cause) => Effect.sync(() => reports.failed("", Cause.squash(cause), interval))
    )
  })
  return Effect.forever(Effect.andThen(Effect.sleep(interval), once))
}
