/**
 * What is still to be written to the store: the sessions of a kind that are to be saved, the last operation for each session that
 * has left memory, and those who wait for either.
 *
 * A session in memory is only noted here. Its snapshot is made when it is written, so a session that changes often while the
 * store is slow is written once, with its latest state.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Snapshot } from "../../../contract/SnapshotStore.ts"
import type { LiveSession } from "../session/LiveSession.ts"

/** Called once, with whether the session was written. */
export type Waiter = (written: boolean) => void

/** The last operation for a session that is not in memory any more. */
export type Last =
  | { readonly _tag: "save"; readonly session: LiveSession; readonly snapshot: Snapshot }
  | { readonly _tag: "remove"; readonly session: LiveSession; readonly epoch: number }

/** What is written at a time. */
export interface Batch {
  readonly gone: ReadonlyArray<Last>
  readonly live: ReadonlyArray<{ readonly session: LiveSession; readonly snapshot: Snapshot }>
}

type Waiters = Map<LiveSession, Array<Waiter>>

const wait = (waiters: Waiters, session: LiveSession, waiter: Waiter): void => {
  const all = waiters.get(session)
  if (all === undefined) waiters.set(session, [waiter])
  else all.push(waiter)
}

const answer = (waiters: Waiters, session: LiveSession, written: boolean): void => {
  const all = waiters.get(session)
  if (all === undefined) return
  waiters.delete(session)
  for (const waiter of all) waiter(written)
}

export class SaveQueue {
  /** To be written now, and when the debounce is over. */
  private now = new Set<LiveSession>()
  private later = new Set<LiveSession>()
  /** The last operations, by the ids of their sessions. */
  private readonly gone = new Map<string, Last>()
  /** The number of sessions that were ever taken out of `now`. */
  private taken = 0
  /** They wait for the next write of a session, for the write under way, and for its last operation. */
  private readonly waiters: Waiters = new Map()
  private readonly underWay: Waiters = new Map()
  private readonly goneWaiters: Waiters = new Map()
  /** They wait until there is no last operation left for an id. */
  private readonly settling = new Map<string, Deferred.Deferred<void>>()

  // -------------------------------------------------------------------------------------------------------
  // what is to be written
  // -------------------------------------------------------------------------------------------------------

  /** The number of writes to be made. */
  get size(): number {
    return this.gone.size + this.now.size + this.later.size
  }

  /** Is there anything that does not wait for the debounce? */
  get isDue(): boolean {
    return this.gone.size + this.now.size > 0
  }

  get hasLater(): boolean {
    return this.later.size > 0
  }

  addLater(session: LiveSession): void {
    session.isDirty = true
    this.later.add(session)
  }

  addNow(session: LiveSession): void {
    session.isDirty = true
    this.later.delete(session)
    this.now.add(session)
  }

  drop(session: LiveSession): void {
    session.isDirty = false
    this.now.delete(session)
    this.later.delete(session)
  }

  /** The session has left memory: this is to be done last. */
  addLast(last: Last): void {
    this.gone.set(last.session.id, last)
  }

  /** Is there a last operation to be done for this id? */
  hasLast(id: string): boolean {
    return this.gone.has(id)
  }

  /** The last operations that are to be done. */
  get lasts(): Iterable<Last> {
    return this.gone.values()
  }

  /** The debounce is over. */
  flushLater(): void {
    if (this.now.size === 0) {
      const { now } = this
      this.now = this.later
      this.later = now
    } else {
      for (const session of this.later) this.now.add(session)
      this.later.clear()
    }
  }

  /** The position behind all that is to be written now. */
  get end(): number {
    return this.taken + this.now.size
  }

  /** Is there a last operation, or a session before this position, to be written? */
  hasBefore(end: number): boolean {
    return this.gone.size > 0 || (this.taken < end && this.now.size > 0)
  }

  /** The number of sessions that are to be written, including `others`. */
  count(others: Iterable<LiveSession>): number {
    return this.gone.size + new Set([...this.now, ...this.later, ...others]).size
  }

  // -------------------------------------------------------------------------------------------------------
  // waiting callers
  // -------------------------------------------------------------------------------------------------------

  /** Is there something of the session that is not written? */
  pends(session: LiveSession): boolean {
    return session.isDirty || this.underWay.has(session)
  }

  /** Notified by the next write of the session, which has its present state. */
  whenWritten(session: LiveSession, waiter: Waiter): void {
    wait(this.waiters, session, waiter)
  }

  /** Notified when the session's present state is written: by the write under way, if that has it. */
  whenSaved(session: LiveSession, waiter: Waiter): void {
    const underWay = session.isDirty ? undefined : this.underWay.get(session)
    if (underWay === undefined) this.whenWritten(session, waiter)
    else underWay.push(waiter)
  }

  /** Notified when the last operation for the session, which ends, is done. */
  whenGone(session: LiveSession, waiter: Waiter): void {
    wait(this.goneWaiters, session, waiter)
  }

  /** Waits until there is no last operation left for this id. */
  settled(id: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.gone.has(id)) return Effect.void
      let deferred = this.settling.get(id)
      if (deferred === undefined) this.settling.set(id, deferred = Deferred.makeUnsafe())
      return Deferred.await(deferred)
    })
  }

  private settle(id: string): void {
    const deferred = this.settling.get(id)
    if (deferred === undefined || this.gone.has(id)) return
    this.settling.delete(id)
    Deferred.doneUnsafe(deferred, Effect.void)
  }

  /** Nothing of the session will be written. */
  giveUp(session: LiveSession): void {
    answer(this.waiters, session, false)
    answer(this.goneWaiters, session, false)
    // Whether the write under way succeeds, they cannot know.
    for (const waiter of this.underWay.get(session)?.splice(0) ?? []) waiter(false)
  }

  /** Nothing at all will be written any more. */
  close(): void {
    for (const waiters of [this.waiters, this.goneWaiters]) {
      for (const session of Array.from(waiters.keys())) answer(waiters, session, false)
    }
    for (const id of Array.from(this.settling.keys())) {
      this.gone.delete(id)
      this.settle(id)
    }
  }

  // -------------------------------------------------------------------------------------------------------
  // a batch, from when it is taken until its outcome is known
  // -------------------------------------------------------------------------------------------------------

  /** Takes at most `limit` writes. A session without a snapshot, because it has ended or cannot be encoded, is left out. */
  take(limit: number, encode: (session: LiveSession) => Snapshot | undefined): Batch {
    const gone: Array<Last> = []
    const live: Array<{ readonly session: LiveSession; readonly snapshot: Snapshot }> = []
    for (const last of this.gone.values()) {
      if (gone.length === limit) break
      gone.push(last)
    }
    for (const session of this.now) {
      if (gone.length + live.length >= limit) break
      this.drop(session)
      this.taken++
      const snapshot = session.isOver ? undefined : encode(session)
      if (snapshot === undefined) answer(this.waiters, session, false)
      else {
        live.push({ session, snapshot })
        // Callers that already wait get the result of this write; later callers wait for the next one.
        this.underWay.set(session, this.waiters.get(session) ?? [])
        this.waiters.delete(session)
      }
    }
    return { gone, live }
  }

  /** The last operation was done; or, not `written`, the store refuses it for good. */
  lastDone(last: Last, written: boolean): void {
    const { session } = last
    if (this.gone.get(session.id) === last) this.gone.delete(session.id)
    answer(this.waiters, session, written)
    answer(this.goneWaiters, session, written)
    this.settle(session.id)
  }

  /** Puts last operations that failed behind the others. */
  lastsFailed(lasts: ReadonlyArray<Last>): void {
    for (const last of lasts) {
      const { id } = last.session
      if (this.gone.get(id) !== last) continue
      this.gone.delete(id)
      this.gone.set(id, last)
    }
  }

  /** The write of the session is over, and not repeated: the caller notifies those who waited for it. */
  endSave(session: LiveSession): ReadonlyArray<Waiter> {
    const waiters = this.underWay.get(session)!
    this.underWay.delete(session)
    return waiters
  }

  /** The write of the session failed: it is to be repeated, and those who waited for it go on waiting. */
  saveFailed(session: LiveSession): void {
    const waiters = this.endSave(session)
    const later = this.waiters.get(session)
    const all = later === undefined ? [...waiters] : [...waiters, ...later]
    if (all.length > 0) this.waiters.set(session, all)
    if (!session.isOver) this.addNow(session)
    // A session that has meanwhile left without a last operation is not written any more.
    else if (this.gone.get(session.id)?.session !== session) answer(this.waiters, session, false)
  }
}
