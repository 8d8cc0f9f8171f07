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
  /** When that was on the monotonic clock. */
  readonly began: number
  status: Status = starting
  state: unknown = undefined
  epoch: number
  version = 0
  /** Is there something of it that is to be written to the store? */
  isDirty = false
  /** What the store has of it, if its kind is stored. */
  readonly stored: StoredFacts | undefined
  /** How many messages it has begun to handle. */
  handled = 0
  mailbox: Queue.Queue<Envelope>
  fiber: Fiber.Fiber<void> | undefined = undefined
  /** Resumes the fiber; there is one while the fiber is parked. */
  doorbell: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  /** The services that its Effects get and the Effect with which its fiber goes on; both are made when first needed. */
  turnCache: Effect.Effect<void> | undefined = undefined
  /** When it is to be looked at whether it can hibernate, while it is awake and may. */
  idleCheck: IdleCheck | undefined = undefined
  /** Has it given up fiber and mailbox until the next message comes? */
  hibernating = false
  /** The message that is being handled. */
  current: Envelope | undefined = undefined
  /** Why it ends, from when it does. */
  reason: EndReason.EndReason | undefined = undefined
  /** `true` from when `init` gave the first state. */
  hasStarted = false
  /** Does it go on with what a store has of it? */
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
    this.stored = kind.persistence === undefined ? undefined : new StoredFacts()
  }

  // -------------------------------------------------------------------------------------------------------
  // how it runs: see `FiberSession`
  // -------------------------------------------------------------------------------------------------------

  abstract readonly ref: SessionRef.Any
  abstract readonly self: Self
  /** The Effect with which the fiber goes on. */
  abstract readonly turn: Effect.Effect<void>
  /** Is there a message to handle, or the end to come to? */
  abstract readonly hasWork: boolean
  /** Takes a message; `false` when the mailbox is full. */
  abstract take(envelope: Envelope): boolean
  /** Goes on with what waits in the mailbox, or with the end. Nothing while it is busy. */
  abstract wake(): void
  abstract hibernate(): boolean
  abstract passivate(): void
  /** Takes messages until there are none, in its fiber. */
  abstract proceed(): Effect.Effect<void>
  /** Gives it its fiber, whose end is its own. */
  abstract follow(fiber: Fiber.Fiber<void>): void
  /** The Effect with the services of the kind and of this session. */
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

  /** Does it end? It takes no message of its own any more, and waits for nobody who wants to give it one. */
  get ending(): boolean {
    return this.status === ending
  }

  get notFound(): Effect.Effect<never, SessionNotFound> {
    return Effect.suspend(() => Effect.fail(SessionNotFound.of(this.kind.name, this.id)))
  }

  get recovering(): boolean {
    return this.extras?.recovering ?? false
  }

  /** Can it take messages? One that has expired cannot: it is ended here. */
  isLive(now: number): boolean {
    if (this.status >= ending) return false
    if (!this.host.expiry.isExpired(this, now)) return true
    return !this.expire(now)
  }

  setMetadata(metadata: Readonly<Record<string, unknown>>): void {
    this.identify({ metadata })
  }

  /** Why this is no metadata for it, if it is not. */
  checkMetadata(metadata: Readonly<Record<string, unknown>>): InvalidMetadata | undefined {
    return this.kind.checkMetadata(this.id, metadata)
  }

  /** What it has of the present turn is to be written before the turn is answered. */
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

  /** Gives the function that takes the change back. */
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

  /** What it remembers of actions that have a number. */
  get replies(): ReplyCache {
    return this.ensureExtras().replies ??= new ReplyCache(this.kind.remember, this.remembersSince, this.epoch)
  }

  /** The epoch since which it knows of every client that sent such an action; `Infinity` once it forgot one. */
  get remembersSince(): number {
    return this.extras?.replies?.since ?? this.stored?.remembersSince ?? this.epoch
  }

  ensureExtras(): SessionExtras {
    return this.extras ??= new SessionExtras()
  }

  // -------------------------------------------------------------------------------------------------------
  // those who watch and wait
  // -------------------------------------------------------------------------------------------------------

  /** Does anybody watch its state or wait for its end? Then it ends as soon as it expires. */
  get watched(): boolean {
    const { extras } = this
    return extras !== undefined && ((extras.watchers?.count ?? 0) > 0 || (extras.endWaiters?.size ?? 0) > 0)
  }

  /** Adds a watcher and gives the function that removes it. */
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

  /** Notes a connected client and gives the function that notes its going. */
  attach(now: number): () => void {
    this.host.expiry.touch(this, now)
    return (this.ensureExtras().connections ??= new SessionConnections(this)).add(now)
  }

  /** The ref, once `init` is done; or what it failed with. */
  whenStarted(): Effect.Effect<SessionRef.Any, any> {
    if (this.hasStarted) return Effect.succeed(this.ref)
    if (this.extras?.startFailure !== undefined) return this.extras.startFailure
    return Effect.callback((resume) => {
      const waiters = this.ensureExtras().startWaiters ??= new Set()
      waiters.add(resume)
      return Effect.sync(() => waiters.delete(resume))
    })
  }

  /** Waits for the end. */
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

  /** Its timers, made when it needs them. */
  get timers(): SelfTimers {
    const extras = this.ensureExtras()
    return extras.timers ??= new SelfTimers(this)
  }

  /** Sets a timer. One that is over has no use for it. */
  setTimer(setting: Setting): Timer {
    return this.status === ended || this.extras?.cleansUp === true ? noTimer : this.timers.set(setting)
  }

  // -------------------------------------------------------------------------------------------------------
  // the state
  // -------------------------------------------------------------------------------------------------------

  /** Goes on with the next state; the same one is no change. */
  commit(state: unknown): void {
    if (state === this.state) return
    this.state = state
    this.version++
    this.kind.persistence?.changed(this)
    if (this.extras?.watchers !== undefined) this.notify(this.extras.watchers)
  }

  /** Tells of the state as it is now: at once, or under write-ahead when it is written, before what did it is answered. */
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

  /** What is kept of it besides its state has changed. */
  metaChanged(): void {
    const { extras, kind: { persistence } } = this
    if (persistence === undefined || !this.hasStarted) return
    if (extras !== undefined) extras.leaving = undefined
    persistence.changed(this)
  }

  /** Does the store know of its end already, or need not to? */
  get isOver(): boolean {
    return this.status === ended || this.extras?.storeNotified === true
  }

  /** The epoch under which it is written, which a reset does not change: who claimed it last owns it. */
  get claimed(): number {
    return this.extras?.claimed ?? this.epoch
  }

  /** How many versions its incarnations before the last reset had, since it was claimed. */
  get versionsBefore(): number {
    return this.extras?.versionsBefore ?? 0
  }

  /** Somebody else owns it now. */
  fenced(): void {
    this.end(EndReason.moved, false)
  }

  /** Does it handle a message, or wait to do so? */
  get busy(): boolean {
    return this.doorbell === undefined && !this.hibernating
  }

  /**
   * Ends for its age, if it has that. A session that handles a message is not idle, however long that takes, and
   * one that found something to do since its deadline was noticed is not expired any more.
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

  /** A callback of it has thrown. */
  threw(defect: unknown): void {
    this.kind.runFork(Effect.logError(`something in session ${this.kind.name}/${this.id} has failed`, defect))
  }

  /** Something went wrong while the session released what it held. */
  cleanupFailed(error: unknown): Effect.Effect<void> {
    emit(this, { _tag: "CleanupError", error })
    return Effect.logError(`session ${this.kind.name}/${this.id} could not release what it held`, error)
  }
}
