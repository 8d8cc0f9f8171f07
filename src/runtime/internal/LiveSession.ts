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
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import * as EndReason from "../../contract/EndReason.ts"
import { CurrentSession, type StartOptions } from "../../contract/Session.ts"
import { SessionCrashed, SessionEnded, StartFailed } from "../../contract/SessionError.ts"
import type { SessionInfo } from "../../contract/SessionRef.ts"
import * as Supervision from "../../policy/Supervision.ts"
import type * as Expiry from "../Expiry.ts"
import { begun, type Envelope, settled, waiting } from "./Envelope.ts"
import type { Hub } from "./Hub.ts"
import type { Kind } from "./Kind.ts"
import { LocalRef } from "./LocalRef.ts"
import { note, noteHandled } from "./notes.ts"
import { EndDeadline, type SelfTimer } from "./sessionDeadlines.ts"
import { SessionSelf } from "./SessionSelf.ts"
import { ended, ending, running, starting, type Status } from "./status.ts"
import { traced } from "./traced.ts"
import type { Sleeper } from "./WakeUps.ts"
import { type Watcher, Watchers } from "./Watchers.ts"

/** What only some sessions need. */
class Extras {
  args: unknown = undefined
  /** Replaces the kind's, in milliseconds. */
  idleTimeout: number | undefined = undefined
  metadata: Readonly<Record<string, unknown>> = noMetadata
  user: string | undefined = undefined
  scope: Scope.Closeable | undefined = undefined
  /** The services that its handlers' Effects get. */
  context: Context.Context<never> | undefined = undefined
  watchers: Watchers | undefined = undefined
  /** The times of the crashes that still count. */
  recentCrashes: Array<number> = []
  crashes = 0
  /** `true` while it pauses after a crash. */
  recovering = false
  timers: Map<unknown, SelfTimer> | undefined = undefined
  startWaiters = new Set<(exit: Exit.Exit<any, any>) => void>()
  endWaiters = new Set<(reason: EndReason.EndReason) => void>()
  endDeadline: EndDeadline | undefined = undefined
  /** `true` once the fiber was interrupted to end the session. */
  killed = false
}

const noMetadata: Readonly<Record<string, unknown>> = Object.freeze({})

const finite = (time: number): number | undefined => time === Infinity ? undefined : time

export class LiveSession implements Expiry.Entry, Sleeper {
  // Expiry.Entry
  wheelTick = -1
  wheelIndex = 0
  lastActiveAt: number
  // Sleeper
  listed = false

  readonly runtime: Kind
  readonly id: string
  readonly startedAt: number
  status: Status = starting
  state: unknown = undefined
  epoch: number
  version = 0
  mailbox: Queue.Queue<Envelope>
  private fiber: Fiber.Fiber<void> | undefined = undefined
  /** Resumes the fiber; there is one while the fiber is parked. */
  private doorbell: ((effect: Effect.Effect<void>) => void) | undefined = undefined
  private readonly turn: Effect.Effect<void> = new Turn(this)
  /** The message whose Effect is running. */
  private current: Envelope | undefined = undefined
  /** Why it ends, from when it does. */
  reason: EndReason.EndReason | undefined = undefined
  /** `true` from when `init` gave the first state. */
  private hasStarted = false
  private extras: Extras | undefined = undefined
  private ownRef: LocalRef | undefined = undefined
  private ownSelf: SessionSelf | undefined = undefined

  constructor(
    runtime: Kind,
    id: string,
    now: number,
    mailbox: Queue.Queue<Envelope>
  ) {
    this.runtime = runtime
    this.id = id
    this.startedAt = now
    this.lastActiveAt = now
    this.epoch = runtime.hub.nextEpoch(now)
    this.mailbox = mailbox
  }

  // -------------------------------------------------------------------------------------------------------
  // what others see
  // -------------------------------------------------------------------------------------------------------

  get kind(): string {
    return this.runtime.name
  }

  get idleTimeout(): number {
    return this.extras?.idleTimeout ?? this.runtime.idleTimeout
  }

  set idleTimeout(millis: number) {
    this.more().idleTimeout = millis
  }

  get absoluteDeadline(): number {
    const { absoluteTimeout } = this.runtime
    return absoluteTimeout === Infinity ? Infinity : this.startedAt + absoluteTimeout
  }

  get hub(): Hub {
    return this.runtime.hub
  }

  get ref(): LocalRef {
    return this.ownRef ??= new LocalRef(this.runtime, this.id, this)
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

  get recovering(): boolean {
    return this.extras?.recovering ?? false
  }

  /** Can it take messages? One that has expired cannot: it is ended here. */
  isLive(now: number): boolean {
    if (this.status >= ending) return false
    if (!this.hub.expiry.isExpired(this, now)) return true
    this.expire(now)
    return false
  }

  setMetadata(metadata: Readonly<Record<string, unknown>>): void {
    const extras = this.more()
    extras.metadata = { ...extras.metadata, ...metadata }
  }

  setUser(user: string | undefined): void {
    if (this.status === ended) return
    this.hub.assign(this, this.user, user)
    this.more().user = user
  }

  setIdleTimeout(timeout: number, now: number): void {
    this.hub.expiry.setIdleTimeout(this, timeout, now)
    this.hub.expiryAlarm.arm()
  }

  info(): SessionInfo {
    return {
      kind: this.kind,
      id: this.id,
      status: this.status === starting ? "starting" : this.status >= ending ? "ending" : this.recovering
        ? "recovering"
        : "running",
      state: this.state,
      epoch: this.epoch,
      version: this.version,
      startedAt: this.startedAt,
      lastActiveAt: this.lastActiveAt,
      expiresAt: finite(this.hub.expiry.expiresAt(this)),
      mailbox: Queue.sizeUnsafe(this.mailbox),
      crashes: this.extras?.crashes ?? 0,
      watchers: this.extras?.watchers?.count ?? 0,
      user: this.user,
      metadata: this.metadata
    }
  }

  private more(): Extras {
    return this.extras ??= new Extras()
  }

  // -------------------------------------------------------------------------------------------------------
  // those who watch and wait
  // -------------------------------------------------------------------------------------------------------

  /** Does anybody watch its state or wait for its end? Then it ends as soon as it expires. */
  get watched(): boolean {
    const { extras } = this
    return extras !== undefined && ((extras.watchers?.count ?? 0) > 0 || extras.endWaiters.size > 0)
  }

  /** Adds a watcher and gives the function that removes it. */
  watch(watcher: Watcher): () => void {
    if (this.status === ended) {
      watcher.ended(this.reason!)
      return () => {}
    }
    const watchers = this.watchers()
    watchers.add(watcher)
    note(this, { _tag: "Subscribe", watchers: watchers.count })
    return () => {
      if (watchers.remove(watcher)) note(this, { _tag: "Unsubscribe", watchers: watchers.count })
    }
  }

  subscriptionRef(): Effect.Effect<SubscriptionRef.SubscriptionRef<unknown>> {
    return this.watchers().subscriptionRef(() => this.state)
  }

  private watchers(): Watchers {
    return this.more().watchers ??= new Watchers()
  }

  /** The ref, once `init` is done; or what it failed with. */
  whenStarted(): Effect.Effect<LocalRef, any> {
    if (this.hasStarted) return Effect.succeed(this.ref)
    return Effect.callback((resume) => {
      const { startWaiters } = this.more()
      startWaiters.add(resume)
      return Effect.sync(() => startWaiters.delete(resume))
    })
  }

  private tellStarted(exit: Exit.Exit<LocalRef, unknown>): void {
    if (this.extras === undefined) return
    for (const waiter of this.extras.startWaiters) waiter(exit)
    this.extras.startWaiters.clear()
  }

  /** Waits for the end. */
  awaitEnd(): Effect.Effect<EndReason.EndReason> {
    return Effect.suspend(() => {
      if (this.status === ended) return Effect.succeed(this.reason!)
      return Effect.callback<EndReason.EndReason>((resume) => {
        const { endWaiters } = this.more()
        const waiter = (reason: EndReason.EndReason) => resume(Effect.succeed(reason))
        endWaiters.add(waiter)
        return Effect.sync(() => endWaiters.delete(waiter))
      })
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // timers
  // -------------------------------------------------------------------------------------------------------

  keepTimer(timer: SelfTimer): void {
    if (this.status === ended) {
      timer.stop()
      return
    }
    const timers = this.more().timers ??= new Map()
    timers.get(timer.key)?.stop()
    timers.set(timer.key, timer)
  }

  forgetTimer(timer: SelfTimer): void {
    const timers = this.extras?.timers
    if (timers?.get(timer.key) === timer) timers.delete(timer.key)
  }

  private cancelTimers(): void {
    const timers = this.extras?.timers
    if (timers === undefined) return
    for (const timer of timers.values()) timer.stop()
    timers.clear()
  }

  // -------------------------------------------------------------------------------------------------------
  // the mailbox
  // -------------------------------------------------------------------------------------------------------

  /**
   * Takes a message: at once when the session is idle, into the mailbox while it is busy. `false` when the
   * mailbox is full.
   */
  take(envelope: Envelope): boolean {
    const { mailbox } = this
    if (this.doorbell === undefined) return Queue.offerUnsafe(mailbox, envelope)
    const { wakeUps } = this.hub
    // Messages that wait come first; and deep in a chain of sessions that message each other the stack ends.
    if (mailbox.messages.length > 0 || !wakeUps.enter()) {
      if (!Queue.offerUnsafe(mailbox, envelope)) return false
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

  /** Goes on with what waits in the mailbox, or with the end. Nothing while it is busy. */
  wake(): void {
    if (this.doorbell !== undefined && this.hasWork) this.whileAwake(undefined)
  }

  private get hasWork(): boolean {
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
    let effect = envelope === undefined ? undefined : this.handle(envelope)
    if (effect === undefined && this.hasWork) effect = this.step()
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

  /** Starts the fiber, which runs `init`. When that is pure, the session is running on return. */
  launch(args: unknown, options: StartOptions | undefined): void {
    if (args !== undefined) this.more().args = args
    if (options?.metadata !== undefined) this.more().metadata = options.metadata
    if (options?.user !== undefined) this.setUser(options.user)
    if (options?.idleTimeout !== undefined) this.idleTimeout = Duration.toMillis(options.idleTimeout)
    this.hub.expiry.add(this)
    this.hub.expiryAlarm.arm()
    this.fiber = this.runtime.runFork(Effect.suspend(() => this.boot()))
    this.fiber.addObserver((exit) => this.fiberEnded(exit))
  }

  /**
   * Takes messages until there are none (`undefined`: park), a handler needs the fiber, or others should get a
   * turn.
   */
  private step(): Effect.Effect<void> | undefined {
    for (let budget = this.runtime.batch; budget > 0; budget--) {
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

  private boot(): Effect.Effect<void> {
    const start = { id: this.id, args: this.extras?.args, self: this.self }
    let state: unknown
    try {
      state = this.runtime.behavior.init(start)
    } catch (defect) {
      return this.bootFailed(Cause.die(defect))
    }
    return Effect.isEffect(state)
      ? Effect.matchCauseEffect(this.provided(state), {
        onFailure: (cause) => this.bootFailed(cause),
        onSuccess: (state) => this.booted(state)
      })
      : this.booted(state)
  }

  private booted(state: unknown): Effect.Effect<void> {
    if (this.hasStarted) this.commit(state)
    else {
      this.hasStarted = true
      this.state = state
      // An end may have been asked for while init ran.
      if (this.status === starting) this.status = running
      this.runtime.counters.started++
      note(this, { _tag: "Start", duration: this.hub.now() - this.startedAt })
      this.tellStarted(Exit.succeed(this.ref))
    }
    const { afterStart } = this.runtime.behavior
    return afterStart === undefined || this.status >= ending ? this.proceed() : this.continued(afterStart)
  }

  /** The continuation that goes on after `start` returned, before the first message. */
  private continued(afterStart: NonNullable<Kind["behavior"]["afterStart"]>): Effect.Effect<void> {
    return Effect.matchCauseEffect(
      this.provided(Effect.suspend(() => afterStart({ state: this.state, payload: undefined, self: this.self }))),
      {
        onFailure: (cause) => {
          if (this.extras?.killed === true) return Effect.void
          const failed = Cause.findErrorOption(cause)
          if (failed._tag === "Some" && !Cause.hasDies(cause)) {
            this.end(EndReason.stopped(failed.value), true)
            return this.turn
          }
          const defect = Cause.squash(cause)
          this.runtime.counters.crashes++
          note(this, { _tag: "Crash", tag: "afterStart", defect, action: "stop", pause: 0 })
          this.end(EndReason.crashed(defect), false)
          return Effect.void
        },
        onSuccess: (state) => {
          if (state !== undefined) this.commit(state)
          return this.turn
        }
      }
    )
  }

  private bootFailed(cause: Cause.Cause<unknown>): Effect.Effect<void> {
    const failed = Cause.findErrorOption(cause)
    const typed = failed._tag === "Some" && !Cause.hasDies(cause)
    const defect = Cause.squash(cause)
    if (this.hasStarted) {
      // A reset that failed.
      this.end(EndReason.crashed(defect), false)
      return Effect.void
    }
    const error = typed ? failed.value : StartFailed.of(this.kind, this.id, defect)
    this.runtime.counters.startFailures++
    note(this, { _tag: "StartError", error })
    if (this.status < ending) {
      this.status = ending
      this.reason = typed ? EndReason.stopped(error) : EndReason.crashed(defect)
      this.hub.expiry.remove(this)
    }
    this.tellStarted(Exit.fail(error))
    return Effect.void
  }

  /** The Effect with the services of the kind and those of this session. */
  private provided<A, E>(effect: Effect.Effect<A, E, any>): Effect.Effect<A, E> {
    const extras = this.more()
    extras.context ??= this.runtime.context.pipe(
      Context.add(CurrentSession, this.self),
      Context.add(Scope.Scope, this.scope()),
      Context.add(References.CurrentLogAnnotations, {
        ...Context.get(this.runtime.context, References.CurrentLogAnnotations),
        session: `${this.kind}/${this.id}`
      })
    )
    return Effect.provideContext(effect as Effect.Effect<A, E>, extras.context)
  }

  /** What is acquired here is released when the session ends or is reset. */
  scope(): Scope.Closeable {
    return this.more().scope ??= Scope.makeUnsafe()
  }

  // -------------------------------------------------------------------------------------------------------
  // one message
  // -------------------------------------------------------------------------------------------------------

  /** Handles a message: on the spot, or with the Effect that is given back. Does not throw. */
  private handle(envelope: Envelope): Effect.Effect<void> | undefined {
    // Its caller has gone, or its deadline has passed, before it began.
    if (envelope.status !== waiting) return undefined
    envelope.status = begun
    if (envelope.trace !== undefined) return this.run(envelope, traced(this, envelope, envelope.trace))
    let out: unknown
    try {
      out = envelope.route.handler({ state: this.state, payload: envelope.payload, self: this.self })
    } catch (defect) {
      return this.crashed(envelope, Cause.die(defect))
    }
    if (Array.isArray(out)) {
      this.complete(envelope, out)
      return undefined
    }
    return Effect.isEffect(out) ? this.run(envelope, out) : this.crashed(envelope, Cause.die(notAPair(this, envelope)))
  }

  private run(envelope: Envelope, effect: Effect.Effect<unknown, unknown, any>): Effect.Effect<void> {
    this.current = envelope
    return Effect.matchCauseEffect(this.provided(effect), {
      onFailure: (cause) => {
        this.current = undefined
        return this.failed(envelope, cause)
      },
      onSuccess: (out) => {
        this.current = undefined
        if (!Array.isArray(out)) return this.crashed(envelope, Cause.die(notAPair(this, envelope))) ?? this.turn
        this.complete(envelope, out)
        return this.turn
      }
    })
  }

  private complete(envelope: Envelope, next: ReadonlyArray<unknown>): void {
    this.commit(next[0])
    noteHandled(this, envelope, "success")
    envelope.succeed(next[1])
  }

  private commit(state: unknown): void {
    if (state === this.state) return
    this.state = state
    this.version++
    this.extras?.watchers?.changed(state)
  }

  /** The Effect of a handler failed: with its declared error, which is its answer, or it died. */
  private failed(envelope: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> {
    if (this.extras?.killed === true) return Effect.void
    if (!Cause.hasFails(cause) || Cause.hasDies(cause)) return this.crashed(envelope, cause) ?? this.turn
    noteHandled(this, envelope, "failure")
    if (!envelope.isCall) {
      note(this, { _tag: "CommunicationError", tag: envelope.route.tag, error: Cause.squash(cause) })
    }
    envelope.settle(Exit.failCause(cause))
    return this.turn
  }

  /** A handler died. Its message is not replayed; what follows is for supervision to say. */
  private crashed(envelope: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined {
    const { hub, runtime } = this
    const { tag } = envelope.route
    const defect = Cause.squash(cause)
    const now = hub.now()
    const extras = this.more()
    runtime.counters.deadLetters++
    hub.letters.publish({
      kind: this.kind,
      id: this.id,
      tag,
      payload: envelope.payload,
      reason: { _tag: "Crashed", cause },
      at: now
    })
    runtime.counters.crashes++
    extras.crashes++
    const decision = Supervision.decide(runtime.supervision, extras.recentCrashes, now)
    const pause = decision._tag === "stop" ? 0 : decision.pauseMillis
    noteHandled(this, envelope, "failure")
    note(this, { _tag: "Crash", tag, defect, action: decision._tag, pause })
    envelope.settle(Exit.fail(SessionCrashed.of(this.kind, this.id, tag, defect)))
    if (decision._tag === "stop") {
      this.end(EndReason.crashed(defect), false)
      return Effect.void
    }
    const next = decision._tag === "reset" ? this.reset() : pause > 0 ? this.turn : undefined
    if (pause === 0) return next
    extras.recovering = true
    return Effect.andThen(
      Effect.sleep(pause),
      Effect.suspend(() => {
        extras.recovering = false
        return next!
      })
    )
  }

  /** Releases what the session holds and starts a new incarnation with the same arguments. */
  private reset(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const extras = this.more()
      const { scope } = extras
      extras.scope = undefined
      extras.context = undefined
      this.cancelTimers()
      this.runtime.counters.resets++
      this.epoch = this.hub.nextEpoch(this.hub.now())
      this.version = 0
      const boot = Effect.suspend(() => this.boot())
      return scope === undefined ? boot : Effect.andThen(Effect.ignoreCause(Scope.close(scope, Exit.void)), boot)
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------

  expire(now: number): void {
    this.end(EndReason.expired(now >= this.absoluteDeadline ? "absolute" : "idle"), true)
  }

  /** Begins the end. With `drain`, what was accepted so far is handled first, within the grace period. */
  end(reason: EndReason.EndReason, drain: boolean): void {
    if (this.status >= ending) {
      if (!drain) this.kill()
      return
    }
    this.status = ending
    this.reason = reason
    this.hub.expiry.remove(this)
    if (!drain) return this.kill()
    this.wake()
    // Still there: the fiber is busy. It finds out when it comes to the end of the mailbox.
    if (this.status < ended) this.limitEnd()
  }

  /** The grace period is over. */
  graceOver(): void {
    if (this.extras!.killed) {
      // The handler, the end hook or a release does not let itself be interrupted.
      this.noteCleanupFailed(new Error(`did not end within ${2 * this.hub.config.shutdownGrace} ms`))
      return this.finish()
    }
    this.kill()
  }

  private limitEnd(): void {
    const extras = this.more()
    if (extras.endDeadline !== undefined) return
    extras.endDeadline = new EndDeadline(this)
    this.hub.timers.set(extras.endDeadline, this.hub.now() + this.hub.config.shutdownGrace)
  }

  /** Interrupts what runs. Everyone who waits for an answer has one, even if the handler cannot be interrupted. */
  private kill(): void {
    const extras = this.more()
    if (extras.killed) return
    extras.killed = true
    this.answerAll()
    if (this.fiber !== undefined && this.fiber.pollUnsafe() === undefined) {
      this.fiber.interruptUnsafe()
    }
    if (this.status < ended) {
      if (extras.endDeadline !== undefined) this.hub.timers.cancel(extras.endDeadline)
      extras.endDeadline = new EndDeadline(this)
      this.hub.timers.set(extras.endDeadline, this.hub.now() + this.hub.config.shutdownGrace)
    }
  }

  private answerAll(): void {
    const { current } = this
    if (current !== undefined) this.leaveOver(current, true)
    // Taking makes room for senders that wait for it, so it goes on until none is left.
    for (;;) {
      const taken = Queue.takeUnsafe(this.mailbox)
      if (taken === undefined || Exit.isFailure(taken)) break
      this.leaveOver(taken.value, false)
    }
    Queue.shutdownUnsafe(this.mailbox)
  }

  /** A message that will not be handled (to the end) any more. */
  private leaveOver(envelope: Envelope, hasBegun: boolean): void {
    if (envelope.status === settled) return
    const { hub, id, kind } = this
    const reason = this.reason!
    const error = SessionEnded.of(kind, id, reason, hasBegun)
    if (envelope.isCall) envelope.settle(Exit.fail(error))
    else {
      envelope.status = settled
      this.runtime.counters.deadLetters++
      hub.letters.publish({
        kind,
        id,
        tag: envelope.route.tag,
        payload: envelope.payload,
        reason: { _tag: "Undelivered", end: reason },
        at: hub.now()
      })
    }
    note(this, { _tag: "CommunicationError", tag: envelope.route.tag, error })
  }

  private fiberEnded(exit: Exit.Exit<void>): void {
    if (this.status < ending) {
      // Nobody asked for it: the fiber was interrupted from outside.
      this.status = ending
      this.reason = EndReason.crashed(Exit.isFailure(exit) ? Cause.squash(exit.cause) : new Error("the fiber ended"))
      this.hub.expiry.remove(this)
    }
    if (this.status === ended) return
    const reason = this.reason!
    if (!this.hasStarted) {
      this.tellStarted(Exit.fail(StartFailed.of(this.kind, this.id, new Error(EndReason.format(reason)))))
    }
    this.answerAll()
    this.cancelTimers()
    const { end } = this.runtime.behavior
    const scope = this.extras?.scope
    const hook = this.hasStarted && end !== undefined
    if (!hook && scope === undefined) return this.finish()
    const { hub } = this
    const began = hub.now()
    const release = scope === undefined ? Effect.void : Effect.suspend(() => Scope.close(scope, exit))
    const cleanup = hook
      ? Effect.ensuring(
        this.provided(Effect.suspend(() => end({ state: this.state, reason, self: this.self }))),
        release
      )
      : release
    this.limitEnd()
    this.fiber = this.runtime.runFork(cleanup)
    this.fiber.addObserver((exit) => {
      if (this.status === ended) return
      if (Exit.isFailure(exit)) this.noteCleanupFailed(Cause.squash(exit.cause))
      else note(this, { _tag: "Cleanup", duration: hub.now() - began })
      this.finish()
    })
  }

  private noteCleanupFailed(error: unknown): void {
    note(this, { _tag: "CleanupError", error })
    this.runtime.runFork(Effect.logError(`the end of session ${this.kind}/${this.id} failed`, error))
  }

  private finish(): void {
    if (this.status === ended) return
    this.status = ended
    const { extras, hub, id, runtime } = this
    const reason = this.reason!
    if (runtime.sessions.get(id) === this) runtime.sessions.delete(id)
    hub.live--
    if (this.hasStarted) {
      runtime.counters.ended[reason._tag]++
      note(this, { _tag: "Stop", reason, duration: hub.now() - this.startedAt })
    }
    this.fiber = undefined
    this.doorbell = undefined
    if (extras === undefined) return
    if (extras.user !== undefined) hub.assign(this, extras.user, undefined)
    if (extras.endDeadline !== undefined) hub.timers.cancel(extras.endDeadline)
    extras.watchers?.ended(reason)
    for (const waiter of extras.endWaiters) waiter(reason)
    this.extras = undefined
  }
}

const notAPair = (session: LiveSession, envelope: Envelope): TypeError =>
  new TypeError(`the handler of ${session.kind}.${envelope.route.tag} gave neither [state, reply] nor an Effect of it`)

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
