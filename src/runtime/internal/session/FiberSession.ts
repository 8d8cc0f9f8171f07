/**
 * Runs a live session: its mailbox, its fiber, one message at a time.
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
 * session is handled on the spot: a pure handler runs in the stack of the sender, and the Effect of any other handler
 * is handed to the fiber. While the session is busy there is no doorbell, and messages go into the mailbox, which
 * the fiber drains when it is done. Either way one message is handled at a time, in the order of arrival.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import type * as EndReason from "../../../contract/EndReason.ts"
import { CurrentSession } from "../../../contract/Session.ts"
import { observe } from "../../../internal/guard.ts"
import { whileHandling } from "../messages/callCycle.ts"
import { begun, type Envelope, waiting } from "../messages/Envelope.ts"
import type { LocalRef } from "../messages/LocalRef.ts"
import { traced } from "../messages/tracing.ts"
import { makeRoom, skipped } from "../messages/withdrawn.ts"
import { replyWhenStored } from "../snapshots/replyWhenStored.ts"
import { crashed } from "./crashing.ts"
import * as Ending from "./ending.ts"
import { emit, emitHandled } from "./events.ts"
import { hibernate, passivate, wake } from "./hibernating.ts"
import { LiveSession } from "./LiveSession.ts"
import { SessionSelf } from "./SessionSelf.ts"
import { ending } from "./status.ts"

export class FiberSession extends LiveSession {
  private ownRef: LocalRef | undefined = undefined
  private ownSelf: SessionSelf | undefined = undefined

  get ref(): LocalRef {
    return this.ownRef ??= this.kind.ref(this.id, this)
  }

  get self(): SessionSelf {
    return this.ownSelf ??= new SessionSelf(this)
  }

  get turn(): Effect.Effect<void> {
    return this.turnCache ??= new Turn(this)
  }

  hibernate(): boolean {
    return hibernate(this)
  }

  passivate(): void {
    passivate(this)
  }

  end(reason: EndReason.EndReason, drain: boolean): void {
    Ending.begin(this, reason, drain)
  }

  // -------------------------------------------------------------------------------------------------------
  // the mailbox
  // -------------------------------------------------------------------------------------------------------

  /**
   * Takes a message: handles it at once when the session is idle, or puts it into the mailbox while the session is busy.
   * `false` when the mailbox is full.
   */
  take(envelope: Envelope): boolean {
    if (this.hibernating) wake(this)
    const { mailbox } = this
    if (this.doorbell === undefined) return this.enqueue(envelope)
    const { wakeUps } = this.host
    // Messages that wait come first. A deep chain of sessions that send to each other would overflow the stack.
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

  /** Handles the messages that wait, or carries out the end. Does nothing while the session is busy. */
  wake(): void {
    if (this.doorbell !== undefined && this.hasWork) this.whileAwake(undefined)
  }

  get hasWork(): boolean {
    return this.mailbox.messages.length > 0 || this.status >= ending
  }

  /**
   * Handles a message, and then those that wait. Pure handlers run here, while the fiber stays parked; the fiber is resumed
   * only for an Effect.
   */
  private whileAwake(envelope: Envelope | undefined): void {
    const doorbell = this.doorbell!
    // Without a doorbell, nothing else enters here until this is done.
    this.doorbell = undefined
    let effect: Effect.Effect<void> | undefined
    try {
      effect = envelope === undefined ? undefined : this.handle(envelope)
      if (effect === undefined && this.hasWork) effect = this.step()
    } catch (defect) {
      // A replaced service threw. The fiber dies of it, as if the call had run there.
      effect = Effect.die(defect)
    }
    if (effect === undefined) this.doorbell = doorbell
    else doorbell(effect)
  }

  // -------------------------------------------------------------------------------------------------------
  // the fiber
  // -------------------------------------------------------------------------------------------------------

  /** Sets its fiber. When the fiber ends, the session ends. */
  follow(fiber: Fiber.Fiber<void>): void {
    this.fiber = fiber
    observe(this, fiber, fiberOver)
  }

  /**
   * Takes messages until none waits (`undefined`: park), a handler needs the fiber, or the batch is full and other fibers get
   * a turn.
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

  /** What the fiber does next: it handles messages until none waits, then parks. */
  proceed(): Effect.Effect<void> {
    return this.step() ?? Effect.callback((resume) => {
      this.doorbell = resume
    })
  }

  /** Provides the services of the kind and of this session. The fiber keeps them. */
  provided<A, E>(effect: Effect.Effect<A, E, any>): Effect.Effect<A, E> {
    return Effect.withFiber((fiber) => {
      fiber.setContext(this.context)
      return effect as Effect.Effect<A, E>
    })
  }

  /** The services for the Effects of handlers and hooks, made for the first Effect of the session. */
  private get context(): Context.Context<never> {
    return this.ensureExtras().context ??= this.kind.context.pipe(
      Context.add(CurrentSession, this.self),
      Context.add(Scope.Scope, this.scope()),
      Context.add(References.CurrentLogAnnotations, {
        ...Context.get(this.kind.context, References.CurrentLogAnnotations),
        session: `${this.kind.name}/${this.id}`
      }),
      // Flat: each message that runs as an Effect adds itself to this context.
      (context) => Context.makeUnsafe<never>(context.mapUnsafe)
    )
  }

  // -------------------------------------------------------------------------------------------------------
  // one message
  // -------------------------------------------------------------------------------------------------------

  /** Handles a message at once, or returns the Effect that handles it. */
  private handle(envelope: Envelope): Effect.Effect<void> | undefined {
    // Its caller was interrupted, or its deadline passed, before it began.
    if (envelope.status !== waiting) return skipped(this)
    if (this.place !== undefined && this.endIfLost()) {
      Ending.leaveOver(this, envelope, false)
      return Effect.void
    }
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
    // The fiber is parked, or runs this code. During the start it is not set yet.
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

  /** The idle time counts from the end of the handler, not from the arrival of the message. Own timers are no activity. */
  private touchAfter(envelope: Envelope): void {
    if (envelope.timer === undefined) this.host.expiry.touch(this, this.host.now())
  }

  private crashed(envelope: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined {
    envelope.timer?.done()
    // Until then it stays the current message, so that its caller gets an answer whatever happens.
    const next = crashed(this, envelope, cause)
    this.current = undefined
    return next
  }

  private complete(envelope: Envelope, out: unknown): Effect.Effect<void> | undefined {
    if (!Array.isArray(out)) return this.crashed(envelope, Cause.die(notAPair(this, envelope)))
    if (this.place !== undefined && this.endIfLost()) return Effect.void
    this.current = undefined
    this.commit(out[0])
    envelope.timer?.done()
    emitHandled(this, envelope, "success")
    const { persistence } = this.kind
    if (persistence === undefined) envelope.succeed(out[1])
    else replyWhenStored(this, envelope, out[1] === undefined ? Exit.void : Exit.succeed(out[1]), persistence)
    return undefined
  }

  /** The Effect of a handler failed. A declared error is its reply; anything else is a crash. */
  private failed(envelope: Envelope, cause: Cause.Cause<unknown>): Effect.Effect<void> | undefined {
    if (this.killed) return Effect.void
    if (!Cause.hasFails(cause) || Cause.hasDies(cause)) return this.crashed(envelope, cause)
    if (this.place !== undefined && this.endIfLost()) return Effect.void
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
}

const fiberOver = (session: FiberSession, exit: Exit.Exit<void>, fiber: Fiber.Fiber<void>): void => {
  // The end of a fiber that the session gave up, to hibernate or to end, means nothing.
  if (session.fiber === fiber && !session.hibernating) Ending.fiberEnded(session, exit)
}

const notAPair = (session: FiberSession, envelope: Envelope): TypeError =>
  new TypeError(
    `the handler of ${session.kind.name}.${envelope.route.tag} gave neither [state, reply] nor an Effect of it`
  )

/** The Effect with which the fiber goes on. */
class Turn extends Effectable.Class<void> {
  private readonly session: FiberSession
  constructor(session: FiberSession) {
    super()
    this.session = session
  }
  asEffect(): Effect.Effect<void> {
    return this.session.proceed()
  }
}
