/**
 * A live session: what it consists of, and what its parts can ask of it.
 *
 * The parts (the start, crashes, the end, hibernation, timers, watchers, connections, snapshots) are files of their own; each
 * takes the session, or the few members that it needs. `FiberSession` runs it.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import * as EndReason from "../../../contract/EndReason.ts"
import type { Self, Timer } from "../../../contract/Session.ts"
import { type InvalidMetadata, SessionNotFound } from "../../../contract/SessionError.ts"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import type { Identity, SessionInfo, Watcher } from "../../../contract/SessionRef.ts"
import type { HostContext, HostedSession } from "../host/HostContext.ts"
import type { Kind } from "../host/Kind.ts"
import type { Place } from "../host/Placement.ts"
import type { Envelope } from "../messages/Envelope.ts"
import { ReplyCache } from "../messages/ReplyCache.ts"
import type { Wakeable } from "../messages/WakeUps.ts"
import type { HibernatingSession, IdleCheck } from "../time/Hibernation.ts"
import { noTimer, SelfTimers, type Setting } from "../time/SelfTimers.ts"
import { nowhere } from "../time/TimingWheel.ts"
import { emit } from "./events.ts"
import { changed, reverted } from "./identity.ts"
import { SessionConnections } from "./SessionConnections.ts"
import { noMetadata, SessionExtras } from "./SessionExtras.ts"
import { ended, ending, starting, type Status } from "./status.ts"
import { StoredFacts } from "./StoredFacts.ts"
import { Watchers } from "./Watchers.ts"

const finite = (time: number): number | undefined => time === Infinity ? undefined : time

/** What a store says of a session that is loaded. */
interface Origin {
  readonly epoch: number
  readonly stored: { readonly startedAt: number; readonly age: number; readonly idle: number } | undefined
}

export abstract class LiveSession implements HostedSession, HibernatingSession, Wakeable {
  // Expiry.Entry
  wheelTick = nowhere
  wheelIndex = 0
  lastActiveAt: number
  // Wakeable
  listed = false

  readonly kind: Kind
  readonly id: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** The start on the monotonic clock. */
  readonly began: number
  status: Status = starting
  state: unknown = undefined
  epoch: number
  version = 0
  /** Does it have changes that the store does not have? */
  isDirty = false
  /** Its part of a cluster; `undefined` when all sessions are in this process. */
  readonly place: Place | undefined
  /** What is known of its snapshot; `undefined` for a kind without snapshots. */
  readonly stored: StoredFacts | undefined
  /** How many messages it has begun to handle. */
  handled = 0
  mailbox: Queue.Queue<Envelope>
  fiber: Fiber.Fiber<void> | undefined = undefined
  /** Resumes the fiber. It is defined while the fiber is parked. */
  doorbell: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  /** The value of `turn`, made at its first use. */
  turnCache: Effect.Effect<void> | undefined = undefined
  /** Its entry in the timing wheel of hibernation; `undefined` for a kind whose sessions do not hibernate. */
  idleCheck: IdleCheck | undefined = undefined
  /** `true` while it has neither fiber nor mailbox, until the next message. */
  hibernating = false
  /** The message that is being handled. */
  current: Envelope | undefined = undefined
  /** The reason of its end, from the moment it begins to end. */
  reason: EndReason.EndReason | undefined = undefined
  /** `true` once `init` or `restore` has given the first state. */
  hasStarted = false
  /** `true` when it was loaded from a snapshot. */
  readonly restores: boolean
  extras: SessionExtras | undefined = undefined

  constructor(
    kind: Kind,
    id: string,
    now: number,
    origin?: Origin
  ) {
    this.kind = kind
    this.id = id
    const date = kind.host.dateOf(now)
    const stored = origin?.stored
    this.startedAt = stored?.startedAt ?? date
    this.began = stored === undefined ? now : now - stored.age
    this.lastActiveAt = stored === undefined ? now : now - stored.idle
    this.epoch = origin?.epoch ?? kind.host.nextEpoch(date)
    this.mailbox = kind.makeMailbox()
    this.restores = origin?.stored !== undefined
    this.place = kind.host.router?.of(id)
    this.stored = kind.persistence === undefined ? undefined : new StoredFacts()
  }

  // -------------------------------------------------------------------------------------------------------
  // how it runs: see `FiberSession`
  // -------------------------------------------------------------------------------------------------------

  abstract readonly ref: SessionRef.Any
  abstract readonly self: Self
  /** The Effect with which the fiber goes on. */
  abstract readonly turn: Effect.Effect<void>
  /** `true` while messages wait, or the end is to be carried out. */
  abstract readonly hasWork: boolean
  /** Takes a message; `false` when the mailbox is full. */
  abstract take(envelope: Envelope): boolean
  /** Goes on with what waits in the mailbox, or with the end. Nothing while it is busy. */
  abstract wake(): void
  abstract hibernate(): boolean
  abstract passivate(): void
  /** What the fiber does next: it handles messages until none waits, then parks. */
  abstract proceed(): Effect.Effect<void>
  /** Sets its fiber. When the fiber ends, the session ends. */
  abstract follow(fiber: Fiber.Fiber<void>): void
  /** Provides the services of the kind and of this session. */
  abstract provided<A, E>(effect: Effect.Effect<A, E, any>): Effect.Effect<A, E>
  /** Begins the end. With `drain`, the messages accepted so far are handled first, within the grace period. */
  abstract end(reason: EndReason.EndReason, drain: boolean): void

  // -------------------------------------------------------------------------------------------------------
  // what others see
  // -------------------------------------------------------------------------------------------------------

  get idleTimeout(): number {
    return this.extras?.idleTimeout ?? this.kind.idleTimeout
  }

  set idleTimeout(millis: number) {
    this.ensureExtras().idleTimeout = millis
  }

  get absoluteDeadline(): number {
    const { absoluteTimeout } = this.kind
    return absoluteTimeout === Infinity ? Infinity : this.began + absoluteTimeout
  }

  get host(): HostContext {
    return this.kind.host
  }

  get metadata(): Readonly<Record<string, unknown>> {
    return this.extras === undefined ? noMetadata : this.extras.metadata
  }

  get user(): string | undefined {
    return this.extras?.user
  }

  /** `true` while it is ending: it refuses messages to itself, and no sender waits for it. */
  get ending(): boolean {
    return this.status === ending
  }

  get notFound(): Effect.Effect<never, SessionNotFound> {
    return Effect.suspend(() => Effect.fail(SessionNotFound.of(this.kind.name, this.id)))
  }

  get recovering(): boolean {
    return this.extras?.recovering ?? false
  }

  /** Can it take messages? A session that has expired cannot: this call ends it. */
  isLive(now: number): boolean {
    if (this.status >= ending) return false
    if (!this.host.expiry.isExpired(this, now)) return true
    return !this.expire(now)
  }

  setMetadata(metadata: Readonly<Record<string, unknown>>): void {
    this.identify({ metadata })
  }

  /** The error if the store could not hold this metadata. */
  checkMetadata(metadata: Readonly<Record<string, unknown>>): InvalidMetadata | undefined {
    return this.kind.checkMetadata(this.id, metadata)
  }

  /** The reply to the message that is being handled waits until the changes are in the store. */
  writeAhead(): void {
    if (this.kind.persistence === undefined) return
    this.ensureExtras().writesAhead = true
  }

  setUser(user: string | undefined): void {
    this.identify({ user })
  }

  /** Does the metadata have these values? */
  hasMetadata(expected: Readonly<Record<string, unknown>>): boolean {
    const { metadata } = this
    return Object.keys(expected).every((key) => Equal.equals(metadata[key], expected[key]))
  }

  /** Changes user and metadata. Returns a function that reverts the change. */
  identify(change: Partial<Identity>): () => void {
    const before = this.identity
    this.setIdentity(changed(before, change))
    return () => this.setIdentity(reverted(this.identity, before, change))
  }

  private get identity(): Identity {
    return { user: this.user, metadata: this.metadata }
  }

  private setIdentity(identity: Identity): void {
    if (this.status === ended) return
    const extras = this.ensureExtras()
    if (identity.user !== extras.user) this.host.assign(this, extras.user, identity.user)
    extras.user = identity.user
    extras.metadata = identity.metadata
    this.metaChanged()
    extras.watchers?.identified(identity)
  }

  setIdleTimeout(timeout: number, now: number): void {
    this.host.expiry.setIdleTimeout(this, timeout, now)
    this.host.expiryAlarm.arm()
    this.metaChanged()
  }

  info(): SessionInfo {
    const { host } = this
    return {
      kind: this.kind.name,
      id: this.id,
      status: this.status === starting ? "starting" : this.status >= ending ? "ending" : this.recovering
        ? "recovering"
        : this.hibernating
        ? "hibernating"
        : "running",
      state: this.state,
      epoch: this.epoch,
      version: this.version,
      startedAt: this.startedAt,
      lastActiveAt: host.dateOf(this.lastActiveAt),
      expiresAt: finite(host.dateOf(host.expiry.expiresAt(this))),
      endsAt: finite(host.dateOf(this.absoluteDeadline)),
      mailbox: Queue.sizeUnsafe(this.mailbox) - (this.extras?.withdrawn ?? 0),
      crashes: this.extras?.crashes ?? 0,
      watchers: this.extras?.watchers?.count ?? 0,
      connections: this.extras?.connections?.count ?? 0,
      remembers: this.kind.remember.answers,
      accepted: this.extras?.replies?.accepted ?? 0,
      user: this.user,
      metadata: this.metadata
    }
  }

  /** The replies to numbered actions: see `SessionRef.callOnce`. */
  get replies(): ReplyCache {
    return this.ensureExtras().replies ??= new ReplyCache(this.kind.remember, this.remembersSince, this.epoch)
  }

  /** The epoch since which it remembers all clients that sent numbered actions; `Infinity` once it has forgotten one. */
  get remembersSince(): number {
    return this.extras?.replies?.since ?? this.stored?.remembersSince ?? this.epoch
  }

  ensureExtras(): SessionExtras {
    return this.extras ??= new SessionExtras()
  }

  // -------------------------------------------------------------------------------------------------------
  // watchers and waiters
  // -------------------------------------------------------------------------------------------------------

  /** `true` while someone watches its state or waits for its end: such a session ends as soon as it expires. */
  get watched(): boolean {
    const { extras } = this
    return extras !== undefined && ((extras.watchers?.count ?? 0) > 0 || (extras.endWaiters?.size ?? 0) > 0)
  }

  /** Adds a watcher. Returns the function that removes it. */
  watch(watcher: Watcher<any>): () => void {
    if (this.status === ended) {
      watcher.ended(this.reason!)
      return () => {}
    }
    const watchers = this.watchers()
    watchers.add(watcher)
    emit(this, { _tag: "Subscribe", watchers: watchers.count })
    return () => {
      if (watchers.remove(watcher)) emit(this, { _tag: "Unsubscribe", watchers: watchers.count })
    }
  }

  subscriptionRef(): Effect.Effect<SubscriptionRef.SubscriptionRef<unknown>> {
    return this.watchers().subscriptionRef(() => this.state)
  }

  private watchers(): Watchers {
    return this.ensureExtras().watchers ??= new Watchers()
  }

  /** Counts a client as connected. Returns the function that counts it as gone. */
  attach(now: number): () => void {
    this.host.expiry.touch(this, now)
    return (this.ensureExtras().connections ??= new SessionConnections(this)).add(now)
  }

  /** Waits for `init`. Gives the ref, or fails as `init` did. */
  whenStarted(): Effect.Effect<SessionRef.Any, any> {
    if (this.hasStarted) return Effect.succeed(this.ref)
    if (this.extras?.startFailure !== undefined) return this.extras.startFailure
    return Effect.callback((resume) => {
      const waiters = this.ensureExtras().startWaiters ??= new Set()
      waiters.add(resume)
      return Effect.sync(() => waiters.delete(resume))
    })
  }

  /** Waits for the end and gives its reason. */
  awaitEnd(): Effect.Effect<EndReason.EndReason> {
    return Effect.suspend(() => {
      if (this.status === ended) return Effect.succeed(this.reason!)
      return Effect.callback<EndReason.EndReason>((resume) => {
        const waiters = this.ensureExtras().endWaiters ??= new Set()
        const waiter = (reason: EndReason.EndReason) => resume(Effect.succeed(reason))
        waiters.add(waiter)
        return Effect.sync(() => waiters.delete(waiter))
      })
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // timers
  // -------------------------------------------------------------------------------------------------------

  /** Its timers, made at the first use. */
  get timers(): SelfTimers {
    const extras = this.ensureExtras()
    return extras.timers ??= new SelfTimers(this)
  }

  /** Sets a timer. A session that has ended gets one that never fires. */
  setTimer(setting: Setting): Timer {
    return this.status === ended || this.extras?.cleansUp === true ? noTimer : this.timers.set(setting)
  }

  // -------------------------------------------------------------------------------------------------------
  // the state
  // -------------------------------------------------------------------------------------------------------

  /** Replaces the state. The same state is no change. */
  commit(state: unknown): void {
    if (state === this.state) return
    this.state = state
    this.version++
    this.kind.persistence?.changed(this)
    if (this.extras?.watchers !== undefined) this.notify(this.extras.watchers)
  }

  /**
   * Notifies the watchers of the present state: at once, or, when each change is written before its reply, as soon as the
   * change is written.
   */
  notify(watchers: Watchers): void {
    const { epoch, kind: { persistence }, state, version } = this
    if (persistence?.isWriteAhead !== true || !persistence.pends(this)) return watchers.changed(state, version, epoch)
    watchers.pending++
    persistence.whenSaved(this, (written) => {
      watchers.pending--
      if (written) watchers.changed(state, version, epoch)
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------

  /** A stored part other than the state has changed: metadata, timers, or remembered replies. */
  metaChanged(): void {
    const { extras, kind: { persistence } } = this
    if (persistence === undefined || !this.hasStarted) return
    if (extras !== undefined) extras.leaving = undefined
    persistence.changed(this)
  }

  /** `true` when it needs no more saves: it has ended, or the store was notified of its end. */
  get isOver(): boolean {
    return this.status === ended || this.extras?.storeNotified === true
  }

  /** The epoch under which it is written: the one of the last claim, which a reset does not change. */
  get claimed(): number {
    return this.extras?.claimed ?? this.epoch
  }

  /** How many versions it had since the claim and before the last reset. */
  get versionsBefore(): number {
    return this.extras?.versionsBefore ?? 0
  }

  /** Another process owns it now: this copy ends. */
  fenced(): void {
    this.end(EndReason.moved, false)
  }

  /** It goes on in another process: it handles what it has accepted, is saved for the last time, and ends here. */
  handOver(): void {
    if (this.status >= ending) return
    this.ensureExtras().handedOver = true
    this.end(EndReason.moved, true)
  }

  /** Ends this copy if another process may have taken the session over by now; gives whether it does. */
  endIfLost(): boolean {
    if (this.place === undefined || this.place.isHeld(this.host.now())) return false
    this.fenced()
    return true
  }

  /** `true` while it handles a message, or its fiber has yet to run. */
  get busy(): boolean {
    return this.doorbell === undefined && !this.hibernating
  }

  /**
   * Ends the session if it has expired, and returns whether it has. A session is not idle while it handles a message, however
   * long that takes. Activity after its deadline was noticed also keeps it alive.
   */
  expire(now: number): boolean {
    const { expiry, expiryAlarm } = this.host
    const absolute = now >= this.absoluteDeadline
    if (!absolute && this.busy && this.status < ending) expiry.touch(this, now)
    if (!expiry.isExpired(this, now)) {
      expiry.remove(this)
      if (this.status < ending) expiry.add(this)
      expiryAlarm.arm()
      return false
    }
    this.end(EndReason.expired(absolute ? "absolute" : "idle"), true)
    return true
  }

  get isNotEnded(): boolean {
    return this.status !== ended
  }

  /** Is this the fiber in which its handlers run? */
  isRunBy(fiber: Fiber.Fiber<any, any> | undefined): boolean {
    return fiber !== undefined && fiber === this.fiber
  }

  /** What is acquired here is released when the session ends or is reset. */
  scope(): Scope.Closeable {
    return this.ensureExtras().scope ??= Scope.makeUnsafe()
  }

  get killed(): boolean {
    return this.extras?.killed ?? false
  }

  /** One of its callbacks has thrown: logs the defect. */
  threw(defect: unknown): void {
    this.kind.runFork(Effect.logError(`something in session ${this.kind.name}/${this.id} has failed`, defect))
  }

  /** Reports that the end hook or a finalizer has failed. */
  cleanupFailed(error: unknown): Effect.Effect<void> {
    emit(this, { _tag: "CleanupError", error })
    return Effect.logError(`session ${this.kind.name}/${this.id} could not release what it held`, error)
  }
}
