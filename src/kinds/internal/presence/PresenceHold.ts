/**
 * What this process has to do with one topic: those whom it tracks there, and those who follow it.
 *
 * While there is either, it holds on to the topic's session: it watches it, says that it is there, starts it again when it
 * ended, and tells it all trackings when it lost them. All of that is done by one fiber, which runs while there is
 * something to repair. Changes of single trackings go straight to the session; one that does not get there is repaired
 * too.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type { SessionKind } from "../../../contract/Session.ts"
import { type CallError, SessionEnded, SessionNotFound, SessionsClosed } from "../../../contract/SessionError.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import type { Protocol, State, TopicError, Tracking } from "../../Presence.ts"
import { mix } from "./digest.ts"
import { emptyState } from "./PresenceDraft.ts"
import type { PresenceReader } from "./PresenceReader.ts"

type Ref = SessionRef<State<unknown>, Protocol>

export type TopicKind = SessionKind<State<unknown>, Protocol, void, never>

/** What all holds of a tracker share. */
export interface Tracker {
  readonly id: string
  readonly kind: TopicKind
  /** How often it says that it is there, in milliseconds. */
  readonly interval: number
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Greater than all before. */
  readonly nextRevision: () => number
}

/** A tracking of this process, as it is now. */
export interface OwnTracking extends Omit<Tracking, "meta" | "revision" | "since"> {
  meta: unknown
  revision: number
  since: number | null
}

const messageOf = ({ device, id, key, meta, revision, since }: OwnTracking): Tracking => ({
  id,
  key,
  device,
  meta,
  revision,
  since
})

/** The session of the topic, as it is watched. */
interface Link {
  readonly ref: Ref
  readonly scope: Scope.Closeable
  state: State<unknown>
  epoch: number
  isOver: boolean
}

type Failure = TopicError | SessionNotFound

type Waiter = (exit: Exit.Exit<Ref, Failure>) => void

/** The first pause before trying again, in milliseconds. */
const firstPause = 50

export class PresenceHold {
  readonly topic: string
  private readonly trackings = new Set<OwnTracking>()
  private readonly tracker: Tracker
  private readonly readers = new Set<PresenceReader>()
  private readonly waiters = new Set<Waiter>()
  private digest = 0
  private link: Link | undefined
  /** What was known last. */
  private state: State<unknown> = emptyState
  /** May the topic not know all trackings, or know too many? */
  private differs = false
  /** Do the readers know the state, and are told what changes it? */
  private isCurrent = false
  /** How often the topic was reached since it answered that all is well. */
  private attempts = 0
  private isTending = false
  private readonly bell = Latch.makeUnsafe(false)

  constructor(tracker: Tracker, topic: string) {
    this.tracker = tracker
    this.topic = topic
  }

  /** Is there a reason to hold on to the topic? */
  get isNeeded(): boolean {
    return this.trackings.size > 0 || this.readers.size > 0 || this.waiters.size > 0 ||
      (this.link !== undefined && this.differs)
  }

  // -------------------------------------------------------------------------------------------------------
  // trackings
  // -------------------------------------------------------------------------------------------------------

  /** Notes a tracking, which the topic is told of by `track`, or together with all others. */
  add(tracking: OwnTracking): void {
    this.trackings.add(tracking)
    this.digest = (this.digest + mix(tracking.revision)) | 0
  }

  /** Tells the topic of a new tracking; returns when it has it. A session that ends meanwhile has a successor. */
  track(tracking: OwnTracking, tries = 3): Effect.Effect<void, TopicError | CallError> {
    const told = Effect.flatMap(this.reach, (ref) =>
      Effect.tapError(
        ref.call("Track", { owner: this.tracker.id, tracking: messageOf(tracking) }),
        (error) => isGone(error) ? Effect.sync(() => this.lost(ref)) : Effect.void
      ))
    return Effect.catchIf(
      Effect.map(told, (since) => {
        tracking.since = since
      }),
      isGone,
      (error) => tries > 1 ? this.track(tracking, tries - 1) : Effect.fail(error)
    )
  }

  update(tracking: OwnTracking, meta: unknown): void {
    const revision = this.tracker.nextRevision()
    if (!this.trackings.has(tracking)) return
    this.digest = (this.digest - mix(tracking.revision) + mix(revision)) | 0
    tracking.meta = meta
    tracking.revision = revision
    this.tell("Track", { owner: this.tracker.id, tracking: messageOf(tracking) })
  }

  untrack(tracking: OwnTracking, grace: boolean): void {
    const { id, revision } = tracking
    if (!this.trackings.delete(tracking)) return
    this.digest = (this.digest - mix(revision)) | 0
    this.tell("Untrack", { owner: this.tracker.id, id, grace })
  }

  /** Tells the topic without waiting. What it does not take, it is told with all the rest. */
  private tell(...[tag, payload]: ["Track" | "Untrack", any]): void {
    if (this.link === undefined || this.link.ref.castUnsafe(tag, payload)) return
    this.differs = true
    this.tend()
  }

  // -------------------------------------------------------------------------------------------------------
  // readers
  // -------------------------------------------------------------------------------------------------------

  addReader(reader: PresenceReader): void {
    this.readers.add(reader)
    if (this.isCurrent) reader.tellAll()
  }

  removeReader(reader: PresenceReader): void {
    this.readers.delete(reader)
  }

  /** What a list is made of. */
  readonly view = () => ({ state: this.state, isCurrent: this.isCurrent })

  /** The readers know nothing of what changes until they are told all. */
  private holdReaders(): void {
    this.isCurrent = false
    for (const reader of this.readers) reader.hold()
  }

  private tellReaders(): void {
    if (this.isCurrent || this.link === undefined) return
    this.isCurrent = true
    for (const reader of this.readers) reader.tellAll()
  }

  // -------------------------------------------------------------------------------------------------------
  // the session
  // -------------------------------------------------------------------------------------------------------

  /** The session of the topic, as soon as it is watched. Fails when it cannot be reached now. */
  readonly reach: Effect.Effect<Ref, Failure> = Effect.suspend(() =>
    this.link !== undefined ? Effect.succeed(this.link.ref) : Effect.callback<Ref, Failure>((resume) => {
      this.waiters.add(resume)
      this.bell.openUnsafe()
      this.tend()
      return Effect.sync(() => this.waiters.delete(resume))
    })
  )

  private tellWaiters(exit: Exit.Exit<Ref, Failure>): void {
    const waiters = Array.from(this.waiters)
    this.waiters.clear()
    for (const waiter of waiters) waiter(exit)
  }

  private readonly connect: Effect.Effect<void, Failure> = Effect.gen({ self: this }, function*() {
    const ref: Ref = yield* this.tracker.kind.start(this.topic) as Effect.Effect<Ref, TopicError>
    const scope = Scope.makeUnsafe()
    const link: Link = { ref, scope, state: emptyState, epoch: -1, isOver: false }
    const seen = yield* Effect.onError(
      Scope.provide(
        ref.watch({
          changed: (state, version, epoch) => this.changed(link, state, version, epoch),
          ended: (reason) => this.ended(link, reason._tag === "Shutdown")
        }),
        scope
      ),
      () => Scope.close(scope, Exit.void)
    )
    if (link.isOver) return yield* SessionNotFound.of(ref.kind, ref.id)
    // What was told since is newer.
    if (link.epoch === -1) {
      link.epoch = seen.epoch
      link.state = seen.state
    }
    this.link = link
    this.state = link.state
    this.differs = this.trackings.size > 0
    this.tellWaiters(Exit.succeed(ref))
  })

  private changed(link: Link, state: State<unknown>, version: number, epoch: number): void {
    const isNew = link.epoch !== -1 && (version === 0 || epoch !== link.epoch)
    link.state = state
    link.epoch = epoch
    if (this.link !== link) return
    this.state = state
    if (isNew) {
      this.holdReaders()
      this.differs = this.trackings.size > 0
      this.tend()
    } else if (this.isCurrent) {
      for (const reader of this.readers) reader.tell(state.changes)
    }
  }

  private ended(link: Link, isShutdown: boolean): void {
    link.isOver = true
    if (this.link !== link) return
    this.unlink()
    if (isShutdown) this.close()
    else this.tend()
  }

  /** The session does not answer any more. */
  private lost(ref: Ref): void {
    if (this.link?.ref !== ref) return
    this.tracker.run(Scope.close(this.link.scope, Exit.void))
    this.unlink()
    this.tend()
  }

  private unlink(): void {
    this.link = undefined
    this.holdReaders()
  }

  /** The server goes: nobody is told any more. Those that are tracked may be told to one that comes. */
  close(): void {
    for (const reader of this.readers) reader.end()
    this.readers.clear()
    this.tellWaiters(Exit.fail(SessionsClosed.of()))
  }

  // -------------------------------------------------------------------------------------------------------
  // repairing
  // -------------------------------------------------------------------------------------------------------

  private get isWell(): boolean {
    return this.link !== undefined && !this.differs && this.isCurrent
  }

  /** Has the fiber run that repairs what there is to repair. */
  private tend(): void {
    if (this.isTending || this.isWell || !this.isNeeded) return
    this.isTending = true
    // Not in the stack of the session that told of it.
    this.tracker.run(Effect.andThen(Effect.yieldNow, this.repair))
  }

  private readonly repair: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    let isClosed = false
    while (!isClosed && !this.isWell && this.isNeeded) {
      yield* this.pause
      const exit = yield* Effect.exit(this.attempt)
      // With failures it goes on as far as it gets: the readers have what there is.
      this.tellReaders()
      if (Exit.isSuccess(exit)) continue
      const { cause } = exit
      this.tellWaiters(Exit.failCause(cause) as Exit.Exit<never, Failure>)
      isClosed = cause.reasons.some((reason) => reason._tag === "Fail" && reason.error instanceof SessionsClosed)
    }
    // At once, so that what happens from here on is taken care of.
    this.isTending = false
    if (isClosed) this.close()
  })

  /** The first tries are made at once, those that follow after pauses that grow; somebody who waits is not kept waiting. */
  private readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    const { attempts, bell, tracker: { interval } } = this
    this.attempts++
    if (attempts < 2 || this.waiters.size > 0) return Effect.void
    bell.closeUnsafe()
    return Effect.raceFirst(
      Effect.sleep(Math.min(interval, firstPause * 2 ** Math.min(attempts - 2, 20))),
      bell.await
    )
  })

  private readonly attempt: Effect.Effect<void, Failure | CallError> = Effect.suspend(() =>
    Effect.andThen(
      this.link === undefined ? this.connect : Effect.void,
      Effect.suspend(() => this.differs ? this.sync : Effect.void)
    )
  )

  private readonly sync: Effect.Effect<void, CallError> = Effect.suspend(() => {
    const { link, tracker: { id: owner, interval } } = this
    if (link === undefined) return Effect.void
    this.differs = false
    // As they were made or changed, so that the newest of one device counts.
    const trackings = Array.from(this.trackings, messageOf).sort((a, b) => a.revision - b.revision)
    return Effect.mapError(
      link.ref.call("Sync", { owner, trackings, grace: false }, { timeout: interval }),
      (error) => {
        this.differs = true
        if (isGone(error)) this.lost(link.ref)
        return error
      }
    )
  })

  /** Says that this process is there. */
  readonly renew: Effect.Effect<void> = Effect.suspend(() => {
    const { digest, link, tracker: { id: owner, interval }, trackings: { size: count } } = this
    if (link === undefined || !this.isWell) return Effect.sync(() => this.tend())
    return Effect.match(link.ref.call("Renew", { owner, count, digest }, { timeout: interval }), {
      onFailure: (error) => {
        if (isGone(error)) this.lost(link.ref)
      },
      onSuccess: (knows) => {
        if (knows) {
          this.attempts = 0
          return
        }
        this.differs = true
        this.tend()
      }
    })
  })

  /** Nobody needs the topic any more. */
  get drop(): Effect.Effect<void> {
    const { link } = this
    if (link === undefined) return Effect.void
    this.unlink()
    return Scope.close(link.scope, Exit.void)
  }

  /** The tracker goes, and with it what it tracked here: after the grace, for those who come back elsewhere. */
  get release(): Effect.Effect<void> {
    if (this.trackings.size > 0) {
      this.link?.ref.castUnsafe("Sync", { owner: this.tracker.id, trackings: [], grace: true })
    }
    this.trackings.clear()
    this.digest = 0
    this.close()
    return this.drop
  }
}

const isGone = (error: unknown): error is SessionNotFound | SessionEnded =>
  error instanceof SessionNotFound || error instanceof SessionEnded
