/**
 * What this process does in one topic: its trackings there, and the readers that follow it.
 *
 * While there is a tracking or a reader, the hold keeps the topic's session in use: it watches the session, renews the
 * lease, starts the session again when it ended, and sends all trackings again when the session lost them. One fiber does
 * all repairs and runs while there is something to repair. A change of one tracking is sent straight to the session; when
 * the session does not take it, the repair fiber sends all trackings.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import type { SessionKind } from "../../../contract/Session.ts"
import {
  type CallError,
  NodeLost,
  SessionEnded,
  SessionNotFound,
  SessionsClosed
} from "../../../contract/SessionError.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import { backoff } from "../../../internal/backoff.ts"
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
  /** How often the lease is renewed, in milliseconds. */
  readonly interval: number
  readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** Each is greater than all before. */
  readonly nextRevision: () => number
}

/** A tracking of this process, with its present values. */
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

/** The watched session of the topic. */
interface Link {
  readonly ref: Ref
  readonly scope: Scope.Closeable
  state: State<unknown>
  epoch: number
  version: number
  isOver: boolean
}

type Failure = TopicError | SessionNotFound

type Waiter = (exit: Exit.Exit<Ref, Failure>) => void

/** The first pause between attempts, in milliseconds. */
const firstPause = 50

/** How long a topic on another node may take to accept that this process shuts down, in milliseconds. */
const farewell = 1_000

export class PresenceHold {
  readonly topic: string
  private readonly trackings = new Set<OwnTracking>()
  private readonly tracker: Tracker
  private readonly readers = new Set<PresenceReader>()
  private readonly waiters = new Set<Waiter>()
  private digest = 0
  private link: Link | undefined
  /** The last state that was seen. */
  private state: State<unknown> = emptyState
  /** May the topic know other trackings than this process has? */
  private differs = false
  /** Do the readers have the state, and get its changes? */
  private isCurrent = false
  /** How many repairs were attempted since the topic last confirmed its trackings. */
  private attempts = 0
  private isTending = false
  private readonly bell = Latch.makeUnsafe(false)

  constructor(tracker: Tracker, topic: string) {
    this.tracker = tracker
    this.topic = topic
  }

  /** Must the topic's session be kept in use? */
  get isNeeded(): boolean {
    return this.trackings.size > 0 || this.readers.size > 0 || this.waiters.size > 0 ||
      (this.link !== undefined && this.differs)
  }

  // -------------------------------------------------------------------------------------------------------
  // trackings
  // -------------------------------------------------------------------------------------------------------

  /** Adds a tracking. `track` sends it to the topic, or a repair does with all others. */
  add(tracking: OwnTracking): void {
    this.trackings.add(tracking)
    this.digest = (this.digest + mix(tracking.revision)) | 0
  }

  /**
   * Sends a new tracking to the topic and waits until the topic has it. Tries again when the session ends meanwhile, or its
   * node does not answer: twice does no harm.
   */
  track(tracking: OwnTracking, tries = 3): Effect.Effect<void, TopicError | CallError> {
    const sent = Effect.flatMap(this.reach, (ref) =>
      Effect.tapError(
        ref.call("Track", { owner: this.tracker.id, tracking: messageOf(tracking) }),
        (error) => isGone(error) ? Effect.sync(() => this.lost(ref)) : Effect.void
      ))
    return Effect.catchIf(
      Effect.map(sent, (since) => {
        tracking.since = since
      }),
      isRepeatable,
      (error) => tries > 1 ? this.track(tracking, tries - 1) : Effect.fail(error)
    )
  }

  update(tracking: OwnTracking, meta: unknown): void {
    const revision = this.tracker.nextRevision()
    if (!this.trackings.has(tracking)) return
    this.digest = (this.digest - mix(tracking.revision) + mix(revision)) | 0
    tracking.meta = meta
    tracking.revision = revision
    this.send("Track", { owner: this.tracker.id, tracking: messageOf(tracking) })
  }

  untrack(tracking: OwnTracking, grace: boolean): void {
    const { id, revision } = tracking
    if (!this.trackings.delete(tracking)) return
    this.digest = (this.digest - mix(revision)) | 0
    this.send("Untrack", { owner: this.tracker.id, id, grace })
  }

  /** Sends without waiting. When the session does not take it, a repair sends all trackings. */
  private send(...[tag, payload]: ["Track" | "Untrack", any]): void {
    const { link, topic, tracker: { kind, run } } = this
    if (link === undefined || link.ref.castUnsafe(tag, payload)) return
    if (kind.findUnsafe(topic) !== undefined) return this.refused()
    // It is on another node, or gone. What overtakes on the way is noticed when the lease is renewed.
    run(Effect.catch(link.ref.cast(tag, payload), () => Effect.sync(() => this.refused())))
  }

  private refused(): void {
    this.differs = true
    this.tend()
  }

  // -------------------------------------------------------------------------------------------------------
  // readers
  // -------------------------------------------------------------------------------------------------------

  addReader(reader: PresenceReader): void {
    this.readers.add(reader)
    if (this.isCurrent) reader.sendList()
  }

  removeReader(reader: PresenceReader): void {
    this.readers.delete(reader)
  }

  /** What a reader makes a list of. */
  readonly view = () => ({ state: this.state, isCurrent: this.isCurrent })

  /** Readers get no changes until the next list. */
  private holdReaders(): void {
    this.isCurrent = false
    for (const reader of this.readers) reader.hold()
  }

  private sendLists(): void {
    if (this.isCurrent || this.link === undefined) return
    this.isCurrent = true
    for (const reader of this.readers) reader.sendList()
  }

  // -------------------------------------------------------------------------------------------------------
  // the session
  // -------------------------------------------------------------------------------------------------------

  /** The session of the topic, once it is watched. Fails when it cannot be reached now. */
  readonly reach: Effect.Effect<Ref, Failure> = Effect.suspend(() =>
    this.link !== undefined ? Effect.succeed(this.link.ref) : Effect.callback<Ref, Failure>((resume) => {
      this.waiters.add(resume)
      this.bell.openUnsafe()
      this.tend()
      return Effect.sync(() => this.waiters.delete(resume))
    })
  )

  private settleWaiters(exit: Exit.Exit<Ref, Failure>): void {
    const waiters = Array.from(this.waiters)
    this.waiters.clear()
    for (const waiter of waiters) waiter(exit)
  }

  private readonly connect: Effect.Effect<void, Failure> = Effect.gen({ self: this }, function*() {
    const ref: Ref = yield* this.tracker.kind.start(this.topic) as Effect.Effect<Ref, TopicError>
    const scope = Scope.makeUnsafe()
    const link: Link = { ref, scope, state: emptyState, epoch: -1, version: -1, isOver: false }
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
    // A change that came since is newer.
    if (link.epoch === -1) {
      link.epoch = seen.epoch
      link.version = seen.version
      link.state = seen.state
    }
    this.link = link
    this.state = link.state
    this.differs = this.trackings.size > 0
    this.settleWaiters(Exit.succeed(ref))
  })

  private changed(link: Link, state: State<unknown>, version: number, epoch: number): void {
    // A session that has crashed counts its versions anew.
    const isNew = link.epoch !== -1 && (version <= link.version || epoch !== link.epoch)
    link.state = state
    link.epoch = epoch
    link.version = version
    if (this.link !== link) return
    this.state = state
    if (isNew) {
      this.holdReaders()
      this.differs = this.trackings.size > 0
      this.tend()
    } else if (this.isCurrent) {
      // From another node a whole state, which has none, replaces changes that are too many.
      for (const reader of this.readers) {
        if (state.changes.length === 0) reader.sendList()
        else reader.send(state.changes)
      }
    }
  }

  private ended(link: Link, isShutdown: boolean): void {
    link.isOver = true
    if (this.link !== link) return
    this.unlink()
    if (isShutdown) this.close()
    else this.tend()
  }

  /** The session has ended. */
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

  /** Ends the readers and waiters, because the server shuts down. */
  close(): void {
    for (const reader of this.readers) reader.end()
    this.readers.clear()
    this.settleWaiters(Exit.fail(SessionsClosed.of()))
  }

  // -------------------------------------------------------------------------------------------------------
  // repairing
  // -------------------------------------------------------------------------------------------------------

  private get isWell(): boolean {
    return this.link !== undefined && !this.differs && this.isCurrent
  }

  /** Starts the repair fiber, if there is something to repair. */
  private tend(): void {
    if (this.isTending || this.isWell || !this.isNeeded) return
    this.isTending = true
    // Not on the stack of the session that called back.
    this.tracker.run(Effect.andThen(Effect.yieldNow, this.repair))
  }

  private readonly repair: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    let isClosed = false
    while (!isClosed && !this.isWell && this.isNeeded) {
      yield* this.pause
      const exit = yield* Effect.exit(this.attempt)
      // After a failure, readers get the last state that was seen.
      this.sendLists()
      if (Exit.isSuccess(exit)) continue
      const { cause } = exit
      this.settleWaiters(Exit.failCause(cause) as Exit.Exit<never, Failure>)
      isClosed = cause.reasons.some((reason) => reason._tag === "Fail" && reason.error instanceof SessionsClosed)
    }
    // Without a yield before it: what happens from here on starts the next repair.
    this.isTending = false
    if (isClosed) this.close()
  })

  /** No pause before the first two attempts, growing pauses after that. A waiter ends the pause. */
  private readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    const { attempts, bell, tracker: { interval } } = this
    this.attempts++
    if (attempts < 2 || this.waiters.size > 0) return Effect.void
    bell.closeUnsafe()
    return Effect.raceFirst(
      Effect.sleep(backoff(attempts - 1, firstPause, interval)),
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
    // In the order of their revisions, so that the newest of one device counts.
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

  /** Renews the lease of this process. */
  readonly renew: Effect.Effect<void> = Effect.suspend(() => {
    const { digest, link, tracker: { id: owner, interval }, trackings: { size: count } } = this
    if (link === undefined || !this.isWell) return Effect.sync(() => this.tend())
    return Effect.match(link.ref.call("Renew", { owner, count, digest }, { timeout: interval }), {
      onFailure: (error) => {
        if (isGone(error)) this.lost(link.ref)
      },
      onSuccess: (agrees) => {
        if (agrees) {
          this.attempts = 0
          return
        }
        this.differs = true
        this.tend()
      }
    })
  })

  /** Lets go of the topic, which nobody here needs any more. */
  get drop(): Effect.Effect<void> {
    const { link } = this
    if (link === undefined) return Effect.void
    this.unlink()
    return Scope.close(link.scope, Exit.void)
  }

  /** Removes all trackings of this process, which shuts down; with the grace, for clients that come back elsewhere. */
  get release(): Effect.Effect<void> {
    const { link, topic, tracker: { id: owner, kind }, trackings: { size } } = this
    const none = { owner, trackings: [], grace: true }
    const isTold = size === 0 || link === undefined || link.ref.castUnsafe("Sync", none) ||
      kind.findUnsafe(topic) !== undefined
    this.trackings.clear()
    this.digest = 0
    this.close()
    if (isTold) return this.drop
    return Effect.andThen(Effect.ignore(Effect.timeoutOption(link.ref.cast("Sync", none), farewell)), this.drop)
  }
}

const isRepeatable = (error: unknown): error is SessionNotFound | SessionEnded | NodeLost =>
  isGone(error) || error instanceof NodeLost

const isGone = (error: unknown): error is SessionNotFound | SessionEnded =>
  error instanceof SessionNotFound || error instanceof SessionEnded
