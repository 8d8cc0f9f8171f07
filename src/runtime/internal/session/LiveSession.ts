/**
 * A live session: its fiber, its mailbox, its state and its life.
 *
 *            ┌──────────── crash: pause, then resume ───────────┐
 *            │         ┌── crash: reset, init again ──┐         │
 *            ▼         ▼                              │         │
 *   start → starting ─────────→ running ──────────────┴─────────┘
 *              │ init failed       │ end asked for, expired, crashed too often, shutdown
 *              │                   ▼
 *              │                ending    drains the mailbox; after the grace period the handler is interrupted
 *              │                   ▼
 *              └──────────────→ ended     end hook, release of the Scope; everyone who waits has an answer
 *
 * While it is idle, the fiber is parked in `Effect.callback` with its `resume` as a doorbell. A message to an idle
 * session is handled on the spot: a pure handler runs in the stack of the sender, the Effect of any other one
 * is handed to the fiber. While the session is busy there is no doorbell, and messages go into the mailbox, which
 * the fiber drains when it is done. Either way one message is handled at a time, in the order of arrival.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import * as EndReason from "../../../contract/EndReason.ts"
import { CurrentSession, type Timer } from "../../../contract/Session.ts"
import { type InvalidMetadata, SessionNotFound } from "../../../contract/SessionError.ts"
import type { Identity, SessionInfo, Watcher } from "../../../contract/SessionRef.ts"
import { observe } from "../../../internal/guard.ts"
import type * as Expiry from "../../Expiry.ts"
import type { HostContext } from "../host/HostContext.ts"
import type { Kind } from "../host/Kind.ts"
import { whileHandling } from "../messages/callCycle.ts"
import { begun, type Envelope, waiting } from "../messages/Envelope.ts"
import { LocalRef } from "../messages/LocalRef.ts"
import { ReplyCache } from "../messages/ReplyCache.ts"
import { traced } from "../messages/tracing.ts"
import type { Wakeable } from "../messages/WakeUps.ts"
import { makeRoom, skipped } from "../messages/withdrawn.ts"
import { replyWhenStored } from "../snapshots/answering.ts"
import type { Loaded } from "../snapshots/SnapshotLoader.ts"
import type { IdleCheck } from "../time/Hibernation.ts"
import { noTimer, SelfTimers, type Setting } from "../time/SelfTimers.ts"
import { nowhere } from "../time/TimingWheel.ts"
import { crashed } from "./crashing.ts"
import * as Ending from "./ending.ts"
import { emit, emitHandled } from "./events.ts"
import { wake } from "./hibernating.ts"
import { changed, reverted } from "./identity.ts"
import { leaveOwed } from "./owed.ts"
import { SessionConnections } from "./SessionConnections.ts"
import { noMetadata, SessionExtras } from "./SessionExtras.ts"
import { SessionSelf } from "./SessionSelf.ts"
import { startIsLate } from "./starting.ts"
import { ended, ending, starting, type Status } from "./status.ts"
import { StoredFacts } from "./StoredFacts.ts"
import { Watchers } from "./Watchers.ts"

const finite = (time: number): number | undefined => time === Infinity ? undefined : time

export class LiveSession implements Expiry.Entry, Wakeable {
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
  ownTurn: Turn | undefined = undefined
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
  private ownRef: LocalRef | undefined = undefined
  private ownSelf: SessionSelf | undefined = undefined

  constructor(
    kind: Kind,
    id: string,
    now: number,
    loaded?: Loaded
  ) {
    this.kind = kind
    this.id = id
    const date = kind.host.dateOf(now)
    const stored = loaded?.stored
    this.startedAt = stored?.startedAt ?? date
    this.began = stored === undefined ? now : now - stored.age
    this.lastActiveAt = stored === undefined ? now : now - stored.idle
    this.epoch = loaded?.epoch ?? kind.host.nextEpoch(date)
    this.mailbox = kind.makeMailbox()
    this.restores = loaded?.stored !== undefined
    this.stored = kind.persistence === undefined ? undefined : new StoredFacts()
  }

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

  get ref(): LocalRef {
    return this.ownRef ??= new LocalRef(this.kind, this.id, this)
  }

  /** The Effect with which the fiber goes on. */
  get turn(): Effect.Effect<void> {
    return this.ownTurn ??= new Turn(this)
  }

  get self(): SessionSelf {
    return this.ownSelf ??= new SessionSelf(this)
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
  whenStarted(): Effect.Effect<LocalRef, any> {
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

  /** With an end, what is owed to others is left over; without one, it is kept elsewhere. */
  cancelTimers(end?: EndReason.EndReason): void {
    const timers = this.extras?.timers
    if (end === undefined) timers?.cancelAll()
    else timers?.cancelAll((timer) => leaveOwed(this, timer, end))
  }

  // -------------------------------------------------------------------------------------------------------
  // the mailbox
  // -------------------------------------------------------------------------------------------------------

  /**
   * Takes a message: at once when the session is idle, into the mailbox while it is busy. `false` when the
   * mailbox is full.
   */
  take(envelope: Envelope): boolean {
    if (this.hibernating) wake(this)
    const { mailbox } = this
    if (this.doorbell === undefined) return this.enqueue(envelope)
    const { wakeUps } = this.host
    // Messages that wait come first; and deep in a chain of sessions that message each other the stack ends.
    if (mailbox.messages.length > 0 || !wakeUps.enter()) {
      if (!this.enqueue(envelope)) return false
      wakeUps.later(this)
      return true
    }
    try {
      this.whileAwake(envelope)
    } finally {
      wakeUps.leave()
    }
    return true
  }

  private enqueue(envelope: Envelope): boolean {
    return Queue.offerUnsafe(this.mailbox, envelope) || (makeRoom(this) && Queue.offerUnsafe(this.mailbox, envelope))
  }

  /** Goes on with what waits in the mailbox, or with the end. Nothing while it is busy. */
  wake(): void {
    if (this.doorbell !== undefined && this.hasWork) this.whileAwake(undefined)
  }

  get hasWork(): boolean {
    return this.mailbox.messages.length > 0 || this.status >= ending
  }

  /**
   * Handles a message, and what waits. Pure handlers run here, while the fiber stays parked; it is resumed only
   * for what needs it.
   */
  private whileAwake(envelope: Envelope | undefined): void {
    const doorbell = this.doorbell!
    // Without a doorbell nobody else gets in here until this is done.
    this.doorbell = undefined
    let effect: Effect.Effect<void> | undefined
    try {
      effect = envelope === undefined ? undefined : this.handle(envelope)
      if (effect === undefined && this.hasWork) effect = this.step()
    } catch (defect) {
      // A service that was swapped in threw. The fiber dies of it, as it would if it ran there.
      effect = Effect.die(defect)
    }
    if (effect === undefined) this.doorbell = doorbell
    else doorbell(effect)
  }

  // -------------------------------------------------------------------------------------------------------
  // the fiber
  // -------------------------------------------------------------------------------------------------------

  /** Is this the fiber in which its handlers run? */
  isRunBy(fiber: Fiber.Fiber<any, any> | undefined): boolean {
    return fiber !== undefined && fiber === this.fiber
  }

  /** Notes its fiber, whose end is its own. */
  follow(fiber: Fiber.Fiber<void>): void {
    this.fiber = fiber
    observe(this, fiber, fiberOver)
  }

  /**
   * Takes messages until there are none (`undefined`: park), a handler needs the fiber, or others should get a
   * turn.
   */
  private step(): Effect.Effect<void> | undefined {
    for (let budget = this.kind.batch; budget > 0; budget--) {
      const taken = Queue.takeUnsafe(this.mailbox)
      if (taken === undefined) return this.status >= ending ? Effect.void : undefined
      if (taken._tag === "Failure") return Effect.void
      const effect = this.handle(taken.value)
      if (effect !== undefined) return effect
    }
    return Effect.andThen(Effect.yieldNow, this.turn)
  }

  /** What the fiber does next. */
  proceed(): Effect.Effect<void> {
    return this.step() ?? Effect.callback((resume) => {
      this.doorbell = resume
    })
  }

  /** The Effect with the services of the kind and those of this session. The fiber keeps them. */
  provided<A, E>(effect: Effect.Effect<A, E, any>): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      fiber.setContext(this.context)
      return effect as Effect.Effect<A, E>
    })
  }

  /** The services that the Effects of its handlers and hooks get. Only the first Effect of a session pays for them. */
  private get context(): Context.Context<never> {
    return this.ensureExtras().context ??= this.kind.context.pipe(
      Context.add(CurrentSession, this.self),
      Context.add(Scope.Scope, this.scope()),
      Context.add(References.CurrentLogAnnotations, {
        ...Context.get(this.kind.context, References.CurrentLogAnnotations),
        session: `${this.kind.name}/${this.id}`
      }),
      // Flat, since an Effect of a message adds that to it.
      (context) => Context.makeUnsafe<never>(context.mapUnsafe)
    )
  }

  /** What is acquired here is released when the session ends or is reset. */
  scope(): Scope.Closeable {
    return this.ensureExtras().scope ??= Scope.makeUnsafe()
  }

  // -------------------------------------------------------------------------------------------------------
  // one message
  // -------------------------------------------------------------------------------------------------------

  /** Handles a message: on the spot, or with the Effect that is given back. */
  private handle(envelope: Envelope): Effect.Effect<void> | undefined {
    // Its caller has gone, or its deadline has passed, before it began.
    if (envelope.status !== waiting) return skipped(this)
    envelope.status = begun
    this.handled++
    this.current = envelope
    if (envelope.trace !== undefined) return this.run(envelope, traced(this, envelope, envelope.trace))
    let out: unknown
    try {
      out = envelope.route.handler({ state: this.state, payload: envelope.payload, self: this.self })
    } catch (defect) {
      return this.crashed(envelope, Cause.die(defect))
    }
    return Effect.isEffect(out) ? this.run(envelope, out) : this.complete(envelope, out)
  }

  private run(envelope: Envelope, effect: Effect.Effect<unknown, unknown, any>): Effect.Effect<void> {
    // It is parked, or runs this; at the start it is not known yet.
    const fiber = this.fiber ?? Fiber.getCurrent()!
    fiber.setContext(whileHandling(this.context, envelope))
    return Effect.matchCauseEffect(effect as Effect.Effect<unknown, unknown>, {
      onFailure: (cause) => {
        this.touchAfter(envelope)
        return this.failed(envelope, cause) ?? this.turn
      },
      onSuccess: (out) => {
        this.touchAfter(envelope)
        return this.complete(envelope, out) ?? this.turn
      }
    })
  }

  /** It is idle from when it is done, not from when the message came. Its own timers do not count. */
  private touchAfter(envelope: Envelope): void {
    if (envelope.timer === undefined) this.host.expiry.touch(this, this.host.now())
  }

  private crashed(envelope: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined {
    envelope.timer?.done()
    // Until that is done it is the current one, which gets an answer whatever happens.
    const next = crashed(this, envelope, cause)
    this.current = undefined
    return next
  }

  private complete(envelope: Envelope, out: unknown): Effect.Effect<void> | undefined {
    if (!Array.isArray(out)) return this.crashed(envelope, Cause.die(notAPair(this, envelope)))
    this.current = undefined
    this.commit(out[0])
    envelope.timer?.done()
    emitHandled(this, envelope, "success")
    const { persistence } = this.kind
    if (persistence === undefined) envelope.succeed(out[1])
    else replyWhenStored(this, envelope, out[1] === undefined ? Exit.void : Exit.succeed(out[1]), persistence)
    return undefined
  }

  /** The Effect of a handler failed: with its declared error, which is its answer, or it died. */
  private failed(envelope: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined {
    if (this.killed) return Effect.void
    if (!Cause.hasFails(cause) || Cause.hasDies(cause)) return this.crashed(envelope, cause)
    this.current = undefined
    emitHandled(this, envelope, "failure")
    if (!envelope.isCall) {
      emit(this, { _tag: "CommunicationError", tag: envelope.route.tag, error: Cause.squash(cause) })
    }
    envelope.timer?.done()
    const { persistence } = this.kind
    if (persistence === undefined) envelope.settle(Exit.failCause(cause))
    else replyWhenStored(this, envelope, Exit.failCause(cause), persistence)
    return undefined
  }

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

  /** Begins the end. With `drain`, what was accepted so far is handled first, within the grace period. */
  end(reason: EndReason.EndReason, drain: boolean): void {
    Ending.begin(this, reason, drain)
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

  /** A grace period of the end is over. */
  graceOver(): void {
    Ending.graceOver(this)
  }

  /** The start takes too long. */
  startIsLate(): void {
    startIsLate(this)
  }

  get isNotEnded(): boolean {
    return this.status !== ended
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

const fiberOver = (session: LiveSession, exit: Exit.Exit<void>, fiber: Fiber.Fiber<void>): void => {
  // One that the session gave up has nothing to tell.
  if (session.fiber === fiber && !session.hibernating) Ending.fiberEnded(session, exit)
}

const notAPair = (session: LiveSession, envelope: Envelope): TypeError =>
  new TypeError(
    `the handler of ${session.kind.name}.${envelope.route.tag} gave neither [state, reply] nor an Effect of it`
  )

/** The Effect with which the fiber goes on. */
class Turn extends Effectable.Class<void> {
  private readonly session: LiveSession
  constructor(session: LiveSession) {
    super()
    this.session = session
  }
  asEffect(): Effect.Effect<void> {
    return this.session.proceed()
  }
}
