/**
 * A connection over which a client is sent the state of its session: one JSON message per line, in both directions.
 */
import * as CloseCode from "../../../contract/CloseCode.ts"
import type { EndReason } from "../../../contract/EndReason.ts"
import { isTextDeeper, tooDeep } from "../../../internal/jsonDepth.ts"
import { eachLine, isBlank } from "./lines.ts"
import { SocketConnection, type SocketRoute } from "./SocketConnection.ts"

/** What a connection gets from its route. */
export interface StateRoute extends SocketRoute {
  /** The frame for a state. */
  readonly stateFrame: (state: unknown) => string
  /** The declared error with which a session stopped, encoded. */
  readonly declaredError: (reason: EndReason) => unknown
  /** How deep the JSON of a message may be nested. */
  readonly maxDepth: number
}

/** Handles a message of the client, and calls `done` when the next one may be handled. */
export type Receive = (message: { readonly type: unknown }, done: () => void) => void

export class StateConnection extends SocketConnection {
  private readonly states: StateRoute
  /** Set before the connection is opened. */
  receive: Receive | undefined = undefined
  /** The state that is to be sent; older ones are skipped. */
  private next: unknown = none
  private isWaiting = false
  /** Lines that were received while another one is handled. */
  private waiting: Array<string> = []
  private busy = false
  private proceeding = false

  constructor(route: StateRoute, name: string, closed: () => void) {
    super(route, name, closed)
    this.states = route
  }

  // -------------------------------------------------------------------------------------------------------
  // out
  // -------------------------------------------------------------------------------------------------------

  /** Sends the state, or a newer one, as soon as the client has taken what was sent before. */
  push(state: unknown): void {
    this.next = state
    this.writeState()
  }

  protected opened(): void {
    this.writeState()
  }

  private writeState(): void {
    if (!this.isOpen || this.isWaiting || this.next === none) return
    this.isWaiting = true
    this.write(this.frame)
  }

  private readonly frame = (): string => {
    const state = this.next
    this.isWaiting = false
    this.next = none
    return this.states.stateFrame(state)
  }

  send(message: unknown): void {
    this.write(JSON.stringify(message))
  }

  /** The session has ended: sends the reason, and closes. */
  ended(reason: EndReason): void {
    this.enter(() => {
      const error = this.states.declaredError(reason)
      const frame = { type: "end", reason: reason._tag, ...(error === undefined ? {} : { error }) }
      this.end(CloseCode.ofEnd(reason, error !== undefined), reason._tag.toLowerCase(), JSON.stringify(frame))
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // in
  // -------------------------------------------------------------------------------------------------------

  /** Nothing is read while a message is handled. */
  protected override get isReading(): boolean {
    return !this.busy
  }

  protected received(text: string): void {
    eachLine(text, (line) => {
      if (this.overdraws() > 0) {
        this.close(CloseCode.policyViolation, "too many messages")
        return false
      }
      if (!isBlank(line)) this.waiting.push(line)
      return true
    })
    this.proceed()
  }

  protected gone(): void {
    this.waiting = []
  }

  /** Handles one line after the other, and reads nothing meanwhile. */
  private proceed(): void {
    if (this.proceeding) return
    this.proceeding = true
    try {
      this.handleNext()
    } finally {
      this.proceeding = false
    }
    if (!this.isOpen) return
    if (this.busy) this.socket?.pause()
    else this.socket?.resume()
  }

  private handleNext(): void {
    while (!this.busy && this.isOpen) {
      const line = this.waiting.shift()
      if (line === undefined) return
      const message = this.parse(line)
      if (typeof message === "string") {
        this.send({ type: "error", error: { _tag: "InvalidMessage", message } })
        continue
      }
      this.busy = true
      this.receive!(message, this.done)
    }
  }

  /** A message was handled. Called by fibers. */
  private readonly done = (): void =>
    this.enter(() => {
      this.busy = false
      this.proceed()
    })

  /** The message of a line, or why the line is not one. */
  private parse(line: string): { readonly type: unknown } | string {
    const { maxDepth } = this.states
    if (isTextDeeper(line, maxDepth)) return tooDeep(maxDepth)
    try {
      const message: unknown = JSON.parse(line)
      if (typeof message === "object" && message !== null && "type" in message) return message
    } catch {
      // It is not JSON.
    }
    return "a JSON object with a type is expected"
  }
}

const none = Symbol()
