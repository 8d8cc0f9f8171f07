/**
 * Keeps the store's idea of expiry up to date, and lets it delete what has expired.
 *
 * Activity that is not saved, such as a visit that changes nothing, postpones a session's expiry. So sessions whose stored
 * expiry comes near are saved again, whatever the policy: the store would delete them, and later forget to whom they
 * belong. A session that was never saved has no stored expiry, and is left alone.
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
  /** Saves a session, with its present expiry. */
  readonly save: (session: LiveSession) => void
}

/** Runs until it is interrupted. */
export const upkeep = ({ host, idleTimeout, reports, save, sessions, store }: UpkeepOptions): Effect.Effect<void> => {
  const interval = Math.min(longestInterval, idleTimeout / 4)
  // Dates that are made of the monotonic clock differ a little from one reading to the next.
  const tolerance = Math.min(1_000, interval / 4)
  const sweepDate = new SweepDate(2 * longestInterval)
  const once = Effect.suspend(() => {
    const soon = host.date() + 2 * interval
    for (const session of sessions.values()) {
      const { expiry } = session.stored!
      if (expiry < soon && host.dateOf(host.expiry.expiresAt(session)) > expiry + tolerance) save(session)
    }
    return Effect.catchCause(
      store.sweep(sweepDate.next(host.now(), host.date())),
      (cause) => Effect.sync(() => reports.failed("", Cause.squash(cause), interval))
    )
  })
  return Effect.forever(Effect.andThen(Effect.sleep(interval), once))
}
