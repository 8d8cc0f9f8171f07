/**
 * Writes what is in the queue, in batches and one batch at a time.
 *
 * A store that is slow makes fewer writes, not a longer queue. While writes fail, one batch at a time is tried, after pauses
 * that grow; a batch that the store refuses because of one session is halved until that session is found.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { type Snapshot, type SnapshotStore, SnapshotStoreError } from "../../../contract/SnapshotStore.ts"
import { observe } from "../../../internal/guard.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { Deadline } from "../time/Deadlines.ts"
import type { Batch, SaveQueue } from "./SaveQueue.ts"
import { leftOutOf, type SnapshotCodec } from "./SnapshotCodec.ts"
import { downAfter, pauseAfter } from "./storeFailures.ts"
import type { StoreReports } from "./StoreReports.ts"

/** The largest number of writes in a batch. */
const batchSize = 256

/**
 * The writer rests for this many times the duration of its last write, if the debounce is not longer: a store that cannot
 * keep up is written to less often, and is busy for a seventh of the time at most.
 */
const restFactor = 6

/** How long the store may take for a batch, in milliseconds; longer counts as a failure. */
const writeLimit = 30_000

const tooSlow = new SnapshotStoreError({
  operation: "save",
  message: `the store did not answer within ${writeLimit} ms`,
  cause: undefined
})

export interface WriterOptions {
  readonly kind: string
  readonly host: HostContext
  readonly store: SnapshotStore["Service"]
  readonly codec: SnapshotCodec
  readonly queue: SaveQueue
  readonly reports: StoreReports
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** How long a change waits for others, in milliseconds. */
  readonly debounce: number
  /** A session with this alarm is in the store only from now on. */
  readonly leftWithAlarm: (alarmAt: number) => void
}

export class SnapshotWriter extends Deadline {
  private readonly options: WriterOptions
  private readonly queue: SaveQueue
  private writer: Fiber.Fiber<void> | undefined
  /** When the debounce is over, or the next attempt is due. */
  private dueAt = Infinity
  private restsUntil = 0
  private failures = 0
  /** The size of the next batch. */
  private size = batchSize
  private closed = false

  constructor(options: WriterOptions) {
    super()
    this.options = options
    this.queue = options.queue
  }

  /** Can a write be expected to succeed? */
  get isReady(): boolean {
    return this.failures === 0 && !this.closed
  }

  /** Do writes keep failing? */
  get isDown(): boolean {
    return this.failures >= downAfter
  }

  // -------------------------------------------------------------------------------------------------------
  // when it writes
  // -------------------------------------------------------------------------------------------------------

  /** Writes what is debounced when the debounce is over and the writer has rested. */
  writeLater(): void {
    if (this.writer !== undefined || this.closed || this.dueAt < Infinity) return
    const { debounce, host } = this.options
    this.dueAt = Math.max(host.now() + debounce, this.restsUntil)
    host.deadlines.set(this, this.dueAt)
  }

  /** The debounce or the pause is over: all that is in the queue is written now. */
  due(): void {
    this.dueAt = Infinity
    this.queue.flushLater()
    this.write()
  }

  /** Writes what does not wait for the debounce. */
  write(): void {
    // While the store fails, it is retried in its time.
    if (this.writer !== undefined || this.closed || (this.failures > 0 && this.dueAt < Infinity)) return
    const { host, run } = this.options
    const { queue } = this
    const began = host.now()
    // What else changes in this turn is written along.
    const writer = this.writer = run(Effect.andThen(Effect.yieldNow, this.writeDue))
    observe(this, writer, () => {
      this.writer = undefined
      const now = host.now()
      this.restsUntil = now + restFactor * (now - began)
      if (queue.size === 0 || this.closed) return
      if (this.failures > 0) return this.retryLater()
      if (queue.hasLater) this.writeLater()
      if (queue.isDue) this.write()
    })
  }

  /** A callback has thrown. */
  threw(defect: unknown): void {
    this.options.reports.defect(defect)
  }

  /** Ends the pause after a failure. */
  retryNow(): void {
    if (this.failures === 0 || this.writer !== undefined || this.closed) return
    this.options.host.deadlines.cancel(this)
    this.due()
  }

  private retryLater(): void {
    const { host } = this.options
    host.deadlines.cancel(this)
    this.dueAt = host.now() + pauseAfter(this.failures)
    host.deadlines.set(this, this.dueAt)
  }

  // -------------------------------------------------------------------------------------------------------
  // what it writes
  // -------------------------------------------------------------------------------------------------------

  /** Writes all that is due now, until a write fails. What is added meanwhile has its own time. */
  private get writeDue(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const end = this.queue.end
      while (this.queue.hasBefore(end)) {
        const goesOn = yield* this.writeBatch
        if (!goesOn) return
      }
    })
  }

  private get writeBatch(): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const { kind, store } = this.options
      const batch = this.queue.take(this.size, (session) => this.encode(session))
      const removes = batch.gone.flatMap((last) =>
        last._tag === "remove" ? [{ kind, id: last.session.id, epoch: last.epoch }] : []
      )
      const saves = batch.gone.flatMap((last) => last._tag === "save" ? [last.snapshot] : [])
      for (const { snapshot } of batch.live) saves.push(snapshot)
      const written = Effect.andThen(
        removes.length === 0 ? Effect.void : store.remove(removes),
        saves.length === 0 ? Effect.succeed([]) : store.save(saves)
      )
      let goesOn = false
      return Effect.timeoutOrElse(written, { duration: writeLimit, orElse: () => Effect.fail(tooSlow) }).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            goesOn = Exit.isSuccess(exit) ? this.succeeded(batch, exit.value) : this.failed(batch, exit.cause)
          })
        ),
        Effect.ignoreCause,
        Effect.map(() => goesOn)
      )
    })
  }

  /** `accepted` says for each save whether it was written: those of sessions in memory come last. */
  private succeeded({ gone, live }: Batch, accepted: ReadonlyArray<boolean>): true {
    const { leftWithAlarm, reports } = this.options
    this.size = batchSize
    if (this.failures > 0) {
      this.failures = 0
      reports.recovered(this.queue.count(live.map(({ session }) => session)))
    }
    for (const last of gone) {
      this.queue.lastDone(last, true)
      if (last._tag === "save" && last.snapshot.alarmAt !== null) leftWithAlarm(last.snapshot.alarmAt)
    }
    const first = accepted.length - live.length
    live.forEach(({ session, snapshot }, i) => {
      const waiters = this.queue.endSave(session)
      const isWritten = accepted[first + i] === true
      if (isWritten) {
        session.stored!.version = snapshot.version - session.versionsBefore
        session.stored!.expiry = snapshot.expiresAt ?? Infinity
      } else session.fenced()
      for (const waiter of waiters) waiter(isWritten)
    })
    return true
  }

  /** Says whether to go on at once. */
  private failed({ gone, live }: Batch, cause: Cause.Cause<SnapshotStoreError>): boolean {
    const error = Option.getOrElse(Exit.findErrorOption(Exit.failCause(cause)), () => cause)
    const isOfKey = error instanceof SnapshotStoreError && error.scope === "key"
    const count = gone.length + live.length
    if (isOfKey && count === 1 && gone[0]?._tag !== "remove") {
      this.refused({ gone, live }, error)
      return true
    }
    for (const { session } of live) this.queue.saveFailed(session)
    this.queue.lastsFailed(gone)
    // A session that the store refuses must not hold up the others.
    this.size = Math.max(1, Math.floor(count / 2))
    // The store works: the session that it refuses is found at once.
    if (isOfKey && count > 1) return true
    this.failures++
    this.options.reports.failed("", error, pauseAfter(this.failures))
    return false
  }

  /**
   * The store refuses this one session and accepts others. Those who wait for it are notified; it is written again when it
   * changes, and what was stored last stays.
   */
  private refused({ gone: [last], live: [alive] }: Batch, error: SnapshotStoreError): void {
    this.size = batchSize
    this.options.reports.unsaved((alive ?? last!).session.id, error)
    if (last !== undefined) this.queue.lastDone(last, false)
    if (alive !== undefined) { for (const waiter of this.queue.endSave(alive.session)) waiter(false) }
  }

  /** The session as it is now. `undefined`, and reported, when its state does not fit its schema. */
  encode(session: LiveSession): Snapshot | undefined {
    try {
      return this.options.codec.encode(session, (part, defect) => this.leftOut(session, part, defect))
    } catch (defect) {
      this.options.reports.unsaved(session.id, defect)
      return undefined
    }
  }

  /** Reported once for a session, although the part is left out of each of its snapshots. */
  private leftOut(session: LiveSession, part: string, defect: unknown): void {
    const { stored } = session
    if (stored === undefined || stored.leftOut?.has(part) === true) return
    stored.leftOut = (stored.leftOut ?? new Set()).add(part)
    this.options.reports.failed(session.id, leftOutOf(this.options.kind, session.id, part, defect))
  }

  // -------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------

  /** Writes what is left within the grace period, and logs how many sessions could not be written. */
  get close(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { host, reports } = this.options
      yield* Effect.timeoutOption(this.writeAll, host.config.shutdownGrace)
      this.closed = true
      host.deadlines.cancel(this)
      this.writer?.interruptUnsafe()
      const { size } = this.queue
      this.queue.close()
      if (size > 0) yield* reports.left(size)
    })
  }

  private get writeAll(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      while (this.queue.size > 0) {
        if (this.writer === undefined && this.failures === 0) this.due()
        // While the store fails, it is retried in its time.
        if (this.writer === undefined) yield* Effect.sleep(Math.max(1, this.dueAt - this.options.host.now()))
        else yield* Fiber.await(this.writer)
      }
    })
  }
}
