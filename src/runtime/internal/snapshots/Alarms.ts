/**
 * Wakes the sessions of a kind that are in the store only, when their alarms are due.
 *
 * A session whose alarm stays due, because it cannot be loaded or ends before the alarm fires, is retried after pauses that
 * grow. It does not block the others: the store is asked for enough alarms to find those behind it.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { LoadError } from "../../../contract/SessionError.ts"
import type { SnapshotStore, SnapshotStoreError } from "../../../contract/SnapshotStore.ts"
import { backoff } from "../../../internal/backoff.ts"
import { pauseAfter } from "./storeFailures.ts"

/** The longest time between two questions to the store, in milliseconds. */
const interval = 60_000

/** The number of alarms to ask for, unless more are needed to find those that are due. */
const page = 256

/** How many sessions are woken at a time, and how long each is waited for, in milliseconds: it may hang. */
const concurrency = 32
const patience = 2_000

/** The first and the longest pause before the same alarm is retried, in milliseconds. */
const firstPause = 1_000
const longestPause = 60_000

export interface AlarmsOptions {
  readonly kind: string
  readonly store: SnapshotStore["Service"]
  /** The date: alarms are stored by it. */
  readonly date: () => number
  /** The monotonic clock. */
  readonly now: () => number
  /** Is the session in the store only? A session in memory fires its alarms itself. */
  readonly isAway: (id: string) => boolean
  /** Wakes a session whose alarm is due. */
  readonly activate: (id: string) => Effect.Effect<unknown, LoadError>
  /** Reports that the store failed, and in how many milliseconds it is asked again. */
  readonly failed: (error: unknown, retryIn: number) => void
}

/** An alarm that was due before, and still is. */
interface Attempt {
  readonly alarmAt: number
  readonly count: number
  /** It is not retried before this time, by the monotonic clock. */
  readonly until: number
}

interface Coming {
  readonly due: ReadonlyArray<{ readonly id: string; readonly alarmAt: number }>
  /** In how many milliseconds the next one is due. */
  readonly wait: number
}

export class Alarms {
  private readonly options: AlarmsOptions
  private readonly attempts = new Map<string, Attempt>()
  /** The number of alarms that the store is asked for. */
  private limit = page
  /** The first alarm of the sessions that left memory since the store was asked. */
  private noted = Infinity
  private wakeAt = Infinity
  private ring: Deferred.Deferred<void> | undefined

  constructor(options: AlarmsOptions) {
    this.options = options
  }

  /** A session with this alarm left memory. */
  note(alarmAt: number): void {
    this.noted = Math.min(this.noted, alarmAt)
    if (alarmAt < this.wakeAt && this.ring !== undefined) Deferred.doneUnsafe(this.ring, Effect.void)
  }

  /** Wakes sessions until it is interrupted. */
  get watch(): Effect.Effect<void> {
    const { failed } = this.options
    let failures = 0
    return Effect.forever(
      Effect.gen({ self: this }, function*() {
        this.noted = Infinity
        const { due, wait } = yield* this.coming
        yield* Effect.forEach(due, (alarm) => this.try(alarm), { concurrency, discard: true })
        failures = 0
        // Those that are still due must be retried.
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
      // A failure is reported where it happens. Whether the alarm is still due, the store says.
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
        // Alarms that are due may come behind those whose pause is not over.
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
      // What the store says of a session in memory may be out of date.
      if (!this.options.isAway(alarm.id)) continue
      const attempt = this.attempts.get(alarm.id)
      const pause = attempt?.alarmAt === alarm.alarmAt ? attempt.until - now : 0
      const left = Math.max(pause, alarm.alarmAt - date)
      if (left > 0) wait = Math.min(wait, left)
      else due.push({ id: alarm.id, alarmAt: alarm.alarmAt })
    }
    return { due, wait }
  }

  /** Forgets the attempts of alarms that are not due any more. */
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
