/**
 * The actions that have no answer yet, in their order; each is handled once, however often it is sent.
 *
 * An action gets its number when it is first sent. It keeps it until it is answered, unless it is certain that it was not
 * handled: then the number is free, for whichever action comes first. When the server turns an action down so that others
 * must not overtake it (`Busy`, `ActionOutOfOrder`, a client that it does not know any more), nothing more is sent until
 * all that is under way is answered: those behind it are turned down too. Then they go again, in their order.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import { ActionForgotten, ActionOutOfOrder } from "../../contract/internal/onceErrors.ts"
import { headers } from "../../contract/Live.ts"
import { Busy, type InvalidPayload, SessionGone, Unanswered } from "../../contract/LiveError.ts"
import { backoff } from "../../internal/backoff.ts"
import { noop } from "./Scheduler.ts"

type Answer = Exit.Exit<unknown, unknown>

/** A change of a view that is shown before the server has made it. */
export type Update = (value: any) => unknown

export class PendingAction {
  readonly tag: string
  readonly payload: unknown
  /** The payload as JSON. */
  readonly json: string
  readonly optimistic: { readonly [view: string]: Update | undefined }
  /** Tells the answer to who waits for it, if anybody still does. */
  settle: ((answer: Answer) => void) | undefined
  /** Was it logged that an optimistic function throws? */
  logged = false
  client = ""
  /** Its number; 0 while it has none. */
  sequence = 0
  /** The incarnation of the session to which it was first sent. */
  epoch = 0
  /** How many actions the session had accepted by then, as far as it has said so. */
  accepted: number | undefined = undefined
  /** May the server have it from an earlier sending? */
  again = false
  /** The request that is under way for it. */
  request: string | undefined = undefined
  /** How often the server has closed the connection over it. */
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

/** What the server says of the session. */
export interface Greeting {
  readonly epoch: number
  /** How many actions may be under way. */
  readonly window: number
  /** How many actions it has accepted. */
  readonly accepted?: number | undefined
}

export interface OutboxHost {
  /** Sends a request and gives its id, unless it is longer than the server takes. */
  readonly send: (action: PendingAction, headers: ReadonlyArray<readonly [string, string]>) => string | undefined
  /** What an action is told that is longer than the server takes. */
  readonly tooLarge: (tag: string) => InvalidPayload
  readonly after: (millis: number, f: () => void) => () => void
  /** A name that no other client has. */
  readonly name: () => string
  /** An action is answered and out of the box. */
  readonly settled: (action: PendingAction, answer: Answer) => void
}

/** The longest pause of a client that gets nowhere, in milliseconds. */
const maxPause = 30_000

/** So often the server may close the connection over an action. */
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
  /** Those of which one may be why the server has closed the connection: they go one at a time. */
  private readonly suspects = new Set<PendingAction>()
  private open = false
  /** Nothing more is sent until all that is under way is answered. */
  private draining = false
  private pausing = false
  private cancelPause = noop
  /** Milliseconds to wait after that. */
  private pause = 0
  /** How often it had to begin anew since the last answer. */
  private setbacks = 0
  /** Does the server not know this client any more? */
  private forgotten = false
  private expected: number | undefined = undefined

  constructor(host: OutboxHost) {
    this.host = host
    this.client = host.name()
  }

  // -------------------------------------------------------------------------------------------------------
  // what happens to it
  // -------------------------------------------------------------------------------------------------------

  add(action: PendingAction): void {
    this.actions.push(action)
    this.pump()
  }

  /** Takes an action back that was not sent. `false` when it was. */
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

  /** The connection is lost: what was under way may have been handled, or not. */
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
      // Its number stayed free.
      this.setback(error.retryAfter)
    } else if (error instanceof ActionOutOfOrder) {
      action.again = false
      this.setback()
      // One that is to begin with 1 is not known any more. Under a new name nothing that is still on its way is taken for it.
      if (action.client === this.client && error.expected > 1) this.expected = error.expected
      else this.forgotten = true
    } else if (error instanceof ActionForgotten && !action.again) {
      this.forgotten = true
      this.setback()
    } else if (error instanceof Unanswered) {
      // Sent again it joins the wait for its answer.
      action.again = true
    } else if (error instanceof SessionGone && (error.reason === "Shutdown" || error.reason === "Moved")) {
      action.again = true
      this.hold()
    } else if (Exit.isFailure(answer) && Cause.hasInterruptsOnly(answer.cause)) {
      // The server has given it up, and has handled it or not.
      action.again = true
      this.setback(250)
    } else this.settle(action, answer)
    if (this.draining && this.flights.size === 0) this.regroup()
    else this.pump()
  }

  /**
   * The server has closed the connection over something that was sent, such as a frame that is `tooBig`. Nobody knows over
   * which action, so those that were under way go one at a time from here on. One that is under way alone is the one: if it
   * was too big, it was certainly not handled; if not, it gets two more chances.
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

  /** All actions fail with this error, and those that come are of a new client. */
  fail(error: (action: PendingAction) => unknown): void {
    this.disconnected()
    this.suspects.clear()
    for (const action of this.actions.splice(0)) this.host.settled(action, Exit.fail(error(action)))
    this.rename()
  }

  // -------------------------------------------------------------------------------------------------------
  // sending
  // -------------------------------------------------------------------------------------------------------

  /** Sends what may be sent: in order, and no further from the first without an answer than the server remembers. */
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
      } else if (of !== client) break // The numbers of another name do not keep it behind these.
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

  /** Sends it, unless it is longer than the server takes. */
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
  // beginning anew
  // -------------------------------------------------------------------------------------------------------

  private setback(pause?: number): void {
    this.draining = true
    if (pause !== undefined) this.pause = Math.max(this.pause, pause)
  }

  /** All that was under way is answered: numbers what must be numbered anew, and sends again. */
  private regroup(): void {
    const { expected } = this
    if (this.forgotten || expected !== undefined) this.setbacks++
    this.draining = false
    this.expected = undefined
    if (this.forgotten) {
      this.rename()
      for (const action of this.actions) if (!action.again) action.sequence = 0
    } else if (expected !== undefined) {
      // The server has not accepted this number and none behind it.
      for (const action of this.actions) {
        if (action.client !== this.client || action.sequence < expected) continue
        action.sequence = 0
        action.again = false
      }
      this.next = expected
    }
    // A server that turns down again and again what should be right is not asked without end.
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

/** The error with which it failed; `undefined` when it did not, or died, or was interrupted. */
export const errorOf = (answer: Answer): unknown => {
  if (Exit.isSuccess(answer)) return undefined
  return answer.cause.reasons.find(Cause.isFailReason)?.error
}
