/**
 * The stored side of a kind: what its sessions and services ask for, and the save policy.
 *
 * Reading is done by `SnapshotLoader`, writing by `SnapshotWriter` out of the `SaveQueue`; `Alarms` wakes the sessions that
 * are in the store only, and `upkeep` sweeps it.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { SavePolicy } from "../../../contract/KindOptions.ts"
import type { Migration } from "../../../contract/Migration.ts"
import type * as Session from "../../../contract/Session.ts"
import { type LoadError, StoreUnavailable } from "../../../contract/SessionError.ts"
import type { SnapshotStore } from "../../../contract/SnapshotStore.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { Alarms } from "./Alarms.ts"
import { SaveQueue, type Waiter } from "./SaveQueue.ts"
import { SnapshotCodec } from "./SnapshotCodec.ts"
import { readLimit, SnapshotLoader } from "./SnapshotLoader.ts"
import { SnapshotWriter } from "./SnapshotWriter.ts"
import { StoreReports } from "./StoreReports.ts"
import { upkeep } from "./upkeep.ts"

export interface PersistenceOptions {
  readonly save: SavePolicy
  readonly debounce: number
  readonly migrations: ReadonlyArray<Migration>
  readonly passivateAfter: number
  /** Of the kind, in milliseconds. */
  readonly idleTimeout: number
}

/** After how many changes a session is saved. */
const changesPerSave = (save: SavePolicy): number => {
  if (typeof save === "object") return "every" in save ? save.every : 1
  return save === "everyChange" ? 1 : Infinity
}

export class Persistence {
  /** Is a reply held back until what it tells is written? */
  readonly isWriteAhead: boolean
  private readonly kind: string
  private readonly savesAtHibernation: boolean
  private readonly debounce: number
  private readonly changesPerSave: number
  private readonly queue = new SaveQueue()
  private readonly writer: SnapshotWriter
  readonly loader: SnapshotLoader
  readonly alarms: Alarms
  /** Looks after what is stored, until it is interrupted. */
  readonly upkeep: Effect.Effect<void>

  constructor(
    definition: Session.Any,
    host: HostContext,
    store: SnapshotStore["Service"],
    run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>,
    activate: (id: string) => Effect.Effect<unknown, LoadError>,
    sessions: ReadonlyMap<string, LiveSession>,
    { debounce, idleTimeout, migrations, save }: PersistenceOptions
  ) {
    const { kind } = definition
    const { queue } = this
    this.kind = kind
    this.isWriteAhead = save === "everyChange"
    this.savesAtHibernation = save !== "atEnd"
    this.debounce = debounce
    this.changesPerSave = changesPerSave(save)
    const codec = new SnapshotCodec(definition, migrations)
    const reports = new StoreReports(kind, host, run)
    this.loader = new SnapshotLoader({ kind, host, store, codec, reports, settled: (id) => queue.settled(id) })
    this.alarms = new Alarms({
      kind,
      store,
      date: () => host.date(),
      now: () => host.now(),
      isAway: (id) => !sessions.has(id) && !queue.hasLast(id) && host.isHere(id),
      activate,
      failed: (error, retryIn) => reports.failed("", error, retryIn)
    })
    this.writer = new SnapshotWriter({
      kind,
      host,
      store,
      codec,
      queue,
      reports,
      run,
      debounce,
      leftWithAlarm: (alarmAt) => this.alarms.note(alarmAt)
    })
    this.upkeep = upkeep({ host, store, sessions, reports, idleTimeout, save: (session) => this.saveSoon(session) })
  }

  // -------------------------------------------------------------------------------------------------------
  // what happens to a session
  // -------------------------------------------------------------------------------------------------------

  /** Its state has changed. */
  changed(session: LiveSession): void {
    const { changesPerSave, debounce } = this
    // The usual case under write-behind: it will be written soon.
    if (session.isDirty && debounce > 0) return
    if (changesPerSave > 1) {
      // After a reset the versions count from 0 again.
      const last = Math.max(0, session.stored!.version)
      if (changesPerSave === Infinity || (session.version - last < changesPerSave && session.version >= last)) return
    }
    if (debounce === 0) return this.saveSoon(session)
    // What happens to a session while it ends is not stored.
    if (session.isOver) return
    this.queue.addLater(session)
    this.writer.writeLater()
  }

  /** It hibernates. */
  hibernated(session: LiveSession): void {
    if (this.savesAtHibernation) this.saveSoon(session)
  }

  /** It has left memory for the store, with this alarm. */
  passivated(alarmAt: number): void {
    this.alarms.note(alarmAt)
  }

  /** It has ended: it is removed from the store; or, if it `stays`, saved for the last time. */
  ended(session: LiveSession, stays: boolean): void {
    const { queue, writer } = this
    queue.drop(session)
    if (stays) {
      const snapshot = writer.encode(session)
      if (snapshot === undefined) return queue.giveUp(session)
      queue.addLast({ _tag: "save", session, snapshot })
    } else queue.addLast({ _tag: "remove", session, epoch: session.claimed })
    writer.write()
  }

  /** This process has nothing to write about it: another one owns it, or all is written. */
  forget(session: LiveSession): void {
    this.queue.drop(session)
    this.queue.giveUp(session)
  }

  // -------------------------------------------------------------------------------------------------------
  // saving on request
  // -------------------------------------------------------------------------------------------------------

  /** Saves it with the next batch, whatever the policy. */
  private saveSoon(session: LiveSession): void {
    if (session.isOver) return
    this.queue.addNow(session)
    this.writer.write()
  }

  /** Saves it with the next batch, and calls back when that is done. */
  save(session: LiveSession, waiter: Waiter): void {
    this.saveSoon(session)
    this.queue.whenWritten(session, waiter)
  }

  /** As `save`; but while the store fails, it calls back with `false` at once. */
  saveIfReady(session: LiveSession, waiter: Waiter): void {
    if (this.writer.isReady) this.save(session, waiter)
    else waiter(false)
  }

  /** Is there something of the session that is not written? */
  pends(session: LiveSession): boolean {
    return this.queue.pends(session)
  }

  /** Calls back when the session's present state, which is to be written already, is in the store. */
  whenSaved(session: LiveSession, waiter: Waiter): void {
    this.queue.whenSaved(session, waiter)
  }

  /** Calls back when the store has recorded the end of the session, which is ending. */
  whenGone(session: LiveSession, waiter: Waiter): void {
    this.queue.whenGone(session, waiter)
  }

  /** Saves a change, and takes it back when it is not written in time. */
  saveInTime(session: LiveSession, undo: () => void): Effect.Effect<void, StoreUnavailable> {
    return Effect.suspend(() => {
      const saved = Effect.callback<void, StoreUnavailable>((resume) => {
        this.save(session, (written) => resume(written ? Effect.void : this.unwritten(session.id)))
      })
      return Effect.tapError(this.inTime(saved, session.id, "written"), () => Effect.sync(undo))
    })
  }

  /** As `settled`, within the time limit of a caller. */
  settledInTime(id: string): Effect.Effect<void, StoreUnavailable> {
    return this.inTime(this.settled(id), id, "removed")
  }

  /** Waits until the last operation for a session that has left memory is done. */
  settled(id: string): Effect.Effect<void> {
    return this.queue.settled(id)
  }

  /** The store may work again, or has sessions that are this process's now: nothing waits for the end of its pause. */
  retryNow(): void {
    this.writer.retryNow()
    this.loader.retryNow()
    this.alarms.note(0)
  }

  private unwritten(id: string): Effect.Effect<never, StoreUnavailable> {
    return Effect.fail(
      StoreUnavailable.of(this.kind, id, "another process took it over, or its state does not fit its schema", {
        scope: "key",
        what: "written"
      })
    )
  }

  /** Fails when it takes too long: at once, while writes keep failing. */
  private inTime<A>(
    effect: Effect.Effect<A, StoreUnavailable>,
    id: string,
    what: string
  ): Effect.Effect<A, StoreUnavailable> {
    return Effect.suspend(() =>
      Effect.timeoutOrElse(effect, {
        duration: this.writer.isDown ? 0 : readLimit,
        orElse: () =>
          Effect.fail(StoreUnavailable.of(this.kind, id, "the store did not write it yet, it is retried", { what }))
      })
    )
  }

  // -------------------------------------------------------------------------------------------------------
  // what is stored
  // -------------------------------------------------------------------------------------------------------

  /** The ids of a user's sessions that are in the store, or about to be written there. */
  ofUser(user: string): Effect.Effect<ReadonlyArray<string>, StoreUnavailable> {
    return Effect.map(this.loader.ofUser(user), (ids) => {
      const all = new Set(ids)
      for (const last of this.queue.lasts) {
        if (last._tag === "save" && last.snapshot.user === user) all.add(last.session.id)
        else all.delete(last.session.id)
      }
      return Array.from(all)
    })
  }

  /** Writes what is left, within the grace period of the shutdown. */
  get close(): Effect.Effect<void> {
    return this.writer.close
  }
}
