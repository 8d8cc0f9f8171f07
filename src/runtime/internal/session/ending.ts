/**
 * The end of a session.
 *
 * `begin` stops the intake. The messages accepted so far are handled first (drain). Without a drain, or when it takes longer
 * than the grace period, the running handler is interrupted (kill) and every waiting caller gets an answer. When the fiber
 * has ended, the end hook runs and the Scope is closed.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as EndReason from "../../../contract/EndReason.ts"
import { SessionEnded, StartFailed } from "../../../contract/SessionError.ts"
import { observe } from "../../../internal/guard.ts"
import { type Envelope, settled } from "../messages/Envelope.ts"
import { CallbackDeadline } from "../time/Deadlines.ts"
import { cancelTimers } from "./cancelTimers.ts"
import { emit } from "./events.ts"
import { cancelHibernation, leaveHibernation } from "./hibernating.ts"
import type { LiveSession } from "./LiveSession.ts"
import { freeStart, settleStart } from "./starting.ts"
import { ended, ending } from "./status.ts"

/** Begins the end. During a drain, a second call without `drain` kills the session at once. */
export const begin = (session: LiveSession, reason: EndReason.EndReason, drain: boolean): void => {
  if (session.status === ended) return
  if (session.status < ending) {
    session.status = ending
    session.reason = reason
    session.host.expiry.remove(session)
    // A hibernating session has neither messages nor a fiber.
    if (leaveHibernation(session)) return fiberEnded(session, Exit.void)
    if (drain && !pausesIdly(session)) {
      session.wake()
      // The fiber is busy. It carries out the end when the mailbox is empty.
      if (session.isNotEnded) limit(session)
      return
    }
    return kill(session)
  }
  if (!drain) kill(session)
}

/** `true` when it pauses after a crash and no message waits. */
const pausesIdly = (session: LiveSession): boolean => session.recovering && Queue.sizeUnsafe(session.mailbox) === 0

/** The grace period is counted in steps, so that a process that stands still for long loses one step and not all of it. */
const graceSteps = 4

/** Starts a grace period for the end. */
const limit = (session: LiveSession): void => {
  const { config: { shutdownGrace }, deadlines } = session.host
  const extras = session.ensureExtras()
  if (extras.endDeadline !== undefined) deadlines.cancel(extras.endDeadline)
  let left = graceSteps
  const step = (now: number): void => {
    if (left === 0) return graceOver(session)
    left--
    deadlines.set(deadline, now + shutdownGrace / graceSteps)
  }
  const deadline = extras.endDeadline = new CallbackDeadline(step)
  step(session.host.now())
}

/** Interrupts the running handler. Every waiting caller gets an answer, even if the handler cannot be interrupted. */
const kill = (session: LiveSession): void => {
  const extras = session.ensureExtras()
  if (extras.killed) return
  extras.killed = true
  answerAll(session)
  session.fiber?.interruptUnsafe()
  if (session.isNotEnded) limit(session)
}

/** A grace period is over. */
const graceOver = (session: LiveSession): void => {
  const { fiber, host, killed } = session
  if (!killed) return kill(session)
  // A handler, the end hook or a finalizer is uninterruptible. The session ends without it, and closes its Scope when it
  // returns.
  const scope = session.extras?.scope
  if (scope !== undefined && fiber !== undefined) {
    observe(session, fiber, ({ kind }) => kind.runFork(Scope.close(scope, Exit.void)))
  }
  session.kind.runFork(session.cleanupFailed(new Error(`it did not end within ${host.config.shutdownGrace} ms`)))
  finish(session)
}

const answerAll = (session: LiveSession): void => {
  // It was hibernating.
  if (session.mailbox === session.kind.noMailbox) return
  if (session.current !== undefined) leaveOver(session, session.current, true)
  // Each take lets in a sender that waits for room, so this goes on until none is left.
  for (;;) {
    const taken = Queue.takeUnsafe(session.mailbox)
    if (taken === undefined || taken._tag === "Failure") break
    leaveOver(session, taken.value, false)
  }
  Queue.shutdownUnsafe(session.mailbox)
}

/** Settles a message that will not be handled, or not to its end. */
export const leaveOver = (session: LiveSession, envelope: Envelope, begun: boolean): void => {
  if (envelope.status === settled) return
  const { host, id, kind } = session
  const { isCall, payload, route: { tag } } = envelope
  const reason = session.reason!
  const error = SessionEnded.of(kind.name, id, reason, begun)
  if (isCall) envelope.settle(Exit.fail(error))
  else {
    envelope.status = settled
    kind.counters.deadLetters++
    host.letters.publish({
      kind: kind.name,
      id,
      tag,
      payload,
      reason: { _tag: "Undelivered", end: reason },
      at: host.date()
    })
  }
  emit(session, { _tag: "CommunicationError", tag, error })
}

/** The fiber has ended, as intended or not. */
export const fiberEnded = (session: LiveSession, exit: Exit.Exit<void>): void => {
  if (session.status === ended) return
  if (session.status < ending) {
    // Unintended: the fiber was interrupted from outside, or the runtime has a defect.
    session.status = ending
    session.reason = EndReason.crashed(Exit.isFailure(exit) ? Cause.squash(exit.cause) : new Error("its fiber ended"))
    session.host.expiry.remove(session)
  }
  if (!session.hasStarted && session.extras?.startFailure === undefined) {
    const defect = new Error(EndReason.format(session.reason!))
    settleStart(session, Exit.fail(StartFailed.of(session.kind.name, session.id, defect)))
  }
  answerAll(session)
  notifyStore(session)
  cancelTimers(session, staysStored(session) ? undefined : session.reason)
  const cleanup = makeCleanup(session, exit)
  if (cleanup === undefined) return finish(session)
  limit(session)
  const { host } = session
  const began = host.now()
  session.ensureExtras().cleansUp = true
  // The fiber may have ended already when `runFork` returns.
  const fiber = session.kind.runFork(Effect.withFiber((fiber) => {
    session.fiber = fiber as Fiber.Fiber<void>
    return cleanup
  }))
  observe(session, fiber, (_, exit) => {
    if (session.status === ended) return
    if (Exit.isFailure(exit)) session.kind.runFork(session.cleanupFailed(Cause.squash(exit.cause)))
    else emit(session, { _tag: "Cleanup", duration: host.now() - began })
    finish(session)
  })
}

/** The end hook, then the closing of the Scope; `undefined` when there is neither. */
const makeCleanup = (session: LiveSession, exit: Exit.Exit<void>): Effect.Effect<void> | undefined => {
  const { end } = session.kind.behavior
  const hook = session.hasStarted && end !== undefined
    ? session.provided(
      Effect.suspend(() => end({ state: session.state, reason: session.reason!, self: session.self }))
    )
    : undefined
  if (hook === undefined && session.extras?.scope === undefined) return undefined
  // The hook may be the first to acquire something.
  const release = Effect.suspend(() => {
    const scope = session.extras?.scope
    return scope === undefined ? Effect.void : Scope.close(scope, exit)
  })
  return hook === undefined ? release : Effect.ensuring(hook, release)
}

/** The reasons that leave the session in the store. */
const storedAfter: ReadonlySet<EndReason.EndReason["_tag"]> = new Set(["Shutdown", "Crashed", "Evicted"])

/** `true` when it stays in the store, with its timers, in this or another process. */
const staysStored = ({ hasStarted, reason, kind: { persistence } }: LiveSession): boolean =>
  persistence !== undefined && hasStarted && (reason!._tag === "Moved" || storedAfter.has(reason!._tag))

/** Notifies the store of the end, once, while the session still has all that is to be stored. */
const notifyStore = (session: LiveSession): void => {
  const { extras, hasStarted, reason, kind: { persistence } } = session
  if (persistence === undefined || !hasStarted || extras?.storeNotified === true) return
  session.ensureExtras().storeNotified = true
  if (reason!._tag === "Moved" && extras?.handedOver !== true) persistence.forget(session)
  else persistence.ended(session, staysStored(session))
}

const finish = (session: LiveSession): void => {
  if (session.status === ended) return
  notifyStore(session)
  session.status = ended
  const { extras, host, id, kind } = session
  const reason = session.reason!
  if (kind.sessions.get(id) === session) kind.sessions.delete(id)
  host.live--
  if (session.hasStarted) {
    kind.counters.ended[reason._tag]++
    if (host.events.active) {
      emit(session, {
        _tag: "Stop",
        reason,
        duration: host.now() - session.began,
        messages: session.handled,
        connections: extras?.connections?.total ?? 0,
        ...(extras?.user === undefined ? {} : { user: extras.user })
      })
    }
  }
  // These changes will not be written, so the watchers need not wait for that.
  if ((extras?.watchers?.pending ?? 0) > 0 && !staysStored(session)) {
    extras!.watchers!.changed(session.state, session.version, session.epoch)
  }
  cancelHibernation(session)
  freeStart(session)
  forget(session)
  if (extras === undefined) return
  cancelTimers(session, staysStored(session) ? undefined : session.reason)
  if (extras.user !== undefined) host.assign(session, extras.user, undefined)
  if (extras.endDeadline !== undefined) host.deadlines.cancel(extras.endDeadline)
  extras.connections?.close()
  extras.watchers?.ended(reason)
  if (extras.endWaiters !== undefined) { for (const waiter of extras.endWaiters) waiter(reason) }
  session.extras = undefined
  // A caller that asks later gets the same failure.
  if (extras.startFailure !== undefined) session.ensureExtras().startFailure = extras.startFailure
}

/** Drops what the session held: a ref may outlive it for long. */
const forget = (session: LiveSession): void => {
  session.fiber = undefined
  session.state = undefined
  session.mailbox = session.kind.noMailbox
  session.turnCache = undefined
}
