/**
 * A message on its way: what was sent, and where its answer goes.
 */
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Tracer from "effect/Tracer"
import type * as Overflow from "../../../policy/Overflow.ts"

/** How one message of a kind is handled; made once per kind and tag. */
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
  /** Does someone wait for the answer? */
  readonly isCall: boolean
  readonly trace: Trace | undefined
  status: typeof waiting | typeof begun | typeof settled = waiting
  /** The answer, once there is one. */
  exit: Exit.Exit<any, any> | undefined = undefined
  /** Takes the answer to a caller that is parked. */
  resume: ((exit: Exit.Exit<any, any>) => void) | undefined = undefined
  /** The fiber that waits for its answer, or for room for it. */
  caller: Fiber.Fiber<any, any> | undefined = undefined
  /** The timer of the session itself that sent it. That is no activity. */
  timer: { done(): void } | undefined = undefined
  /** Takes note of an answer that is not given yet. */
  decided: ((exit: Exit.Exit<any, any>) => void) | undefined = undefined
  /** Does the session remember its answer? Then it is not dropped for a newer one. */
  isRemembered = false
  /** When it was sent, in milliseconds; -1 unless someone listens to events. */
  sentAt = -1

  constructor(route: Route, payload: unknown, isCall: boolean, trace: Trace | undefined) {
    this.route = route
    this.payload = payload
    this.isCall = isCall
    this.trace = trace
  }

  /** Settles with an answer. The first one counts. */
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
