/**
 * The actions that have no answer yet, in order. Each is handled once, however often it is sent.
 *
 * An action gets a number when it is first sent, and keeps it until it is answered. If it is certain that the action was
 * not handled, the number is free for the first action in the queue. If the server refuses an action that others must not
 * overtake (`Busy`, `ActionOutOfOrder`, or a client that the server has forgotten), the outbox drains: it sends nothing
 * until all actions in flight are answered, since the server refuses those behind it too. Then it sends them again, in
 * order.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { ActionForgotten, ActionOutOfOrder } from "../../contract/internal/onceErrors.ts"
import { headers } from "../../contract/Live.ts"
import { Busy, type InvalidPayload, SessionGone, Unanswered } from "../../contract/LiveError.ts"
import { backoff } from "../../internal/backoff.ts"
import { noop } from "./Scheduler.ts"

type Answer = Exit.Exit<unknown, unknown>

/** An optimistic change of a view, shown before the server has made the change. */
export type Update = (value: any) => unknown

export class PendingAction {
  readonly tag: string
  readonly payload: unknown
  /** The payload as JSON. */
  readonly json: string
  readonly optimistic: { readonly [view: string]: Update | undefined }
  /** Gives the answer to the caller; `undefined` if none waits any more. */
  settle: ((answer: Answer) => void) | undefined
  /** Whether it was logged that an optimistic function throws. */
  logged = false
  /** The client name under which it is numbered. */
  client = ""
  /** Its number; 0 while it has none. */
  sequence = 0
  /** The incarnation of the session to which it was first sent. */
  epoch = 0
  /** How many actions the session had accepted when it was first sent, if the session has said so. */
  accepted: number | undefined = undefined
  /** Whether the server may already have received it. */
  again = false
  /** The id of its request in flight. */
  request: string | undefined = undefined
  /** How often the server has closed the connection because of it. */
  blamed = 0

  constructor(
    tag: string,
    payload: unknown,
    json: string,
    optimistic: PendingAction["optimistic"],
    settle: PendingAction["settle"]
  ) {
    this.tag = tag
    this.payload = payload
    this.json = json
    this.optimistic = optimistic
    this.settle = settle
  }
}

/** What the server says about the session when the client connects. */
export interface Greeting {
  readonly epoch: number
  /** How many actions may be in flight. */
  readonly window: number
  /** How many actions the session has accepted. */
  readonly accepted?: number | undefined
}

export interface OutboxHost {
  /** Sends a request and gives its id. Gives `undefined` if the request is longer than the server accepts. */
  readonly send: (action: PendingAction, headers: ReadonlyArray<readonly [string, string]>) => string | undefined
  /** The error of an action that is longer than the server accepts. */
  readonly tooLarge: (tag: string) => InvalidPayload
  readonly after: (millis: number, f: () => void) => () => void
  /** Makes a client name that no other client has. */
  readonly name: () => string
  /** An action is answered and has left the outbox. */
  readonly settled: (action: PendingAction, answer: Answer) => void
}

/** The longest pause of a client whose actions are refused again and again, in milliseconds. */
const maxPause = 30_000

/** How often the server may close the connection because of an action before the client gives the action up. */
const maxBlamed = 3

export class Outbox {
  readonly actions: Array<PendingAction> = []
  private readonly host: OutboxHost
  private readonly flights = new Map<string, PendingAction>()
  private client: string
  /** The number of the next action that has none. */
  private next = 1
  private window = 1
  private epoch = 0
  private accepted: number | undefined = undefined
  /** The actions one of which may have made the server close the connection. They are sent one at a time. */
  private readonly suspects = new Set<PendingAction>()
  private open = false
  /** Nothing is sent until all actions in flight are answered. */
  private draining = false
  private pausing = false
  private cancelPause = noop
  /** How long to pause after draining, in milliseconds. */
  private pause = 0
  /** How often the outbox had to number actions again since the last answer. */
  private setbacks = 0
  /** Whether the server has forgotten this client. */
  private forgotten = false
  private expected: number | undefined = undefined

  constructor(host: OutboxHost) {
    this.host = host
    this.client = host.name()
  }

  // -------------------------------------------------------------------------------------------------------
  // events
  // -------------------------------------------------------------------------------------------------------

  add(action: PendingAction): void {
    this.actions.push(action)
    this.pump()
  }

  /** Removes an action that was not sent. `false` if it was sent. */
  withdraw(action: PendingAction): boolean {
    const index = action.sequence === 0 ? this.actions.indexOf(action) : -1
    if (index < 0) return false
    this.actions.splice(index, 1)
    return true
  }

  /** The server has answered `hello`. */
  connected({ accepted, epoch, window }: Greeting): void {
    this.open = true
    this.epoch = epoch
    this.accepted = accepted
    this.window = Math.max(1, window)
    if (this.forgotten) this.regroup()
    else this.pump()
  }

  /** The connection is lost: the actions in flight may have been handled or not. */
  disconnected(): void {
    for (const action of this.flights.values()) {
      action.request = undefined
      action.again = true
    }
    this.flights.clear()
    this.open = this.draining = this.pausing = false
    this.cancelPause()
    this.pause = 0
    this.expected = undefined
  }

  /** Nothing more is sent on this connection, which the server is about to close. */
  hold(): void {
    this.open = false
  }

  /** The answer to a request. */
  answer(id: string, answer: Answer): void {
    const action = this.flights.get(id)
    if (action === undefined) return
    this.flights.delete(id)
    action.request = undefined
    const error = errorOf(answer)
    if (error instanceof Busy) {
      // The action was not accepted, so its number is free.
      this.setback(error.retryAfter)
    } else if (error instanceof ActionOutOfOrder) {
      action.again = false
      this.setback()
      // A server that expects number 1 has forgotten the client. Under a new client name, no late message of the old one
      // can be mistaken for a new action.
      if (action.client === this.client && error.expected > 1) this.expected = error.expected
      else this.forgotten = true
    } else if (error instanceof ActionForgotten && !action.again) {
      this.forgotten = true
      this.setback()
    } else if (error instanceof Unanswered) {
      // Sent again, it waits for the same answer.
      action.again = true
    } else if (error instanceof SessionGone && (error.reason === "Shutdown" || error.reason === "Moved")) {
      action.again = true
      this.hold()
    } else if (Exit.isFailure(answer) && Cause.hasInterruptsOnly(answer.cause)) {
      // The server has interrupted it, and may have handled it or not.
      action.again = true
      this.setback(250)
    } else this.settle(action, answer)
    if (this.draining && this.flights.size === 0) this.regroup()
    else this.pump()
  }

  /**
   * The server has closed the connection because of something that was sent, such as a frame that is `tooBig`. Which action
   * caused it is unknown, so those in flight are sent one at a time from now on. If only one was in flight, it is the cause:
   * if it was too big, it was certainly not handled and fails; otherwise it is sent twice more.
   */
  blame(tooBig = false): void {
    for (const action of this.flights.values()) {
      this.suspects.add(action)
      if (this.flights.size > 1 || (++action.blamed < maxBlamed && !tooBig)) continue
      this.flights.clear()
      this.settle(
        action,
        Exit.fail(tooBig ? this.host.tooLarge(action.tag) : ActionForgotten.of(action.sequence))
      )
    }
  }

  /** Fails all actions with this error. Later actions are numbered under a new client name. */
  fail(error: (action: PendingAction) => unknown): void {
    this.disconnected()
    this.suspects.clear()
    for (const action of this.actions.splice(0)) this.host.settled(action, Exit.fail(error(action)))
    this.rename()
  }

  // -------------------------------------------------------------------------------------------------------
  // sending
  // -------------------------------------------------------------------------------------------------------

  /** Sends actions in order, no further ahead of the first unanswered one than the server remembers. */
  private pump(): void {
    if (!this.open || this.draining || this.pausing) return
    const window = this.suspects.size > 0 ? 1 : this.window
    const oversized: Array<PendingAction> = []
    let client = ""
    let first = 0
    let flying = 0
    for (const action of this.actions) {
      const isNew = action.sequence === 0
      const sequence = isNew ? this.next : action.sequence
      const of = isNew ? this.client : action.client
      if (client === "") {
        client = of
        first = sequence
      } else if (of !== client) break // Numbers under another client name do not keep the order with these.
      if (flying >= window || sequence - first >= window) break
      action.client = of
      action.sequence = sequence
      if (action.request !== undefined || this.send(action)) {
        flying++
        if (isNew) this.next++
      } else {
        oversized.push(action)
        if (isNew) action.sequence = 0
      }
    }
    for (const action of oversized) {
      const { again, sequence, tag } = action
      this.settle(action, Exit.fail(again ? ActionForgotten.of(sequence) : this.host.tooLarge(tag)))
    }
  }

  /** Sends an action. `false` if it is longer than the server accepts. */
  private send(action: PendingAction): boolean {
    if (!action.again) {
      action.epoch = this.epoch
      action.accepted = this.accepted
    }
    const { accepted, again, client, epoch, sequence } = action
    const id = this.host.send(action, [
      [headers.client, client],
      [headers.sequence, String(sequence)],
      [headers.epoch, String(epoch)],
      ...(again ? [[headers.again, "true"] as const] : []),
      ...(again && accepted !== undefined ? [[headers.accepted, String(accepted)] as const] : [])
    ])
    if (id === undefined) return false
    action.request = id
    this.flights.set(id, action)
    return true
  }

  private settle(action: PendingAction, answer: Answer): void {
    this.setbacks = 0
    this.suspects.delete(action)
    this.actions.splice(this.actions.indexOf(action), 1)
    this.host.settled(action, answer)
  }

  // -------------------------------------------------------------------------------------------------------
  // sending again
  // -------------------------------------------------------------------------------------------------------

  private setback(pause?: number): void {
    this.draining = true
    if (pause !== undefined) this.pause = Math.max(this.pause, pause)
  }

  /** All actions in flight are answered: numbers actions again where necessary, and sends them again. */
  private regroup(): void {
    const { expected } = this
    if (this.forgotten || expected !== undefined) this.setbacks++
    this.draining = false
    this.expected = undefined
    if (this.forgotten) {
      this.rename()
      for (const action of this.actions) if (!action.again) action.sequence = 0
    } else if (expected !== undefined) {
      // The server has accepted neither this number nor a later one.
      for (const action of this.actions) {
        if (action.client !== this.client || action.sequence < expected) continue
        action.sequence = 0
        action.again = false
      }
      this.next = expected
    }
    // After repeated refusals, each further attempt waits longer.
    const patience = backoff(this.setbacks - 3, 250, maxPause)
    const pause = Math.max(this.pause, patience)
    this.pause = 0
    if (pause <= 0) return this.pump()
    this.pausing = true
    this.cancelPause = this.host.after(pause, () => {
      this.pausing = false
      this.pump()
    })
  }

  private rename(): void {
    this.client = this.host.name()
    this.next = 1
    this.forgotten = false
  }
}

/** The error of a failed answer; `undefined` if it succeeded, died, or was interrupted. */
export const errorOf = (answer: Answer): unknown => {
  if (Exit.isSuccess(answer)) return undefined
  return answer.cause.reasons.find(Cause.isFailReason)?.error
}
