/**
 * A connection to another node, at either end: it greets the peer, gathers what is sent in one turn of the event loop, and ends
 * when the peer gives no sign of life.
 *
 * After the greeting, each line is a JSON array of frames:
 *
 *   both    [0]            a sign of life, four times per `silence`
 *   asker   [id, request]  asks                          server  [id, answer]    answers
 *           [-id]          withdraws a request                   [id, event, 1]  something about a followed request
 *           [0, n]         ping                                  [id]            the request was not begun
 *                                                                [-id]           there is no answer, and it may have begun
 *                                                                [0, n]          has got ping n
 *                                                                [0, -1]         goodbye
 */
import type { Socket } from "node:net"
import { describe } from "../../../../internal/describe.ts"
import { guard, listen, type Owner } from "../../../../internal/guard.ts"
import { Deadline } from "../../../../runtime/internal/time/Deadlines.ts"
import { type Greeting, greetingLimit, type Step } from "./greeting.ts"
import { LineReader } from "./LineReader.ts"
import { keyOf, type NodeAddress, type NodeInfo } from "./model.ts"
import type { NodeContext } from "./NodeContext.ts"

/** The number of the control frame that says goodbye. */
export const goodbye = -1

/** The first element is a number: an id, or 0. */
export type Frame = readonly [id: number, ...Array<unknown>]

/** Who uses the connection. */
export interface User {
  readonly greeted: (peer: NodeInfo) => void
  readonly received: (frame: Frame) => void
  /** All that was sent so far is written to the socket. */
  readonly written: () => void
  /** The peer reads again. */
  readonly drained: () => void
  /** The connection is over. Called once, and nothing is called after it. */
  readonly closed: () => void
}

/** The most characters of a line with more than one frame. */
const fullLine = 256 * 1_024

/** How much may be sent in one turn before the peer counts as reading too slowly, in characters. */
const fullTurn = 64 * 1_024

/** How often a connection gives a sign of life within `silence`. */
const beats = 4

export class Connection extends Deadline implements Owner {
  private readonly node: NodeContext
  private readonly socket: Socket
  private readonly user: User
  private readonly reader = new LineReader(greetingLimit)
  private readonly onLine: (line: string) => boolean
  private readonly flushLater: () => void
  /** `undefined` after the greeting. */
  private greeting: Greeting | undefined
  private readonly to: NodeAddress | undefined
  private interval: number
  /** The most bytes of a frame, and the most characters of a line with more than one. */
  private frameLimit = 0
  private fullLine = 0
  private queue: Array<string> = []
  /** The length of the queue, in characters. */
  private queued = 0
  /** Whether something came since the last beat, and the number of beats before it without anything. */
  private hasHeard = false
  private quietBeats = 0
  private isClosed = false

  constructor(node: NodeContext, socket: Socket, greeting: Greeting, user: User) {
    super()
    this.node = node
    this.socket = socket
    this.user = user
    this.greeting = greeting
    this.to = greeting.to
    this.interval = node.self.silence / beats
    this.onLine = (line) => this.takeLine(line)
    this.flushLater = guard<this, void, void>(this, () => this.flush()) as () => void
    socket.setNoDelay(true)
    node.sockets.add(socket)
    listen(this, socket, "data", (_, chunk: Buffer) => this.read(chunk))
    listen(this, socket, "drain", () => this.drain())
    listen(this, socket, "close", () => {
      node.sockets.delete(socket)
      this.close()
    })
    // After an error comes a close.
    listen(this, socket, "error", () => {})
    this.beatLater()
  }

  /** Connects, and begins the greeting. */
  connect({ host, port }: NodeAddress): void {
    guard<this, void, void>(this, () => {
      this.socket.connect(port, host)
      this.socket.write(`${this.greeting!.begin()}\n`)
    })()
  }

  threw(defect: unknown): void {
    this.node.report("a connection to another node has failed", defect)
    this.close()
  }

  // -------------------------------------------------------------------------------------------------------
  // out
  // -------------------------------------------------------------------------------------------------------

  /** Whether the peer takes a line with this frame. */
  fits(frame: string): boolean {
    return 3 * frame.length <= this.frameLimit || Buffer.byteLength(frame) <= this.frameLimit
  }

  /** Sends a frame with all others of this turn. */
  send(frame: string): void {
    if (this.isClosed) return
    if (this.queue.length === 0) queueMicrotask(this.flushLater)
    this.queue.push(frame)
    this.queued += frame.length
  }

  /** How much the peer has not taken yet, about, in bytes. */
  get unread(): number {
    return this.queued + this.socket.writableLength
  }

  /** Whether the peer reads too slowly for what can wait. */
  get isFull(): boolean {
    return this.socket.writableNeedDrain || this.queued >= fullTurn
  }

  private flush(): void {
    const { queue, queued } = this
    if (this.isClosed || queue.length === 0) return
    this.queue = []
    this.queued = 0
    if (queued <= this.fullLine) this.write(queue)
    else {
      let from = 0
      let length = 0
      for (let i = 0; i < queue.length; i++) {
        if (i > from && length + queue[i]!.length > this.fullLine) {
          this.write(queue.slice(from, i))
          from = i
          length = 0
        }
        length += queue[i]!.length
      }
      this.write(queue.slice(from))
    }
    this.user.written()
    if (this.socket.writableLength > this.node.unreadLimit) {
      return this.refuse("it does not read what is sent to it")
    }
    this.drain()
  }

  private write(frames: ReadonlyArray<string>): void {
    this.socket.write(`[${frames.join(",")}]\n`)
  }

  private drain(): void {
    if (!this.isClosed && this.greeting === undefined && !this.isFull) this.user.drained()
  }

  // -------------------------------------------------------------------------------------------------------
  // in
  // -------------------------------------------------------------------------------------------------------

  private read(chunk: Buffer): void {
    if (this.isClosed) return
    this.hasHeard = true
    if (!this.reader.add(chunk, this.onLine)) this.refuse(`a line has more than ${this.reader.limit} bytes`)
  }

  private takeLine(line: string): boolean {
    if (this.greeting !== undefined) this.takeStep(this.greeting.take(line))
    else this.takeFrames(line)
    return !this.isClosed
  }

  private takeStep(step: Step): void {
    if (step._tag === "Refused") {
      if (step.line !== undefined) this.socket.write(`${step.line}\n`)
      return this.refuse(step.reason, step.line !== undefined)
    }
    if (step.line !== undefined) this.socket.write(`${step.line}\n`)
    if (step._tag === "Send") return
    this.greeting = undefined
    this.reader.limit = this.node.self.lineLimit
    this.frameLimit = step.lineLimit - 2
    // A character has at most 3 bytes, and each frame a comma.
    this.fullLine = Math.min(fullLine, step.lineLimit / 4)
    this.interval = step.silence / beats
    this.hasHeard = true
    this.beatLater()
    this.user.greeted(step.peer)
  }

  private takeFrames(line: string): void {
    let frames: unknown
    try {
      frames = JSON.parse(line)
    } catch {
      // That is what the check below finds.
    }
    if (!Array.isArray(frames) || !frames.every(isFrame)) return this.refuse("it sent what is no frame")
    for (const frame of frames) {
      if (this.isClosed) return
      if (frame[0] !== 0 || frame.length > 1) this.user.received(frame)
    }
  }

  /** The peer is none, breaks the protocol, or does not take part. */
  refuse(reason: string, isEnding = false): void {
    this.node.endings.report(this.peerName, reason)
    this.close(isEnding)
  }

  private get peerName(): string {
    return this.to === undefined ? describe(this.socket.remoteAddress ?? "another node") : keyOf(this.to)
  }

  // -------------------------------------------------------------------------------------------------------
  // signs of life
  // -------------------------------------------------------------------------------------------------------

  private beatLater(): void {
    this.node.deadlines.set(this, this.node.now() + this.interval)
  }

  /**
   * Silence is counted in beats, not in time: a process that was stopped for a minute has missed only one beat, and reads first
   * what has come meanwhile. A greeting must be over within the silence, whatever comes.
   */
  due(): void {
    if (this.hasHeard && this.greeting === undefined) {
      this.hasHeard = false
      this.quietBeats = 0
    } else if (++this.quietBeats >= beats) {
      return this.refuse(this.greeting === undefined ? "it gave no sign of life" : "it did not greet this node in time")
    }
    if (this.greeting === undefined) this.send("[0]")
    this.beatLater()
  }

  // -------------------------------------------------------------------------------------------------------
  // end
  // -------------------------------------------------------------------------------------------------------

  /** Ends the connection after all that was sent has gone. */
  end(): void {
    this.flush()
    this.close(true)
  }

  /** Ends the connection, at once or (`isEnding`) when what is written has gone. */
  close(isEnding = false): void {
    if (this.isClosed) return
    this.isClosed = true
    this.node.deadlines.cancel(this)
    if (isEnding) this.socket.destroySoon()
    else this.socket.destroy()
    this.user.closed()
  }
}

const isFrame = (value: unknown): value is Frame => Array.isArray(value) && Number.isSafeInteger(value[0])
