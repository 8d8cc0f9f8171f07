/**
 * Wakes the sessions of a kind that are in the store only when their alarms are due.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { LoadError } from "../../../contract/SessionError.ts"
import type { SnapshotStore, SnapshotStoreError } from "../../../contract/SnapshotStore.ts"
import { pauseAfter } from "./pauses.ts"

/** How often the store is asked at least, in milliseconds. */
const interval = 60_000

/** The pause before an alarm is tried again whose session could not be loaded, in milliseconds. */
const retryPause = 1_000

/** How many are asked for at a time. */
const page = 256

export interface AlarmsOptions {
  readonly kind: string
  readonly store: SnapshotStore["Service"]
  /** The date: alarms are stored by it. */
  readonly now: () => number
  /** Does nobody else look after it? A session in memory looks after its alarms itself. */
  readonly isAway: (id: string) => boolean
  /** Starts a session whose alarm is due. */
  readonly activate: (id: string) => Effect.Effect<unknown, LoadError>
  /** Notes that the store failed, and in how many milliseconds it is asked again. */
  readonly failed: (error: unknown, retryIn: number) => void
}

export class Alarms {
  private readonly options: AlarmsOptions
  /** The first alarm of those that left memory since the store was asked. */
  private noted = Infinity
  private wakeAt = Infinity
  private ring: Deferred.Deferred<void> | undefined

  constructor(options: AlarmsOptions) {
    this.options = options
  }

  private now(): number {
    return this.options.now()
  }

  /** A session that has an alarm left memory. */
  note(alarmAt: number): void {
    this.noted = Math.min(this.noted, alarmAt)
    if (alarmAt < this.wakeAt && this.ring !== undefined) Deferred.doneUnsafe(this.ring, Effect.void)
  }

  /** Looks for alarms as long as it runs. */
  get watch(): Effect.Effect<void> {
    const { activate, failed } = this.options
    let failures = 0
    return Effect.forever(
      Effect.gen({ self: this }, function*() {
        this.noted = Infinity
        const { due, next } = yield* this.coming
        const outcomes = yield* Effect.forEach(due, (id) => Effect.exit(activate(id)), { concurrency: 16 })
        failures = 0
        const now = this.now()
        // Those that could not be loaded are tried again soon.
        const soonest = now + (outcomes.some(Exit.isFailure) ? retryPause : 1)
        yield* this.sleepUntil(Math.max(soonest, Math.min(next, now + interval)))
      }).pipe(Effect.catchCause((cause) => {
        const pause = pauseAfter(++failures)
        failed(Cause.squash(cause), pause)
        return Effect.sleep(pause)
      }))
    )
  }

  /** The sessions whose alarm is due, and when the next one is. */
  private get coming(): Effect.Effect<
    { readonly due: ReadonlyArray<string>; readonly next: number },
    SnapshotStoreError
  > {
    return Effect.gen({ self: this }, function*() {
      const { isAway, kind, store } = this.options
      // What the store says of those in memory may be old.
      for (let limit = page;; limit *= 4) {
        const now = this.now()
        const all = yield* store.alarms(kind, now + interval, limit)
        const away = all.filter(({ id }) => isAway(id))
        if (away.length === 0 && all.length === limit) continue
        const due = away.filter(({ alarmAt }) => alarmAt <= now).map(({ id }) => id)
        const next = away.find(({ alarmAt }) => alarmAt > now)?.alarmAt ?? Infinity
        return { due, next: all.length === limit ? Math.min(next, now) : next }
      }
    })
  }

  private sleepUntil(at: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.wakeAt = Math.min(at, this.noted)
      const ring = this.ring = Deferred.makeUnsafe<void>()
      return Effect.ensuring(
        Effect.raceFirst(Effect.sleep(Math.max(1, this.wakeAt - this.now())), Deferred.await(ring)),
        Effect.sync(() => {
          this.ring = undefined
        })
      )
    })
  }
}
