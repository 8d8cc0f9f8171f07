/**
 * Keeps the sessions of a kind in the store: claims and loads them, saves them in batches when the policy says so, and
 * goes on when the store does not.
 *
 * A session that is to be saved is only noted; what is written is its state at the time of writing. So a store that is
 * slow makes fewer writes, not more waiting, and one that is down costs a place in a set for each session that changed.
 * While writes fail, one batch at a time is tried, after pauses that grow.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { SavePolicy } from "../../../contract/KindOptions.ts"
import type { Migration } from "../../../contract/Migration.ts"
import type * as Session from "../../../contract/Session.ts"
import { type LoadError, StoreUnavailable } from "../../../contract/SessionError.ts"
import { type Snapshot, type SnapshotStore, SnapshotStoreError } from "../../../contract/SnapshotStore.ts"
import { observe } from "../../../internal/guard.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { Deadline } from "../time/Deadlines.ts"
import { Alarms } from "./Alarms.ts"
import { leftOutOf, SnapshotCodec } from "./SnapshotCodec.ts"
import { readLimit, SnapshotLoader } from "./SnapshotLoader.ts"
import { downAfter, pauseAfter } from "./storeFailures.ts"
import { SweepDate } from "./SweepDate.ts"

/** How many are written at a time. */
const batchSize = 256

/**
 * How much longer than it has written a writer rests under write-behind, if the debounce is not longer anyway: a store for
 * which there is too much is written less often, and takes a seventh of the time at most.
 */
const restFactor = 6

/** How often what the store says of expiry is looked after at least, in milliseconds. */
const longestTendInterval = 60_000

/** How long the store may take before what it was asked for counts as failed, in milliseconds. */
const writeLimit = 30_000

const tooSlow = new SnapshotStoreError({
  operation: "save",
  message: `the store did not answer within ${writeLimit} ms`,
  cause: undefined
})

/** Someone who waits until a session is written. */
type Waiter = (written: boolean) => void

/** The last that is to be done for a session that is not in memory any more. */
type Last =
  | { readonly _tag: "save"; readonly session: LiveSession; readonly snapshot: Snapshot }
  | { readonly _tag: "remove"; readonly session: LiveSession; readonly epoch: number }

export interface PersistenceOptions {
  readonly save: SavePolicy
  readonly debounce: number
  readonly migrations: ReadonlyArray<Migration>
  readonly passivateAfter: number
  /** Of the kind, in milliseconds. */
  readonly idleTimeout: number
}

export class Persistence extends Deadline {
  private readonly options: PersistenceOptions
  /** Does an answer wait until what it did is written? */
  readonly isWriteAhead: boolean
  /** How long a change waits for others, in milliseconds. */
  private readonly debounce: number
  /** Whether changes are a reason to write: each of them, or after so many. */
  private readonly changesPerSave: number
  private readonly host: HostContext
  private readonly kind: string
  private readonly store: SnapshotStore["Service"]
  private readonly codec: SnapshotCodec
  private readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  /** Those in memory. */
  private readonly sessions: ReadonlyMap<string, LiveSession>
  /** Those that are to be written now, and those that are when the debounce is over. */
  private dirty = new Set<LiveSession>()
  private debounced = new Set<LiveSession>()
  private readonly lasts = new Map<string, Last>()
  /** Those who wait for the next write of a session, and for the one that is under way. */
  private readonly waiters = new Map<LiveSession, Array<Waiter>>()
  private readonly underWay = new Map<LiveSession, Array<Waiter>>()
  /** Those who wait until the store knows that a session is over. */
  private readonly goneWaiters = new Map<LiveSession, Array<Waiter>>()
  /** Those who wait until nothing is left to be written for a session that is gone, by its id. */
  private readonly settling = new Map<string, Deferred.Deferred<void>>()
  private readonly sweepDate = new SweepDate(2 * longestTendInterval)
  private writer: Fiber.Fiber<void> | undefined
  /** When what is debounced, or the next attempt, is due. */
  private dueAt = Infinity
  private restsUntil = 0
  /** How many sessions were ever taken to be written. */
  private taken = 0
  private failures = 0
  /** How many are written at a time now. */
  private size = batchSize
  private closed = false
  readonly alarms: Alarms
  readonly reader: SnapshotLoader

  constructor(
    definition: Session.Any,
    host: HostContext,
    store: SnapshotStore["Service"],
    run: Persistence["run"],
    activate: (id: string) => Effect.Effect<unknown, LoadError>,
    sessions: ReadonlyMap<string, LiveSession>,
    options: PersistenceOptions
  ) {
    super()
    this.kind = definition.kind
    this.host = host
    this.store = store
    this.run = run
    this.sessions = sessions
    this.options = options
    const { debounce, save } = options
    this.debounce = debounce
    this.isWriteAhead = save === "everyChange"
    this.changesPerSave = typeof save === "object" && "every" in save
      ? save.every
      : save === "atEnd" || save === "atHibernation"
      ? Infinity
      : 1
    this.codec = new SnapshotCodec(definition, options.migrations)
    this.reader = new SnapshotLoader({
      kind: this.kind,
      host,
      store,
      codec: this.codec,
      settled: (id) => this.settled(id),
      tell: (id, error) => this.tell(id, error, 0)
    })
    this.alarms = new Alarms({
      kind: this.kind,
      store,
      date: () => host.date(),
      now: () => host.now(),
      isAway: (id) => !sessions.has(id) && !this.lasts.has(id),
      activate,
      failed: (error, retryIn) => this.tell("", error, retryIn)
    })
  }

  private now(): number {
    return this.host.now()
  }

  private tell(id: string, error: unknown, retryIn: number): void {
    const { host, kind } = this
    if (host.events.active) host.events.publish({ _tag: "SnapshotError", kind, id, at: host.date(), error, retryIn })
  }

  // -------------------------------------------------------------------------------------------------------
  // what is to be saved
  // -------------------------------------------------------------------------------------------------------

  /** The session has changed. */
  changed(session: LiveSession): void {
    const { changesPerSave, debounce } = this
    // The usual case under write-behind: it will be written soon.
    if (session.isDirty && debounce > 0) return
    if (changesPerSave > 1) {
      // After a reset it counts from 0 again.
      const last = Math.max(0, session.stored!.version)
      if (changesPerSave === Infinity || (session.version - last < changesPerSave && session.version >= last)) return
    }
    this.mark(session, debounce)
  }

  /** It hibernates. */
  rests(session: LiveSession): void {
    if (this.options.save !== "atEnd") this.mark(session, 0)
  }

  /** It is over, or only gone from this process. */
  ended(session: LiveSession, keeps: boolean): void {
    this.unmark(session)
    const { claimed: epoch, id } = session
    if (!keeps) this.lasts.set(id, { _tag: "remove", session, epoch })
    else {
      const snapshot = this.encode(session)
      if (snapshot === undefined) {
        this.answer(session, false)
        return this.answerGone(session, false)
      }
      this.lasts.set(id, { _tag: "save", session, snapshot })
    }
    this.write()
  }

  /** It is not this process that has to save it: what it knows of it is worth nothing, or is written. */
  forget(session: LiveSession): void {
    this.unmark(session)
    this.answer(session, false)
    this.answerGone(session, false)
  }

  private mark(session: LiveSession, delay: number): void {
    // What happens to it while it ends is not kept.
    if (session.isOver) return
    if (delay > 0) {
      session.isDirty = true
      this.debounced.add(session)
      this.writeLater()
    } else {
      this.hurry(session)
      this.write()
    }
  }

  private hurry(session: LiveSession): void {
    session.isDirty = true
    this.debounced.delete(session)
    this.dirty.add(session)
  }

  private unmark(session: LiveSession): void {
    session.isDirty = false
    this.dirty.delete(session)
    this.debounced.delete(session)
  }

  /** How many writes are to be made. */
  private get left(): number {
    return this.lasts.size + this.dirty.size + this.debounced.size
  }

  /** Calls back when all is written that is to be kept of the session now: the next write has it. */
  whenWritten(session: LiveSession, resume: Waiter): void {
    const waiters = this.waiters.get(session)
    if (waiters === undefined) this.waiters.set(session, [resume])
    else waiters.push(resume)
  }

  /** Writes it now, whatever the policy, and calls back when that is done. */
  save(session: LiveSession, resume: Waiter): void {
    this.mark(session, 0)
    this.whenWritten(session, resume)
  }

  /** Calls back when the store knows of the end of a session that ends. */
  whenGone(session: LiveSession, resume: Waiter): void {
    const waiters = this.goneWaiters.get(session)
    if (waiters === undefined) this.goneWaiters.set(session, [resume])
    else waiters.push(resume)
  }

  private answerGone(session: LiveSession, written: boolean): void {
    const waiters = this.goneWaiters.get(session)
    if (waiters === undefined) return
    this.goneWaiters.delete(session)
    for (const resume of waiters) resume(written)
  }

  /** Is there something of it that is not written? */
  pends(session: LiveSession): boolean {
    return session.isDirty || this.underWay.has(session)
  }

  /**
   * Calls back when what there is of the session now is in the store, whose last state is on its way or to be written.
   */
  whenSaved(session: LiveSession, resume: Waiter): void {
    const underWay = session.isDirty ? undefined : this.underWay.get(session)
    if (underWay === undefined) this.whenWritten(session, resume)
    else underWay.push(resume)
  }

  /** Writes a session that hibernates now, and says whether that worked. Not while the store fails. */
  saveNow(session: LiveSession, resume: Waiter): void {
    if (this.failures > 0 || this.closed) return resume(false)
    this.mark(session, 0)
    this.whenWritten(session, resume)
  }

  /** It left memory, with this alarm. */
  hasLeft(alarmAt: number): void {
    this.alarms.note(alarmAt)
  }

  /** ReplyCache those who wait for it to be written. */
  private answer(session: LiveSession, written: boolean): void {
    const waiters = this.waiters.get(session)
    if (waiters === undefined) return
    this.waiters.delete(session)
    for (const resume of waiters) resume(written)
  }

  // -------------------------------------------------------------------------------------------------------
  // writing
  // -------------------------------------------------------------------------------------------------------

  /** Writes what is debounced when that is over, and a writer that took long has rested. */
  private writeLater(): void {
    if (this.writer !== undefined || this.closed || this.dueAt < Infinity) return
    this.dueAt = Math.max(this.now() + this.debounce, this.restsUntil)
    this.host.deadlines.set(this, this.dueAt)
  }

  /** Whatever is debounced is to be written now. */
  due(): void {
    this.dueAt = Infinity
    if (this.dirty.size === 0) {
      const { dirty } = this
      this.dirty = this.debounced
      this.debounced = dirty
    } else {
      for (const session of this.debounced) this.dirty.add(session)
      this.debounced.clear()
    }
    this.write()
  }

  private write(): void {
    // While the store fails, it is tried again in its time.
    if (this.writer !== undefined || this.closed || (this.failures > 0 && this.dueAt < Infinity)) return
    const began = this.now()
    // Whatever else changes in this turn goes with it.
    const writer = this.writer = this.run(Effect.andThen(Effect.yieldNow, this.flush))
    observe(this, writer, () => {
      this.writer = undefined
      const now = this.now()
      this.restsUntil = now + restFactor * (now - began)
      if (this.left === 0 || this.closed) return
      if (this.failures > 0) return this.retryLater()
      if (this.debounced.size > 0) this.writeLater()
      if (this.lasts.size + this.dirty.size > 0) this.write()
    })
  }

  /** A callback of it has thrown. */
  threw(defect: unknown): void {
    this.run(Effect.logError(`the writing of snapshots of ${this.kind} has failed`, defect))
  }

  private retryLater(): void {
    this.host.deadlines.cancel(this)
    this.dueAt = this.now() + pauseAfter(this.failures)
    this.host.deadlines.set(this, this.dueAt)
  }

  /** Writes all that there is now, unless the store fails. What comes meanwhile has its own time. */
  private get flush(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const last = this.taken + this.dirty.size
      while (this.lasts.size > 0 || (this.taken < last && this.dirty.size > 0)) {
        const ok = yield* this.writeBatch
        if (!ok) return
      }
    })
  }

  private get writeBatch(): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const gone: Array<{ readonly id: string; readonly last: Last }> = []
      const sessions: Array<{ readonly session: LiveSession; readonly snapshot: Snapshot }> = []
      for (const [id, last] of this.lasts) {
        if (gone.length === this.size) break
        gone.push({ id, last })
      }
      for (const session of this.dirty) {
        if (gone.length + sessions.length >= this.size) break
        this.unmark(session)
        this.taken++
        const snapshot = session.isOver ? undefined : this.encode(session)
        if (snapshot === undefined) this.answer(session, false)
        else {
          sessions.push({ session, snapshot })
          // Those who wait now wait for this write; who comes later, for the next one.
          this.underWay.set(session, this.waiters.get(session) ?? [])
          this.waiters.delete(session)
        }
      }
      const saves = [
        ...gone.flatMap(({ last }) => last._tag === "save" ? [last.snapshot] : []),
        ...sessions.map(({ snapshot }) => snapshot)
      ]
      const removes = gone.flatMap(({ id, last }) =>
        last._tag === "remove" ? [{ kind: this.kind, id, epoch: last.epoch }] : []
      )
      let goesOn = false
      const written: Effect.Effect<ReadonlyArray<boolean>, unknown> = Effect.andThen(
        removes.length === 0 ? Effect.void : this.store.remove(removes),
        saves.length === 0 ? Effect.succeed([]) : this.store.save(saves)
      )
      const inTime = Effect.timeoutOrElse(written, {
        duration: writeLimit,
        orElse: () => Effect.fail(tooSlow)
      })
      return Effect.onExit(inTime, (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit)) {
            const error = Option.getOrElse(Exit.findErrorOption(exit), () => exit.cause)
            const isOfKey = error instanceof SnapshotStoreError && error.scope === "key"
            const count = gone.length + sessions.length
            if (isOfKey && count === 1 && removes.length === 0) {
              goesOn = true
              return this.refused(gone[0], sessions[0]?.session, error)
            }
            for (const { session } of sessions) this.again(session)
            // So that one that the store refuses does not hold up the others: fewer at a time, and these come last.
            this.size = Math.max(1, Math.floor(count / 2))
            for (const { id, last } of gone) if (this.lasts.delete(id)) this.lasts.set(id, last)
            // The store is fine: which one it is that it refuses is found out at once.
            if (isOfKey && count > 1) goesOn = true
            else this.failed(error)
            return
          }
          this.size = batchSize
          this.recovered(sessions.map(({ session }) => session))
          for (const { id, last } of gone) {
            if (this.lasts.get(id) === last) this.lasts.delete(id)
            if (last._tag === "save" && last.snapshot.alarmAt !== null) this.hasLeft(last.snapshot.alarmAt)
            this.answer(last.session, true)
            this.answerGone(last.session, true)
            this.settle(id)
          }
          const accepted = exit.value.slice(exit.value.length - sessions.length)
          sessions.forEach(({ session, snapshot }, i) => {
            const waiters = this.underWay.get(session)!
            this.underWay.delete(session)
            const isWritten = accepted[i] === true
            if (isWritten) {
              session.stored!.version = snapshot.version - session.versionsBefore
              session.stored!.expiry = snapshot.expiresAt ?? Infinity
            } else session.fenced()
            for (const resume of waiters) resume(isWritten)
          })
        })).pipe(Effect.as(true), Effect.catchCause(() => Effect.sync(() => goesOn)))
    })
  }

  /**
   * The store does not take what there is of this one, and takes all else. Who waits for it is told; it is written again
   * when it changes, and what was written last stays.
   */
  private refused(
    gone: { readonly id: string; readonly last: Last } | undefined,
    alive: LiveSession | undefined,
    error: SnapshotStoreError
  ): void {
    const session = alive ?? gone!.last.session
    this.size = batchSize
    this.tell(session.id, error, 0)
    this.run(Effect.logError(`session ${this.kind}/${session.id} cannot be saved`, error))
    if (gone !== undefined) {
      if (this.lasts.get(gone.id) === gone.last) this.lasts.delete(gone.id)
      this.answer(session, false)
      this.answerGone(session, false)
      return this.settle(gone.id)
    }
    const waiters = this.underWay.get(session)!
    this.underWay.delete(session)
    for (const resume of waiters) resume(false)
  }

  /** It was not written: it is to be again, and who waited for it goes on waiting. */
  private again(session: LiveSession): void {
    const waiters = this.underWay.get(session)!
    this.underWay.delete(session)
    const later = this.waiters.get(session)
    const all = later === undefined ? waiters : [...waiters, ...later]
    if (all.length > 0) this.waiters.set(session, all)
    if (!session.isOver) this.hurry(session)
    // One that left or was lost meanwhile is written by nobody any more.
    else if (this.lasts.get(session.id)?.session !== session) this.answer(session, false)
  }

  private failed(error: unknown): void {
    this.failures++
    this.tell("", error, pauseAfter(this.failures))
  }

  private recovered(written: ReadonlyArray<LiveSession>): void {
    if (this.failures === 0) return
    const { host, kind } = this
    this.failures = 0
    const count = this.lasts.size + new Set([...this.dirty, ...this.debounced, ...written]).size
    if (host.events.active) host.events.publish({ _tag: "SnapshotRecovery", kind, id: "", at: host.date(), count })
  }

  private encode(session: LiveSession): Snapshot | undefined {
    try {
      return this.codec.encode(session, (part, defect) => this.leftOut(session, part, defect))
    } catch (defect) {
      // Its state does not fit its schema. What was written last stays.
      this.tell(session.id, defect, 0)
      this.run(Effect.logError(`session ${this.kind}/${session.id} cannot be saved`, defect))
      return undefined
    }
  }

  /** Each is told once for a session: it is left out of each snapshot from here on. */
  private leftOut(session: LiveSession, part: string, defect: unknown): void {
    const { stored } = session
    if (stored === undefined || stored.leftOut?.has(part) === true) return
    stored.leftOut = (stored.leftOut ?? new Set()).add(part)
    this.tell(session.id, leftOutOf(this.kind, session.id, part, defect), 0)
  }

  /** Waits until nothing is left to be written for a session that is gone. */
  private settled(id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.lasts.has(id)) return Effect.void
      let deferred = this.settling.get(id)
      if (deferred === undefined) this.settling.set(id, deferred = Deferred.makeUnsafe())
      return Deferred.await(deferred)
    })
  }

  /** `settled` for a caller who cannot wait for long, and is told if it takes longer. */
  settledInTime(id: string): Effect.Effect<void, StoreUnavailable> {
    return this.inTime(this.settled(id), id, "removed")
  }

  /** Writes what was changed, and takes it back when that is not done in time. */
  saveInTime(session: LiveSession, undo: () => void): Effect.Effect<void, StoreUnavailable> {
    return Effect.suspend(() => {
      const saved = Effect.callback<void, StoreUnavailable>((resume) => {
        this.save(session, (written) => resume(written ? Effect.void : this.unwritten(session.id)))
      })
      return Effect.tapError(this.inTime(saved, session.id, "written"), () => Effect.sync(undo))
    })
  }

  private unwritten(id: string): Effect.Effect<never, StoreUnavailable> {
    return Effect.fail(
      StoreUnavailable.of(this.kind, id, "another one took it over, or its state does not fit its schema", {
        scope: "key",
        what: "written"
      })
    )
  }

  /** Do writes keep failing? */
  private get isDown(): boolean {
    return this.failures >= downAfter
  }

  private inTime<A>(
    effect: Effect.Effect<A, StoreUnavailable>,
    id: string,
    what: string
  ): Effect.Effect<A, StoreUnavailable> {
    return Effect.suspend(() =>
      Effect.timeoutOrElse(effect, {
        duration: this.isDown ? 0 : readLimit,
        orElse: () =>
          Effect.fail(StoreUnavailable.of(this.kind, id, "the store does not do it, it is asked again", { what }))
      })
    )
  }

  /** The ids of a user's sessions that are in the store, or on their way there. */
  ofUser(user: string): Effect.Effect<ReadonlyArray<string>, StoreUnavailable> {
    return Effect.map(this.reader.ofUser(user), (ids) => {
      const all = new Set(ids)
      for (const [id, last] of this.lasts) {
        if (last._tag === "save" && last.snapshot.user === user) all.add(id)
        else all.delete(id)
      }
      return Array.from(all)
    })
  }

  private settle(id: string): void {
    const deferred = this.settling.get(id)
    if (deferred === undefined || this.lasts.has(id)) return
    this.settling.delete(id)
    Deferred.doneUnsafe(deferred, Effect.void)
  }

  // -------------------------------------------------------------------------------------------------------
  // upkeep, and the end
  // -------------------------------------------------------------------------------------------------------

  /**
   * Keeps what the store says of when sessions expire behind their activity, which is no change, and lets it forget what
   * has expired, while the Scope lives.
   */
  get tend(): Effect.Effect<void> {
    const interval = Math.min(longestTendInterval, this.options.idleTimeout / 4)
    const tolerance = Math.min(1_000, interval / 4)
    return Effect.forever(
      Effect.andThen(
        Effect.sleep(interval),
        Effect.suspend(() => {
          const { host } = this
          const soon = host.date() + 2 * interval
          if (this.options.save !== "atEnd") {
            for (const session of this.sessions.values()) {
              const { expiry } = session.stored!
              // Dates made of the monotonic clock differ a little from one reading to the next.
              if (expiry < soon && host.dateOf(host.expiry.expiresAt(session)) > expiry + tolerance) {
                this.mark(session, 0)
              }
            }
          }
          return Effect.catchCause(
            this.store.sweep(this.sweepDate.next(host.now(), host.date())),
            (cause) => Effect.sync(() => this.tell("", Cause.squash(cause), interval))
          )
        })
      )
    )
  }

  /** Writes what is left, as long as the grace period lets it, and says what could not be written. */
  get close(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      yield* Effect.timeoutOrElse(this.writeAll, {
        duration: this.host.config.shutdownGrace,
        orElse: () => Effect.void
      })
      this.closed = true
      this.host.deadlines.cancel(this)
      this.writer?.interruptUnsafe()
      const { left } = this
      for (const session of Array.from(this.waiters.keys())) this.answer(session, false)
      for (const session of Array.from(this.goneWaiters.keys())) this.answerGone(session, false)
      for (const [id] of this.settling) {
        this.lasts.delete(id)
        this.settle(id)
      }
      if (left > 0) yield* Effect.logError(`${left} sessions of ${this.kind} could not be saved before the end`)
    })
  }

  private get writeAll(): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      while (this.left > 0) {
        if (this.writer === undefined && this.failures === 0) this.due()
        // While the store fails, it is tried again in its time.
        if (this.writer === undefined) yield* Effect.sleep(Math.max(1, this.dueAt - this.now()))
        else yield* Fiber.await(this.writer)
      }
    })
  }
}
