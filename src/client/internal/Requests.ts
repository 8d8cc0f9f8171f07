/**
 * The requests of one connection: numbers them, routes what the server says to them, and collects what is to be sent.
 */
import type * as Exit from "effect/Exit"
import { noop } from "./Scheduler.ts"
import * as Wire from "./Wire.ts"

export interface Request {
  /** Decodes the exit. Throws when it does not fit. */
  readonly decode: (json: unknown) => Exit.Exit<any, any>
  readonly exit: (exit: Exit.Exit<any, any>) => void
  /** Takes a chunk of a stream. Returns whether the chunk is to be acknowledged. */
  readonly chunk?: (values: ReadonlyArray<any>) => boolean
}

/** Name and value. */
export type Headers = ReadonlyArray<readonly [string, string]>

/** The size up to which messages share a frame, in bytes. */
const maxFrame = 16_384

/** So many chunks are acknowledged together. */
const maxAcks = 16

/** The longest time that an acknowledgement waits for others. Milliseconds. */
const ackDelay = 50

export class Requests {
  private readonly after: (millis: number, f: () => void) => () => void
  private readonly pending = new Map<string, Request>()
  private ids = 0
  /** The messages that are to be sent. */
  private out: Array<string> = []
  /** The requests whose chunks are still to be acknowledged. */
  private acks: Array<string> = []
  private cancelAcks = noop
  /** The largest frame that the server takes, in bytes, if it has named one. */
  frameLimit = Infinity

  constructor(after: (millis: number, f: () => void) => () => void) {
    this.after = after
  }

  /** Sends a request and returns its id; `undefined` if the server does not take a request of this length. */
  send(tag: string, payload: string, headers: Headers, request: Request): string | undefined {
    const id = String(++this.ids)
    const text = Wire.request(id, tag, payload, headers)
    // A character has at most three bytes.
    if (text.length * 3 > this.frameLimit && Wire.bytesOf(text) > this.frameLimit) return undefined
    this.pending.set(id, request)
    this.out.push(text)
    return id
  }

  /** Interrupts a request. What the server still says about it is ignored. */
  interrupt(id: string): void {
    if (this.pending.delete(id)) this.say("Interrupt", id)
  }

  ping(): void {
    this.say("Ping")
  }

  /** Routes a chunk to its request. */
  chunk(id: string, values: ReadonlyArray<unknown>): void {
    if (this.pending.get(id)?.chunk?.(values) === true) this.acknowledge(id)
  }

  /** Removes a request that has ended. */
  take(id: string): Request | undefined {
    const request = this.pending.get(id)
    this.pending.delete(id)
    return request
  }

  /** The connection is lost: nothing is under way any more. */
  clear(): void {
    this.pending.clear()
    this.out = []
    this.acks = []
    this.cancelAcks()
  }

  /** Takes what is to be sent, as few frames. */
  takeFrames(): ReadonlyArray<string> {
    return Wire.pack(this.out.splice(0), Math.min(maxFrame, this.frameLimit))
  }

  /** The server must know that chunks were taken, but not at once: one frame acknowledges many. */
  private acknowledge(id: string): void {
    this.acks.push(id)
    if (this.acks.length >= maxAcks) this.sayAcks()
    else if (this.acks.length === 1) this.cancelAcks = this.after(ackDelay, () => this.sayAcks())
  }

  private sayAcks(): void {
    this.cancelAcks()
    for (const requestId of this.acks.splice(0)) this.say("Ack", requestId)
  }

  private say(_tag: string, requestId?: string): void {
    this.out.push(JSON.stringify({ _tag, requestId }))
  }
}
