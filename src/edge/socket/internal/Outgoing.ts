/**
 * What is said over a socket, in order, and no faster than the client takes it.
 *
 * A long message goes in parts, each of which is written when the one before has gone. So a slow link shows that it moves,
 * and what is asked of it meanwhile, a sign of life, is not behind megabytes. What cannot go yet waits here. It may be given
 * as a function, which is asked for the message when its turn comes: then there is nothing to keep.
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import type { Socket } from "node:net"
import { guard, type Owner } from "../../../internal/guard.ts"
import * as Parts from "../../../internal/parts.ts"

/** What makes a message when its turn comes; `undefined` when there is nothing to say any more. */
interface Later {
  (): string | undefined
  /** How much of the message there is already, in UTF-16 units. */
  readonly held?: number
}

/** What is to be said. */
export type Message = string | Later

const lengthOf = (message: Message): number => typeof message === "string" ? message.length : message.held ?? 0

/** Who speaks. */
export interface Speaker extends Owner {
  /** All that waited has been said. */
  readonly drained: () => void
}

/** Nothing waits. */
const empty: Array<Message> = []

export class Outgoing {
  private readonly socket: WebSocket
  private readonly wire: Socket
  private readonly speaker: Speaker
  /** Goes on when a part has gone. */
  private readonly partGone: (error?: Error) => void
  /** Does the client take parts that are frames of their own? Else they are fragments of one. */
  inParts = false
  private queue = empty
  private head = 0
  /** The long message that is being said, and how much of it is. */
  private long: string | undefined = undefined
  private at = 0
  private isInParts = false
  /** How long the messages are that wait, in UTF-16 units; what is yet to be made does not count. */
  waiting = 0

  constructor(socket: WebSocket, wire: Socket, speaker: Speaker) {
    this.socket = socket
    this.wire = wire
    this.speaker = speaker
    this.partGone = guard<Speaker, Error | undefined, void>(speaker, (_, error) => {
      // Whatever is wrong with the socket, it closes.
      if (error !== undefined && error !== null) return
      if (this.long !== undefined && this.at < this.long.length) return this.sayPart()
      this.long = undefined
      this.proceed()
    }) as (error?: Error) => void
  }

  /** Would a message have to wait? */
  get isBusy(): boolean {
    return this.long !== undefined || this.head < this.queue.length || this.wire.writableNeedDrain
  }

  /** Is a message half said, so that no other may be said before the rest of it? */
  get isWithin(): boolean {
    return this.long !== undefined
  }

  say(message: Message): void {
    if (!this.isBusy) return this.begin(message)
    if (this.queue === empty) this.queue = []
    this.queue.push(message)
    this.waiting += lengthOf(message)
  }

  /** Forgets what waits. */
  drop(): void {
    this.queue = empty
    this.head = this.waiting = 0
  }

  /** Says what can be said by now. */
  proceed(): void {
    while (this.head < this.queue.length && this.long === undefined && !this.wire.writableNeedDrain) {
      this.begin(this.take())
    }
    if (!this.isBusy) this.speaker.drained()
  }

  private take(): Message {
    const message = this.queue[this.head]!
    // A queue that is never quite empty keeps nothing of what was said.
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
      return this.sayPart()
    }
    const { socket } = this
    // One write of one string takes 70 % of the time of `send`, which writes a header and a buffer.
    if (Buffer.byteLength(text) === length && socket.readyState === socket.OPEN) {
      this.wire.write(headOf(length) + text, "latin1")
    } else socket.send(text, ignore)
  }

  private sayPart(): void {
    const { at, isInParts, long = "", partGone, socket } = this
    const end = this.at = Parts.endOfPart(long, at)
    const part = long.slice(at, end)
    const isLast = end === long.length
    if (isInParts) socket.send((isLast ? Parts.last : Parts.more) + part, partGone)
    else socket.send(part, { binary: false, fin: isLast }, partGone)
  }
}

/** The header of a frame of text with so many bytes, up to 65,535, in Latin-1. */
const headOf = (length: number): string =>
  length < 126
    ? String.fromCharCode(0x81, length)
    : String.fromCharCode(0x81, 126, length >> 8, length & 0xff)

const ignore = () => {}
