/**
 * Delivers broadcasts to members.
 *
 * A delivery is a `cast`, which mostly completes at once. When it must wait, because the member's mailbox is full or the
 * member is being loaded, it goes on in the background: further messages to that member wait behind it, in the member's
 * lane, and deliveries to other members do not wait.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as MutableList from "effect/MutableList"
import * as Option from "effect/Option"
import * as EndReason from "../../../contract/EndReason.ts"
import type { SessionKind } from "../../../contract/Session.ts"
import { type CastError, MailboxFull, SessionEnded, SessionNotFound } from "../../../contract/SessionError.ts"
import { observe } from "../../../internal/guard.ts"
import type { DeadLetters } from "../../../runtime/DeadLetters.ts"
import type { SessionEvents } from "../../../runtime/SessionEvents.ts"

export type Members = SessionKind<any, any, any, any>

export interface Message {
  readonly tag: string
  readonly payload: unknown
  /** The group that sends it; empty for a broadcast to a user or to all. */
  readonly from: string
  /** Called when a message that waited finds that the member does not exist. */
  readonly gone: ((member: string) => void) | undefined
}

export type Outcome = "delivered" | "waiting" | "missed" | "gone"

export type Run = <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>

/** How many deliveries run before the fiber yields. */
export const stride = 512

interface Lane {
  readonly member: string
  /** The message that is being delivered. */
  first: Message
  fiber: Fiber.Fiber<void, CastError>
  readonly behind: MutableList.MutableList<Message>
}

export class Lanes {
  private readonly members: Members
  private readonly capacity: number
  private readonly run: Run
  private readonly now: () => number
  private readonly events: SessionEvents["Service"] | undefined
  private readonly letters: DeadLetters["Service"] | undefined
  private readonly lanes = new Map<string, Lane>()
  private readonly emptied = new Set<() => void>()
  private closed = false

  constructor(options: {
    readonly members: Members
    readonly capacity: number
    readonly run: Run
    readonly now: () => number
    readonly events: SessionEvents["Service"] | undefined
    readonly letters: DeadLetters["Service"] | undefined
  }) {
    this.members = options.members
    this.capacity = options.capacity
    this.run = options.run
    this.now = options.now
    this.events = options.events
    this.letters = options.letters
  }

  /** Delivers to a member, or queues the message. `run` starts the fiber of the delivery. */
  send(member: string, message: Message, run: Run = this.run): Outcome {
    const lane = this.lanes.get(member)
    if (lane !== undefined) return this.wait(lane, message)
    const fiber = this.cast(member, message, run)
    const exit = fiber.pollUnsafe()
    if (exit === undefined) {
      if (this.closed) {
        fiber.interruptUnsafe()
        return "missed"
      }
      const lane = { member, first: message, fiber, behind: MutableList.make<Message>() }
      this.lanes.set(member, lane)
      this.follow(lane)
      return "waiting"
    }
    if (exit._tag === "Success") {
      this.received(member, message)
      return "delivered"
    }
    return errorOf(exit) instanceof SessionNotFound ? "gone" : "missed"
  }

  private cast(member: string, { payload, tag }: Message, run: Run): Fiber.Fiber<void, CastError> {
    return run((this.members.findUnsafe(member) ?? this.members.ref(member)).cast(tag, payload))
  }

  private wait(lane: Lane, message: Message): Outcome {
    if (lane.behind.length + 1 < this.capacity) {
      MutableList.append(lane.behind, message)
      return "waiting"
    }
    this.tell(lane.member, message, MailboxFull.of(this.members.kind, lane.member, message.tag, this.capacity))
    return "missed"
  }

  private follow(lane: Lane): void {
    observe(this, lane.fiber, (_, exit) => {
      this.settled(lane, lane.first, exit)
      this.proceed(lane)
    })
  }

  /** A callback has thrown. */
  threw(defect: unknown): void {
    this.run(Effect.logError("a delivery to a member of a group has failed", defect))
  }

  /** Delivers the messages of a lane, until one must wait. */
  private proceed(lane: Lane): void {
    for (let budget = stride; budget > 0; budget--) {
      const next = MutableList.take(lane.behind)
      if (this.closed && next !== MutableList.Empty) {
        this.lose(lane, next, undefined)
        continue
      }
      if (next === MutableList.Empty) {
        this.lanes.delete(lane.member)
        if (this.lanes.size === 0) { for (const resume of this.emptied) resume() }
        return
      }
      lane.first = next
      lane.fiber = this.cast(lane.member, next, this.run)
      const exit = lane.fiber.pollUnsafe()
      if (exit === undefined) return this.follow(lane)
      this.settled(lane, next, exit)
    }
    this.run(Effect.andThen(Effect.yieldNow, Effect.sync(() => this.proceed(lane))))
  }

  /** A message that waited was delivered, or has failed. */
  private settled(lane: Lane, message: Message, exit: Exit.Exit<void, CastError>): void {
    if (exit._tag === "Success") return this.received(lane.member, message)
    const error = errorOf(exit)
    // The runtime has published an event for these.
    if (error?._tag === "MailboxFull" || error?._tag === "MessageRateExceeded") return
    if (error instanceof SessionNotFound) message.gone?.(lane.member)
    this.lose(lane, message, this.closed ? undefined : error ?? Cause.squash(exit.cause))
  }

  private received(id: string, { from, tag }: Message): void {
    const { events, members: { kind } } = this
    if (events?.active === true) events.publish({ _tag: "BroadcastReceive", kind, id, at: this.now(), tag, from })
  }

  private lose({ member: id }: Lane, message: Message, error: unknown): void {
    const { kind } = this.members
    const { payload, tag } = message
    const end = error === undefined
      ? EndReason.shutdown
      : error instanceof SessionEnded
      ? error.reason
      : EndReason.stopped(error)
    this.letters?.publish({ kind, id, tag, payload, reason: { _tag: "Undelivered", end }, at: this.now() })
    this.tell(id, message, error ?? SessionEnded.of(kind, id, end, false))
  }

  private tell(id: string, { tag }: Message, error: unknown): void {
    const { events } = this
    if (events?.active !== true) return
    events.publish({ _tag: "CommunicationError", kind: this.members.kind, id, at: this.now(), tag, error })
  }

  /** Waits until all lanes are empty. */
  private readonly drained = Effect.callback<void>((resume) => {
    if (this.lanes.size === 0) return resume(Effect.void)
    const done = () => resume(Effect.void)
    this.emptied.add(done)
    return Effect.sync(() => this.emptied.delete(done))
  })

  /** Waits up to `grace` milliseconds for the lanes to empty; messages that are left become dead letters. */
  close(grace: number): Effect.Effect<void> {
    return Effect.andThen(
      Effect.timeoutOption(this.drained, grace),
      Effect.sync(() => {
        this.closed = true
        for (const lane of Array.from(this.lanes.values())) lane.fiber.interruptUnsafe()
      })
    )
  }
}

const errorOf = (exit: Exit.Exit<void, CastError>): CastError | undefined =>
  exit._tag === "Success" ? undefined : Option.getOrUndefined(Cause.findErrorOption(exit.cause))
