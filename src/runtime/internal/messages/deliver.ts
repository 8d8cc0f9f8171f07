/**
 * From a ref into the mailbox.
 *
 * An idle session handles the message at once, so a call often has its answer before it returns; only if not does
 * the caller park.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as MutableList from "effect/MutableList"
import * as Queue from "effect/Queue"
import {
  type CallError,
  CallTimeout,
  type CastError,
  MailboxFull,
  MessageRateExceeded,
  type ReachError,
  SessionEnded
} from "../../../contract/SessionError.ts"
import type { Kind } from "../host/Kind.ts"
import { emit, markSent } from "../session/events.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { callCycle } from "./callCycle.ts"
import { CallDeadline } from "./CallDeadline.ts"
import { Envelope, settled, type Trace, waiting } from "./Envelope.ts"
import { traceOf } from "./tracing.ts"
import { withdrawn } from "./withdrawn.ts"

/** Where a message goes: a ref, as far as messages need it. */
export interface Target {
  readonly home: Kind
  readonly id: string
  /** The session that is live under this address now. */
  live(now: number): LiveSession | undefined
  /** Loads the session if it is in the store, and then does this; fails otherwise. A call waits so long for that. */
  elsewhere<A, E>(then: Effect.Effect<A, E>): Effect.Effect<A, E | ReachError>
  elsewhere<A, E>(
    then: Effect.Effect<A, E>,
    call: { readonly tag: string; readonly timeout: number }
  ): Effect.Effect<A, E | ReachError | CallTimeout>
}

/**
 * Effects that are objects instead of closures: they are made for every message. `run` gets the fiber that
 * evaluates them.
 */
interface Operation<A, E> extends Effect.Effect<A, E> {
  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<A, E>
}

const makeOperation = (operation: { readonly prototype: Operation<any, any> }): void => {
  Object.setPrototypeOf(operation.prototype, operationPrototype)
}

const operationPrototype = Effectable.Prototype<Operation<any, any>>({
  label: "effect-sessions/Operation",
  evaluate(fiber) {
    return this.run(fiber)
  }
})

// `makeOperation` gives the class what the interface declares.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Call extends Effect.Effect<unknown, unknown> {}

/** Sends a message and gives its answer. */
export class Call {
  private readonly ref: Target
  private readonly tag: string
  private readonly payload: unknown
  private readonly timeout: number

  constructor(ref: Target, tag: string, payload: unknown, timeout: number) {
    this.ref = ref
    this.tag = tag
    this.payload = payload
    this.timeout = timeout
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<unknown, unknown> {
    const { ref, timeout } = this
    const { host } = ref.home
    const now = host.now()
    const session = ref.live(now)
    if (session === undefined) return ref.elsewhere(this, { tag: this.tag, timeout })
    const cycle = callCycle(session, fiber, this.tag)
    if (cycle !== undefined) return Effect.die(cycle)
    const envelope = address(session, this.tag, this.payload, true, traceOf(fiber))
    envelope.caller = fiber
    const refused = admit(session, envelope, now)
    if (refused !== undefined) return Effect.fail(refused)
    if (session.take(envelope)) {
      countAccepted(session, envelope)
      return envelope.exit ?? answer(session, envelope, timeout, now + timeout)
    }
    const full = overflow(session, envelope)
    if (full === undefined) return answer(session, envelope, timeout, now + timeout)
    if (full !== waitForRoom) return Effect.fail(full)
    return Effect.flatMap(
      Effect.timeoutOrElse(offer(session, envelope), {
        duration: timeout,
        orElse: () => {
          const error = CallTimeout.of(ref.home.name, ref.id, this.tag, timeout, false)
          ref.home.counters.timeouts++
          emit(session, { _tag: "CommunicationError", tag: this.tag, error })
          return Effect.fail(error)
        }
      }),
      () => answer(session, envelope, timeout, now + timeout)
    )
  }
}

makeOperation(Call)

// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export interface Cast extends Effect.Effect<void, CastError> {}

/** Sends a message and succeeds when it is accepted. */
export class Cast {
  private readonly ref: Target
  private readonly tag: string
  private readonly payload: unknown

  constructor(ref: Target, tag: string, payload: unknown) {
    this.ref = ref
    this.tag = tag
    this.payload = payload
  }

  run(fiber: Fiber.Fiber<any, any>): Effect.Effect<void, CastError> {
    const { ref } = this
    const now = ref.home.host.now()
    const session = ref.live(now)
    if (session === undefined) return ref.elsewhere(this)
    const envelope = address(session, this.tag, this.payload, false, traceOf(fiber))
    const refused = admit(session, envelope, now)
    if (refused !== undefined) return Effect.fail(refused)
    if (session.take(envelope)) {
      countAccepted(session, envelope)
      return Effect.void
    }
    const full = overflow(session, envelope)
    if (full !== waitForRoom) return full === undefined ? Effect.void : Effect.fail(full)
    // A handler that waits for room in its own mailbox waits for itself.
    if (callCycle(session, fiber, this.tag) !== undefined) return Effect.fail(refuse(session, envelope))
    envelope.caller = fiber
    return Effect.tap(offer(session, envelope), () =>
      Effect.sync(() => {
        envelope.caller = undefined
      }))
  }
}

makeOperation(Cast)

/** Sends a message from outside Effect; `false` when it is not accepted. */
export const castUnsafe = (ref: Target, tag: string, payload: unknown): boolean => {
  const { host } = ref.home
  const now = host.now()
  const session = ref.live(now)
  if (session === undefined) return false
  const envelope = address(session, tag, payload, false, undefined)
  if (admit(session, envelope, now) !== undefined) return false
  if (session.take(envelope)) {
    countAccepted(session, envelope)
    return true
  }
  const full = overflow(session, envelope)
  if (full === waitForRoom) refuse(session, envelope)
  return full === undefined
}

export const address = (
  session: LiveSession,
  tag: string,
  payload: unknown,
  isCall: boolean,
  trace: Trace | undefined
): Envelope => new Envelope(session.kind.route(tag), payload, isCall, trace)

/** Checks the rate of messages, notes the activity and the time. Gives why the message is refused, if it is. */
export const admit = (session: LiveSession, envelope: Envelope, now: number): MessageRateExceeded | undefined => {
  const { host, kind } = session
  const { messageRate } = kind
  if (messageRate !== undefined) {
    const wait = host.messageLimiter.admit(session, messageRate, now)
    if (wait > 0) {
      kind.counters.rejected++
      emit(session, { _tag: "RateLimitExceeded", limit: "messages", retryAfter: wait })
      return MessageRateExceeded.of(session.kind.name, session.id, wait)
    }
  }
  host.expiry.touch(session, now)
  markSent(host, envelope)
  return undefined
}

export const countAccepted = ({ kind: { counters } }: LiveSession, { isCall }: Envelope): void => {
  if (isCall) counters.calls++
  else counters.casts++
}

export const waitForRoom = Symbol()

/**
 * What the message's policy says when the mailbox is full: it was accepted after all (`undefined`), it may wait
 * for room, or it is refused.
 */
export const overflow = (session: LiveSession, envelope: Envelope): MailboxFull | typeof waitForRoom | undefined => {
  switch (envelope.route.overflow) {
    case "wait":
      return waitForRoom
    case "reject":
      return refuse(session, envelope)
    case "dropOldest": {
      const oldest = takeOldest(session, envelope)
      if (oldest === undefined) return refuse(session, envelope)
      session.kind.counters.dropped++
      const error = mailboxFull(session, oldest)
      if (oldest.isCall) oldest.settle(Exit.fail(error))
      else {
        oldest.status = settled
        oldest.timer?.done()
      }
      emit(session, { _tag: "CommunicationError", tag: oldest.route.tag, error })
      session.take(envelope)
      countAccepted(session, envelope)
      return undefined
    }
  }
}

/** Takes the oldest waiting message with the same tag out of the mailbox. */
const takeOldest = (session: LiveSession, envelope: Envelope): Envelope | undefined => {
  let oldest: Envelope | undefined
  MutableList.filter(session.mailbox.messages as MutableList.MutableList<Envelope>, (waits) => {
    if (oldest !== undefined || waits.route !== envelope.route || waits.status !== waiting || waits.isRemembered) {
      return true
    }
    oldest = waits
    return false
  })
  return oldest
}

const mailboxFull = (session: LiveSession, envelope: Envelope): MailboxFull =>
  MailboxFull.of(session.kind.name, session.id, envelope.route.tag, session.kind.mailboxCapacity)

export const refuse = (session: LiveSession, envelope: Envelope): MailboxFull => {
  const error = mailboxFull(session, envelope)
  session.kind.counters.rejected++
  emit(session, { _tag: "CommunicationError", tag: envelope.route.tag, error })
  return error
}

/** Waits until the mailbox has room. Who is first to wait is first to get it. */
const offer = (session: LiveSession, envelope: Envelope): Effect.Effect<void, SessionEnded> =>
  Effect.flatMap(
    Queue.offer(session.mailbox, envelope),
    (accepted) => {
      if (accepted) {
        countAccepted(session, envelope)
        session.host.wakeUps.later(session)
        return Effect.void
      }
      return Effect.fail(SessionEnded.of(session.kind.name, session.id, session.reason!, false))
    }
  )

/** Waits for the answer, at most until the deadline. An interrupted caller withdraws what has not begun. */
const answer = (
  session: LiveSession,
  envelope: Envelope,
  timeout: number,
  deadline: number
): Effect.Effect<unknown, CallError> =>
  Effect.callback((resume) => {
    if (envelope.exit !== undefined) return resume(envelope.exit)
    const { deadlines } = session.host
    const limit = new CallDeadline(session, envelope, timeout)
    deadlines.set(limit, deadline)
    envelope.resume = (exit) => {
      deadlines.cancel(limit)
      resume(exit)
    }
    return Effect.sync(() => {
      deadlines.cancel(limit)
      envelope.resume = envelope.caller = undefined
      if (envelope.status !== waiting) return
      envelope.status = settled
      withdrawn(session)
    })
  })
