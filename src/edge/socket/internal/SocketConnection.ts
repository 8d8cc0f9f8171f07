/**
 * An open WebSocket: its heartbeat, its limits, and its end. It consists of callbacks and a few fields; no fiber waits for it.
 * Subclasses decide what is sent and received.
 *
 * All callbacks of the socket, of the `net.Socket` below it, and of fibers run under one guard: an exception is logged with the
 * session and closes this connection with 1011. No other connection is affected.
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Socket } from "node:net"
import * as CloseCode from "../../../contract/CloseCode.ts"
import { listen, observe } from "../../../internal/guard.ts"
import { SlidingWindow } from "../../../policy/SlidingWindow.ts"
import { type Message, Outgoing, type Sender } from "./Outgoing.ts"

/** What a connection gets from its route. */
export interface SocketRoute {
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  readonly messageRate: { readonly limit: number; readonly window: number } | undefined
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

/** How much may wait for a client that does not read, in UTF-16 units. */
const maxWaiting = 4 * 1024 * 1024

/** How long a client may take to answer a close. Milliseconds. */
const closeTimeout = 10_000

/** How many bytes a client may still send after the close: as many may be on their way. */
const maxAfterClose = 4 * 1024 * 1024

export abstract class SocketConnection implements Sender {
  private readonly route: SocketRoute
  /** The session, as soon as it is known: for logs. */
  name: string
  private readonly closed: () => void
  protected socket: WebSocket | undefined = undefined
  /** The TCP connection of the socket. */
  private wire: Socket | undefined = undefined
  protected out: Outgoing | undefined = undefined
  private window: SlidingWindow | undefined = undefined
  /** Nothing is received any more, and only what waits is sent. */
  private ending = false
  /** How the connection closes, once that is decided. */
  private closing: { readonly code: number; readonly frame: string | undefined; readonly text: string } | undefined
  /** Waits for the client's answer to the close. */
  private closeTimer: Fiber.Fiber<void> | undefined = undefined
  /** The bytes that were read when receiving ended. */
  private readAtEnd = 0
  /** The pings that are not answered yet. */
  private pongs = 0

  // Signs of life are bytes: those that were read since the last look, and those that the client took of a backlog.
  private read = -1
  private taken = 0
  private hadBacklog = false

  constructor(route: SocketRoute, name: string, closed: () => void) {
    this.route = route
    this.name = name
    this.closed = closed
  }

  /** The handshake is complete. */
  open(socket: WebSocket, wire: Socket): void {
    this.socket = socket
    this.wire = wire
    this.out = new Outgoing(socket, wire, this)
    listen(this, socket, "message", onMessage)
    listen(this, socket, "ping", onPing)
    listen(this, socket, "pong", onPong)
    listen(this, socket, "error", onError)
    listen(this, socket, "close", onClose)
    listen(this, wire, "drain", onDrain)
    if (this.closing !== undefined) this.finish(this.closing)
    else this.enter(() => this.opened())
  }

  /** Messages can be sent now. */
  protected abstract opened(): void

  /** A text frame was received. */
  protected abstract received(text: string): void

  /** Nothing more is received or sent. May be called twice. */
  protected abstract gone(): void

  /** Whether it reads from the socket; signs of life are not seen otherwise. */
  protected get isReading(): boolean {
    return true
  }

  /** Whether messages can be sent. */
  protected get isOpen(): boolean {
    return this.socket !== undefined && this.isReceiving
  }

  private get isReceiving(): boolean {
    return this.closing === undefined && !this.ending
  }

  // -------------------------------------------------------------------------------------------------------
  // callbacks of the socket
  // -------------------------------------------------------------------------------------------------------

  onMessage(data: Buffer, isBinary: boolean): void {
    if (!this.isReceiving) this.ignored()
    else if (isBinary) this.close(CloseCode.unsupportedData, "text is expected")
    else this.received(data.toString())
  }

  /** `ws` answers a ping, whether the client reads or not: so it counts as a message. */
  onPing(): void {
    if (this.isReceiving) this.controlFrame()
    else this.ignored()
  }

  onPong(): void {
    if (!this.isReceiving) this.ignored()
    else if (this.pongs > 0) this.pongs--
    // It answers no ping.
    else this.controlFrame()
  }

  /** The client broke the protocol, and `ws` has sent a close; or the TCP connection failed. */
  onError(): void {
    if (this.closing !== undefined) return
    this.closing = { code: CloseCode.policyViolation, text: "", frame: undefined }
    this.leave()
  }

  onDrain(): void {
    this.out!.proceed()
  }

  onClose(): void {
    this.socket = undefined
    this.closeTimer?.interruptUnsafe()
    try {
      this.gone()
    } finally {
      this.closed()
    }
  }

  // -------------------------------------------------------------------------------------------------------
  // the guard
  // -------------------------------------------------------------------------------------------------------

  /** A callback has thrown. */
  threw(defect: unknown): void {
    this.route.run(Effect.logError(`a connection to ${this.name} has failed`, defect))
    this.close(CloseCode.internalError, "internal error")
  }

  /** Does something under the guard. */
  protected enter(f: () => void): void {
    try {
      f()
    } catch (defect) {
      this.threw(defect)
    }
  }

  /** Calls back, under the guard, when a fiber of this connection is done. */
  protected observe<A, E>(fiber: Fiber.Fiber<A, E>, f: (exit: Exit.Exit<A, E>) => void): void {
    observe(this, fiber, (_, exit) => f(exit))
  }

  // -------------------------------------------------------------------------------------------------------
  // out
  // -------------------------------------------------------------------------------------------------------

  /** Whether messages wait to be sent; `drained` is called when they are sent. */
  protected get isFull(): boolean {
    return this.out!.isBusy
  }

  /** All messages are sent. */
  drained(): void {}

  /** Sends a message, unless the connection is closed. A client that requests more and more and does not read is closed. */
  protected write(message: Message): void {
    if (!this.isOpen) return
    const out = this.out!
    if (out.waiting > maxWaiting) return this.close(CloseCode.tryAgainLater, "the client does not read")
    try {
      out.send(message)
    } catch (defect) {
      this.threw(defect)
    }
  }

  // -------------------------------------------------------------------------------------------------------
  // limits
  // -------------------------------------------------------------------------------------------------------

  /** Counts a message of the client. Gives 0 if it is within the rate, else the milliseconds until another one is. */
  protected overdraws(): number {
    const { messageRate, now } = this.route
    if (messageRate === undefined) return 0
    this.window ??= new SlidingWindow(messageRate.limit, messageRate.window, 20)
    return this.window.take(now())
  }

  private controlFrame(): void {
    if (this.overdraws() > 0) this.close(CloseCode.policyViolation, "too many messages")
  }

  /** Something was received after the close. */
  private ignored(): void {
    if (this.wire!.bytesRead - this.readAtEnd > maxAfterClose) this.terminate()
  }

  // -------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------

  /** Closes the connection at once, after sending `frame`, if no message is partly sent. */
  close(code: number, text: string, frame?: string): void {
    if (this.closing !== undefined) return
    this.closing = { code, text, frame }
    if (this.socket !== undefined) this.finish(this.closing)
  }

  /** Closes the connection when all that waits is sent, and `frame`. */
  protected end(code: number, text: string, frame?: string): void {
    if (!this.isReceiving) return
    if (this.out === undefined || !this.out.isBusy) return this.close(code, text, frame)
    this.ending = true
    this.readAtEnd = this.wire!.bytesRead
    this.out.send(() => {
      this.close(code, text, frame)
      return undefined
    })
  }

  private finish({ code, frame, text }: NonNullable<SocketConnection["closing"]>): void {
    const socket = this.socket!
    try {
      this.leave()
      if (frame !== undefined && !this.out!.isWithin) socket.send(frame, ignore)
      socket.resume()
      socket.close(CloseCode.sendable(code), CloseCode.sendableReason(text))
    } catch (defect) {
      this.route.run(Effect.logError(`a connection to ${this.name} could not be closed`, defect))
      this.terminate()
    }
  }

  private leave(): void {
    this.readAtEnd = this.wire!.bytesRead
    this.out!.drop()
    this.awaitAnswer()
    this.gone()
  }

  /** Terminates the connection if the client does not answer the close in time, unless it still reads a backlog. */
  private awaitAnswer(): void {
    this.look()
    const { taken } = this
    this.closeTimer = this.route.run(Effect.andThen(
      Effect.sleep(closeTimeout),
      Effect.sync(() => {
        this.look()
        if (this.hadBacklog && this.taken !== taken) this.awaitAnswer()
        else this.terminate()
      })
    ))
  }

  terminate(): void {
    this.socket?.terminate()
  }

  // -------------------------------------------------------------------------------------------------------
  // heartbeat
  // -------------------------------------------------------------------------------------------------------

  /** Sends a ping, and terminates the connection if there was no sign of life since the last one. */
  beat(): void {
    this.enter(() => {
      if (this.socket === undefined || this.closing !== undefined) return
      if (!this.look() && this.isReading) return this.terminate()
      this.pongs++
      this.socket.ping(ignore)
    })
  }

  /** Whether there was a sign of life since the last look. */
  private look(): boolean {
    const { bytesRead, bytesWritten, writableLength } = this.wire!
    const taken = bytesWritten - writableLength
    // Without a backlog, the system has taken what was written, which does not show that the client lives.
    const isAlive = bytesRead !== this.read || (this.hadBacklog && taken !== this.taken)
    this.read = bytesRead
    this.taken = taken
    this.hadBacklog = writableLength > 0
    return isAlive
  }
}

const onMessage = (connection: SocketConnection, data: Buffer, isBinary: boolean) =>
  connection.onMessage(data, isBinary)
const onPing = (connection: SocketConnection) => connection.onPing()
const onPong = (connection: SocketConnection) => connection.onPong()
const onError = (connection: SocketConnection) => connection.onError()
const onClose = (connection: SocketConnection) => connection.onClose()
const onDrain = (connection: SocketConnection) => connection.onDrain()

const ignore = () => {}
