/**
 * Wakes the sessions of a kind that are in the store only when their alarms are due.
 *
 * A session that does not get past its alarm, because it cannot be loaded or ends before it rings, is tried again after pauses
 * that grow, and stands in nobody's way: the store is asked for as many as there are before those that are due.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { LoadError } from "../../../contract/SessionError.ts"
import type { SnapshotStore, SnapshotStoreError } from "../../../contract/SnapshotStore.ts"
import { backoff } from "../../../internal/backoff.ts"
import { pauseAfter } from "./storeFailures.ts"

/** How often the store is asked at least, in milliseconds. */
const interval = 60_000

/** How many are asked for at a time, if that is enough to find those that are due. */
const page = 256

/** How many are started at a time, and how long one is waited for, in milliseconds: it may hang. */
const concurrency = 32
const patience = 2_000

/** The first pause before the same alarm of a session is tried again, and the longest, in milliseconds. */
const firstPause = 1_000
const longestPause = 60_000

export interface AlarmsOptions {
  readonly kind: string
  readonly store: SnapshotStore["Service"]
  /** The date, by which alarms are stored. */
  readonly date: () => number
  /** The monotonic clock. */
  readonly now: () => number
  /** Does nobody else look after it? A session in memory looks after its alarms itself. */
  readonly isAway: (id: string) => boolean
  /** Starts a session whose alarm is due. */
  readonly activate: (id: string) => Effect.Effect<unknown, LoadError>
  /** Notes that the store failed, and in how many milliseconds it is asked again. */
  readonly failed: (error: unknown, retryIn: number) => void
}

/** An alarm that was tried. */
interface Attempt {
  readonly alarmAt: number
  readonly count: number
  /** Not before then is it tried again, by the monotonic clock. */
  readonly until: number
}

interface Coming {
  readonly due: ReadonlyArray<{ readonly id: string; readonly alarmAt: number }>
  /** In how many milliseconds the next one is. */
  readonly wait: number
}

export class Alarms {
  private readonly options: AlarmsOptions
  private readonly attempts = new Map<string, Attempt>()
  /** How many are asked for. */
  private limit = page
  /** The first alarm of those that left memory since the store was asked. */
  private noted = Infinity
  private wakeAt = Infinity
  private ring: Deferred.Deferred<void> | undefined

  constructor(options: AlarmsOptions) {
    this.options = options
  }

  /** A session that has an alarm left memory. */
  note(alarmAt: number): void {
    this.noted = Math.min(this.noted, alarmAt)
    if (alarmAt < this.wakeAt && this.ring !== undefined) Deferred.doneUnsafe(this.ring, Effect.void)
  }

  /** Looks for alarms as long as it runs. */
  get watch(): Effect.Effect<void> {
    const { failed } = this.options
    let failures = 0
    return Effect.forever(
      Effect.gen({ self: this }, function*() {
        this.noted = Infinity
        const { due, wait } = yield* this.coming
        yield* Effect.forEach(due, (alarm) => this.try(alarm), { concurrency, discard: true })
        failures = 0
        // One that was tried without success is to be tried again.
        yield* this.sleep(due.length === 0 ? wait : Math.min(wait, firstPause))
      }).pipe(Effect.catchCause((cause) => {
        const pause = pauseAfter(++failures)
        failed(Cause.squash(cause), pause)
        return Effect.sleep(pause)
      }))
    )
  }

  private try({ alarmAt, id }: Coming["due"][number]): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { activate, now } = this.options
      const before = this.attempts.get(id)
      const count = before?.alarmAt === alarmAt ? before.count + 1 : 1
      const pause = backoff(count, firstPause, longestPause)
      this.attempts.set(id, { alarmAt, count, until: now() + pause })
      // What went wrong is told where it does. Whether it got past its alarm, the store says.
      return Effect.timeoutOption(Effect.exit(activate(id)), patience)
    })
  }

  /** The sessions whose alarm is due, and when the next one is. */
  private get coming(): Effect.Effect<Coming, SnapshotStoreError> {
    return Effect.gen({ self: this }, function*() {
      const { kind, store } = this.options
      for (;; this.limit *= 2) {
        const date = this.options.date()
        const all = yield* store.alarms(kind, date + interval, this.limit)
        const isComplete = all.length < this.limit
        const coming = this.among(all, date)
        // Some that are due may come after those that are not to be tried.
        const last = all.at(-1)
        if (!isComplete && coming.due.length === 0 && last!.alarmAt <= date) continue
        if (isComplete) {
          this.limit = Math.max(page, all.length + 1)
          this.forget(all)
          return coming
        }
        return { ...coming, wait: Math.max(1, Math.min(coming.wait, last!.alarmAt - date)) }
      }
    })
  }

  private among(all: ReadonlyArray<{ readonly id: string; readonly alarmAt: number }>, date: number): Coming {
    const now = this.options.now()
    const due: Array<{ readonly id: string; readonly alarmAt: number }> = []
    let wait = interval
    for (const alarm of all) {
      // What the store says of those in memory may be old.
      if (!this.options.isAway(alarm.id)) continue
      const attempt = this.attempts.get(alarm.id)
      const pause = attempt?.alarmAt === alarm.alarmAt ? attempt.until - now : 0
      const left = Math.max(pause, alarm.alarmAt - date)
      if (left > 0) wait = Math.min(wait, left)
      else due.push({ id: alarm.id, alarmAt: alarm.alarmAt })
    }
    return { due, wait }
  }

  /** Of those whose alarms are past nothing needs to be known. */
  private forget(all: ReadonlyArray<{ readonly id: string }>): void {
    if (this.attempts.size === 0) return
    const left = new Set(all.map(({ id }) => id))
    for (const id of this.attempts.keys()) if (!left.has(id)) this.attempts.delete(id)
  }

  private sleep(millis: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { date } = this.options
      this.wakeAt = Math.min(date() + millis, this.noted)
      const ring = this.ring = Deferred.makeUnsafe<void>()
      return Effect.ensuring(
        Effect.raceFirst(Effect.sleep(Math.max(1, this.wakeAt - date())), Deferred.await(ring)),
        Effect.sync(() => {
          this.ring = undefined
        })
      )
    })
  }
}
