/**
 * A connection over which a client is told the state of its session: a JSON message a line, both ways.
 */
import * as CloseCode from "../../../contract/CloseCode.ts"
import type { EndReason } from "../../../contract/EndReason.ts"
import { SocketConnection, type SocketRoute } from "./SocketConnection.ts"

/** What a connection's route does for it. */
export interface StateRoute extends SocketRoute {
  /** The frame that tells a state. */
  readonly stateFrame: (state: unknown) => string
  /** The error of its kind with which a session stopped, encoded. */
  readonly declaredError: (reason: EndReason) => unknown
}

/** What a connection does with a message of its client; `done` must be called when the next may come. */
export type Receive = (message: { readonly type: unknown }, done: () => void) => void

export class StateConnection extends SocketConnection {
  private readonly states: StateRoute
  /** Set before it is opened. */
  receive: Receive | undefined = undefined
  /** The state that is yet to be sent; older ones are skipped. */
  private next: unknown = none
  private sending = false
  /** Lines that came while one is being handled. */
  private waiting: Array<string> = []
  private busy = false

  constructor(route: StateRoute, closed: () => void) {
    super(route, closed)
    this.states = route
  }

  // -------------------------------------------------------------------------------------------------------
  // out
  // -------------------------------------------------------------------------------------------------------

  /** Sends the state, or a newer one, as soon as the client has taken what was sent before. */
  push(state: unknown): void {
    this.next = state
    this.flush()
  }

  protected opened(): void {
    this.flush()
  }

  private flush(): void {
    if (!this.isOpen || this.sending || this.next === none) return
    const state = this.next
    this.next = none
    let frame: string
    try {
      frame = this.states.stateFrame(state)
    } catch (defect) {
      this.close(CloseCode.internalError, "the state cannot be told")
      throw defect
    }
    this.sending = true
    this.socket!.send(frame, () => {
      this.sending = false
      this.flush()
    })
  }

  send(message: unknown): void {
    this.sendFrame(JSON.stringify(message))
  }

  /** The session has ended: tells why, and closes. */
  ended(reason: EndReason): void {
    const error = this.states.declaredError(reason)
    const frame = { type: "end", reason: reason._tag, ...(error === undefined ? {} : { error }) }
    this.close(CloseCode.ofEnd(reason, error !== undefined), reason._tag.toLowerCase(), JSON.stringify(frame))
  }

  // -------------------------------------------------------------------------------------------------------
  // in
  // -------------------------------------------------------------------------------------------------------

  /** While a message is being handled nothing is read. */
  protected override get isReading(): boolean {
    return !this.busy
  }

  protected received(text: string): void {
    for (const line of text.split("\n")) {
      if (line.trim() === "") continue
      if (this.overdraws() > 0) return this.close(CloseCode.policyViolation, "too many messages")
      this.waiting.push(line)
    }
    this.proceed()
  }

  protected gone(): void {
    this.waiting = []
  }

  /** Handles one line after the other; while one is being handled nothing is read. */
  private proceed(): void {
    while (!this.busy && this.isOpen) {
      const line = this.waiting.shift()
      if (line === undefined) {
        this.socket?.resume()
        return
      }
      const message = parse(line)
      if (message === undefined) {
        this.send({
          type: "error",
          error: { _tag: "InvalidMessage", message: "a JSON object with a type is expected" }
        })
        continue
      }
      this.busy = true
      this.receive!(message, () => {
        this.busy = false
        this.proceed()
      })
    }
    if (this.busy) this.socket?.pause()
  }
}

const none = Symbol()

const parse = (line: string): { readonly type: unknown } | undefined => {
  try {
    const message: unknown = JSON.parse(line)
    return typeof message === "object" && message !== null && "type" in message ? message : undefined
  } catch {
    return undefined
  }
}
