/**
 * Delivers messages from a ref to the mailbox of its session.
 *
 * An idle session handles a message at once, so a call often has its reply before it returns. The caller parks only if there
 * is none yet.
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as MutableList from "effect/MutableList"
import * as Queue from "effect/Queue"
import {
  type CallTimeout,
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
import { CallDeadline, timedOut } from "./CallDeadline.ts"
import { Envelope, settled, type Trace, waiting } from "./Envelope.ts"
import type { CallRequest, CastRequest, Message } from "./Request.ts"
import { traceOf } from "./tracing.ts"
import { withdrawn } from "./withdrawn.ts"

/** The address of a message: what delivery needs of a ref. */
export interface Target {
  readonly home: Kind
  readonly id: string
  /** The session that is live under this address now. */
  live(now: number): LiveSession | undefined
  /** Loads the session if it is in the store, then runs `then`; fails with `SessionNotFound` otherwise. A call has a time limit. */
  elsewhere<A, E>(then: Effect.Effect<A, E>, message: CastRequest): Effect.Effect<A, E | ReachError>
  elsewhere<A, E>(then: Effect.Effect<A, E>, message: Message): Effect.Effect<A, E | ReachError | CallTimeout>
  /** The session failed an accepted message: gives the failure, or what is done instead. `again` sends the message again. */
  failed<A, E>(exit: Exit.Exit<A, E>, again: Effect.Effect<A, E>, message: Message): Effect.Effect<A, E>
}

/**
 * An Effect that is an object instead of closures, since one is made for every message. `run` gets the fiber that evaluates it.
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

/** Sends a message and gives its reply. */
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
    if (session === undefined) return ref.elsewhere(this, this.request)
    const cycle = callCycle(session, fiber, this.tag)
    if (cycle !== undefined) return Effect.die(cycle)
    const envelope = address(session, this.tag, this.payload, true, traceOf(fiber))
    envelope.caller = fiber
    const refused = submit(session, envelope, now, true)
    if (refused === undefined) return envelope.exit ?? this.answer(session, envelope, now + timeout)
    if (refused !== noRoomYet) return Effect.fail(refused)
    return Effect.flatMap(
      Effect.timeoutOrElse(Effect.exit(offer(session, envelope)), {
        duration: timeout,
        orElse: () => Effect.fail(timedOut(session, this.tag, timeout, false))
      }),
      (offered) =>
        Exit.isSuccess(offered)
          ? this.answer(session, envelope, now + timeout)
          : ref.failed<unknown, unknown>(offered, this, this.request)
    )
  }

  private get request(): CallRequest {
    const { payload, tag, timeout } = this
    return { op: "call", tag, payload, timeout }
  }

  /** Waits for the reply, at most until the deadline. An interrupted caller withdraws a message that has not begun. */
  private answer(session: LiveSession, envelope: Envelope, deadline: number): Effect.Effect<unknown, unknown> {
    return Effect.callback((resume) => {
      if (envelope.exit !== undefined) return resume(envelope.exit)
      const { deadlines } = session.host
      const limit = new CallDeadline(session, envelope, this.timeout)
      deadlines.set(limit, deadline)
      envelope.resume = (exit) => {
        deadlines.cancel(limit)
        resume(Exit.isSuccess(exit) ? exit : this.ref.failed(exit, this, this.request))
      }
      return Effect.sync(() => {
        deadlines.cancel(limit)
        envelope.resume = envelope.caller = undefined
        if (envelope.status !== waiting) return
        envelope.status = settled
        withdrawn(session)
      })
    })
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
    if (session === undefined) return ref.elsewhere(this, this.request)
    const envelope = address(session, this.tag, this.payload, false, traceOf(fiber))
    const refused = submit(session, envelope, now, true)
    if (refused === undefined) return Effect.void
    if (refused !== noRoomYet) return Effect.fail(refused)
    // A handler that waits for room in its own mailbox would wait for itself.
    if (callCycle(session, fiber, this.tag) !== undefined) return Effect.fail(refuse(session, envelope))
    envelope.caller = fiber
    return Effect.flatMap(Effect.exit(offer(session, envelope)), (offered) => {
      envelope.caller = undefined
      return Exit.isSuccess(offered) ? offered : ref.failed<void, CastError>(offered, this, this.request)
    })
  }

  private get request(): CastRequest {
    return { op: "cast", tag: this.tag, payload: this.payload }
  }
}

makeOperation(Cast)

/** Sends a message from outside Effect; `false` when it is not accepted. */
export const castUnsafe = (ref: Target, tag: string, payload: unknown): boolean => {
  const now = ref.home.host.now()
  const session = ref.live(now)
  return session !== undefined &&
    submit(session, address(session, tag, payload, false, undefined), now, false) === undefined
}

export const address = (
  session: LiveSession,
  tag: string,
  payload: unknown,
  isCall: boolean,
  trace: Trace | undefined
): Envelope => new Envelope(session.kind.route(tag), payload, isCall, trace)

/** The mailbox is full, and the sender may wait for room. */
export const noRoomYet = Symbol()

/**
 * Gives a message to its session, if the rate of messages and the mailbox allow it. Returns `undefined` when the session has
 * accepted it, and maybe handled it; otherwise the error, or `noRoomYet` for a sender that can wait.
 */
export function submit(
  session: LiveSession,
  envelope: Envelope,
  now: number,
  canWait: false
): MailboxFull | MessageRateExceeded | undefined
export function submit(
  session: LiveSession,
  envelope: Envelope,
  now: number,
  canWait: boolean
): MailboxFull | MessageRateExceeded | typeof noRoomYet | undefined
export function submit(
  session: LiveSession,
  envelope: Envelope,
  now: number,
  canWait: boolean
): MailboxFull | MessageRateExceeded | typeof noRoomYet | undefined {
  const { host, kind } = session
  if (kind.messageRate !== undefined) {
    const exceeded = checkRate(session, kind.messageRate, now)
    if (exceeded !== undefined) return exceeded
  }
  host.expiry.touch(session, now)
  markSent(host, envelope)
  if (!session.take(envelope)) return overflow(session, envelope, canWait)
  countAccepted(session, envelope)
  return undefined
}

const checkRate = (
  session: LiveSession,
  rate: NonNullable<Kind["messageRate"]>,
  now: number
): MessageRateExceeded | undefined => {
  const { host, id, kind } = session
  const retryAfter = host.messageLimiter.admit(session, rate, now)
  if (retryAfter <= 0) return undefined
  kind.counters.rejected++
  emit(session, { _tag: "RateLimitExceeded", limit: "messages", retryAfter })
  return MessageRateExceeded.of(kind.name, id, retryAfter)
}

const countAccepted = ({ kind: { counters } }: LiveSession, { isCall }: Envelope): void => {
  if (isCall) counters.calls++
  else counters.casts++
}

/** Carries out what the overflow policy decides for a message without room. */
const overflow = (
  session: LiveSession,
  envelope: Envelope,
  canWait: boolean
): MailboxFull | typeof noRoomYet | undefined => {
  const messages = session.mailbox.messages as MutableList.MutableList<Envelope>
  const decision = envelope.route.overflow({
    message: envelope,
    canWait,
    droppable: () =>
      MutableList.toArray(messages).filter(({ isRemembered, status }) => status === waiting && !isRemembered)
  })
  switch (decision._tag) {
    case "wait":
      return noRoomYet
    case "refuse":
      return refuse(session, envelope)
    case "replace":
      MutableList.remove(messages, decision.dropped)
      drop(session, decision.dropped)
      session.take(envelope)
      countAccepted(session, envelope)
      return undefined
  }
}

/** Settles a message that was dropped from the mailbox for another one. */
const drop = (session: LiveSession, dropped: Envelope): void => {
  session.kind.counters.dropped++
  const error = mailboxFull(session, dropped)
  if (dropped.isCall) dropped.settle(Exit.fail(error))
  else {
    dropped.status = settled
    dropped.timer?.done()
  }
  emit(session, { _tag: "CommunicationError", tag: dropped.route.tag, error })
}

const mailboxFull = ({ id, kind }: LiveSession, { route: { tag } }: Envelope): MailboxFull =>
  MailboxFull.of(kind.name, id, tag, kind.mailboxCapacity)

const refuse = (session: LiveSession, envelope: Envelope): MailboxFull => {
  const error = mailboxFull(session, envelope)
  session.kind.counters.rejected++
  emit(session, { _tag: "CommunicationError", tag: envelope.route.tag, error })
  return error
}

/** Waits until the mailbox has room. Senders get room in the order in which they began to wait. */
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
