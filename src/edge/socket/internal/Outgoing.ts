/**
 * The messages to a client: in order, and no faster than the client takes them.
 *
 * A long message goes in parts, each written when the one before is sent. So a slow connection shows progress, and a ping is
 * not queued behind megabytes. Other messages wait here meanwhile. A message may be a function that makes it when its turn
 * comes, so that nothing is stored until then.
 *
 * Why this does not use `send` of `ws` alone, or the `Socket` of Effect: neither tells when a slow client has taken what was
 * written, so backpressure comes from the `net.Socket` below (`writableNeedDrain`, the event `drain`). And a short ASCII
 * message is written to it as a frame in one string: that takes 3.4 µs of CPU where `send` takes 5.4 µs (180 bytes; 0.62 to
 * 0.72 of the time for 60 to 8,000 bytes; ws 8.23, Node 24, 200 connections, the median of turns).
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import type { Socket } from "node:net"
import { guard, type Owner } from "../../../internal/guard.ts"
import * as Parts from "../../../internal/parts.ts"

/** Makes a message when its turn comes; `undefined` when there is nothing to send any more. */
interface Later {
  (): string | undefined
  /** The length of the part of the message that is in memory already, in UTF-16 units. */
  readonly held?: number
}

export type Message = string | Later

const lengthOf = (message: Message): number => typeof message === "string" ? message.length : message.held ?? 0

/** The owner of the messages. */
export interface Sender extends Owner {
  /** All messages are sent. */
  readonly drained: () => void
}

/** The queue of connections whose clients keep up, which do not need one of their own. */
const empty: Array<Message> = []

export class Outgoing {
  private readonly socket: WebSocket
  private readonly wire: Socket
  private readonly sender: Sender
  /** Called when a part is sent. */
  private readonly partSent: (error?: Error) => void
  /** Whether the client takes parts as frames of their own; otherwise they are fragments of one frame. */
  inParts = false
  private queue = empty
  private head = 0
  /** The long message that is being sent, and the length of its sent part. */
  private long: string | undefined = undefined
  private at = 0
  private isInParts = false
  /** The length of the messages that wait, in UTF-16 units, without those that are not made yet. */
  waiting = 0

  constructor(socket: WebSocket, wire: Socket, sender: Sender) {
    this.socket = socket
    this.wire = wire
    this.sender = sender
    this.partSent = guard<Sender, Error | undefined, void>(sender, (_, error) => {
      // A socket with an error closes.
      if (error !== undefined && error !== null) return
      if (this.long !== undefined && this.at < this.long.length) return this.sendPart()
      this.long = undefined
      this.proceed()
    }) as (error?: Error) => void
  }

  /** Whether a message would have to wait. */
  get isBusy(): boolean {
    return this.long !== undefined || this.head < this.queue.length || this.wire.writableNeedDrain
  }

  /** Whether a message is partly sent, so that no other may be sent before the rest of it. */
  get isWithin(): boolean {
    return this.long !== undefined
  }

  /** Sends a message, or queues it. */
  send(message: Message): void {
    if (!this.isBusy) return this.begin(message)
    if (this.queue === empty) this.queue = []
    this.queue.push(message)
    this.waiting += lengthOf(message)
  }

  /** Drops the messages that wait. */
  drop(): void {
    this.queue = empty
    this.head = this.waiting = 0
  }

  /** Sends what can be sent now. */
  proceed(): void {
    while (this.head < this.queue.length && this.long === undefined && !this.wire.writableNeedDrain) {
      this.begin(this.take())
    }
    if (!this.isBusy) this.sender.drained()
  }

  private take(): Message {
    const message = this.queue[this.head]!
    // A queue that never becomes empty must not hold what was sent.
    this.queue[this.head++] = ""
    this.waiting -= lengthOf(message)
    if (this.head === this.queue.length) this.drop()
    else if (this.head === 1_024) {
      this.queue.splice(0, this.head)
      this.head = 0
    }
    return message
  }

  private begin(message: Message): void {
    const text = typeof message === "string" ? message : message()
    if (text === undefined) return
    const { length } = text
    if (length > Parts.partLength) {
      this.long = text
      this.at = 0
      this.isInParts = this.inParts
      return this.sendPart()
    }
    const { socket } = this
    // See above for why not always `send`.
    if (Buffer.byteLength(text) === length && socket.readyState === socket.OPEN) {
      this.wire.write(headOf(length) + text, "latin1")
    } else socket.send(text, ignore)
  }

  private sendPart(): void {
    const { at, isInParts, long = "", partSent, socket } = this
    const end = this.at = Parts.endOfPart(long, at)
    const part = long.slice(at, end)
    const isLast = end === long.length
    if (isInParts) socket.send((isLast ? Parts.last : Parts.more) + part, partSent)
    else socket.send(part, { binary: false, fin: isLast }, partSent)
  }
}

/** The header of a text frame with so many bytes, at most 65,535, as Latin-1. */
const headOf = (length: number): string =>
  length < 126
    ? String.fromCharCode(0x81, length)
    : String.fromCharCode(0x81, 126, length >> 8, length & 0xff)

const ignore = () => {}
