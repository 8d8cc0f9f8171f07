/**
 * A message on its way: its payload, and where its reply goes.
 */
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import type * as Overflow from "../../../policy/Overflow.ts"

/** How one message of a kind is handled. Each kind has one route for each tag. */
export interface Route {
  readonly tag: string
  readonly handler: (turn: any) => unknown
  readonly overflow: Overflow.Policy
}

export const waiting = 0
export const begun = 1
export const settled = 2

/** The caller's trace, when it has one. */
export interface Trace {
  readonly tracer: Tracer.Tracer
  readonly parent: Tracer.AnySpan | undefined
}

export class Envelope {
  readonly route: Route
  readonly payload: unknown
  /** `true` for a call, `false` for a cast. */
  readonly isCall: boolean
  readonly trace: Trace | undefined
  status: typeof waiting | typeof begun | typeof settled = waiting
  /** The reply, once there is one. */
  exit: Exit.Exit<any, any> | undefined = undefined
  /** Resumes the parked caller with the reply. */
  resume: ((exit: Exit.Exit<any, any>) => void) | undefined = undefined
  /** The fiber that waits for the reply, or for room in the mailbox. */
  caller: Fiber.Fiber<any, any> | undefined = undefined
  /** The timer of the session that sent it. Such a message is no activity. */
  timer: { done(): void } | undefined = undefined
  /** Called with the reply when it is known but must wait until the changes are written. */
  decided: ((exit: Exit.Exit<any, any>) => void) | undefined = undefined
  /** `true` when the reply cache has it. Such a message is not dropped for another one. */
  isRemembered = false
  /** When it was sent, in milliseconds; -1 without a listener to events. */
  sentAt = -1

  constructor(route: Route, payload: unknown, isCall: boolean, trace: Trace | undefined) {
    this.route = route
    this.payload = payload
    this.isCall = isCall
    this.trace = trace
  }

  /** Settles it with a reply. The first reply counts. */
  settle(exit: Exit.Exit<any, any>): void {
    if (this.status === settled) return
    this.status = settled
    this.exit = exit
    this.caller = undefined
    const resume = this.resume
    if (resume !== undefined) {
      this.resume = undefined
      resume(exit)
    }
  }

  succeed(reply: unknown): void {
    if (this.isCall) this.settle(reply === undefined ? Exit.void : Exit.succeed(reply))
    else this.status = settled
  }
}
