/**
 * A connection over which a client is told the state of its session: a JSON message a line, both ways.
 */
import * as CloseCode from "../../../contract/CloseCode.ts"
import type { EndReason } from "../../../contract/EndReason.ts"
import { isTextDeeper, tooDeep } from "../../../internal/jsonDepth.ts"
import { eachLine, isBlank } from "./lines.ts"
import { SocketConnection, type SocketRoute } from "./SocketConnection.ts"

/** What a connection's route does for it. */
export interface StateRoute extends SocketRoute {
  /** The frame that tells a state. */
  readonly stateFrame: (state: unknown) => string
  /** The error of its kind with which a session stopped, encoded. */
  readonly declaredError: (reason: EndReason) => unknown
  /** How deep the JSON of a message may be nested. */
  readonly maxDepth: number
}

/** What a connection does with a message of its client; `done` must be called when the next may come. */
export type Receive = (message: { readonly type: unknown }, done: () => void) => void

export class StateConnection extends SocketConnection {
  private readonly states: StateRoute
  /** Set before it is opened. */
  receive: Receive | undefined = undefined
  /** The state that is yet to be told; older ones are skipped. */
  private next: unknown = none
  private isWaiting = false
  /** Lines that came while one is being handled. */
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

  /** Tells the state, or a newer one, as soon as the client has taken what was said before. */
  push(state: unknown): void {
    this.next = state
    this.tell()
  }

  protected opened(): void {
    this.tell()
  }

  private tell(): void {
    if (!this.isOpen || this.isWaiting || this.next === none) return
    this.isWaiting = true
    this.say(this.frame)
  }

  private readonly frame = (): string => {
    const state = this.next
    this.isWaiting = false
    this.next = none
    return this.states.stateFrame(state)
  }

  send(message: unknown): void {
    this.say(JSON.stringify(message))
  }

  /** The session has ended: tells why, and closes. */
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

  /** While a message is being handled nothing is read. */
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

  /** Handles one line after the other; while one is being handled nothing is read. */
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

  /** A message is handled. Called by fibers. */
  private readonly done = (): void =>
    this.enter(() => {
      this.busy = false
      this.proceed()
    })

  /** The message of a line, or why it is none. */
  private parse(line: string): { readonly type: unknown } | string {
    const { maxDepth } = this.states
    if (isTextDeeper(line, maxDepth)) return tooDeep(maxDepth)
    try {
      const message: unknown = JSON.parse(line)
      if (typeof message === "object" && message !== null && "type" in message) return message
    } catch {
      // It is no JSON.
    }
    return "a JSON object with a type is expected"
  }
}

const none = Symbol()
