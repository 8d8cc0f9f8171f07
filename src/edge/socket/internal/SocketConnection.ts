/**
 * An open socket: how it is kept alive, and its end. It is callbacks and a few fields; no fiber waits for it. What is said
 * over it is up to those who extend it.
 *
 * All that the socket, its wire and fibers call runs under one guard: what is thrown there is logged with the session and
 * closes this connection with 1011, and concerns nobody else.
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type { Socket } from "node:net"
import * as CloseCode from "../../../contract/CloseCode.ts"
import { listen, observe } from "../../../internal/guard.ts"
import { SlidingWindow } from "../../../policy/SlidingWindow.ts"
import { type Message, Outgoing, type Speaker } from "./Outgoing.ts"

/** What a socket's route does for it. */
export interface SocketRoute {
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  readonly messageRate: { readonly limit: number; readonly window: number } | undefined
  readonly run: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
}

/** How much of what a client has asked for may wait until it reads it, in UTF-16 units. */
const maxWaiting = 4 * 1024 * 1024

/** How long a client may take to answer a close. Milliseconds. */
const closeTimeout = 10_000

/** What a client may still send after it is closed, in bytes: as much may be on its way. */
const maxAfterClose = 4 * 1024 * 1024

export abstract class SocketConnection implements Speaker {
  private readonly route: SocketRoute
  /** Whose it is, for logs: the session, as soon as it is known. */
  name: string
  private readonly closed: () => void
  protected socket: WebSocket | undefined = undefined
  /** What the socket goes over. */
  private wire: Socket | undefined = undefined
  protected out: Outgoing | undefined = undefined
  private window: SlidingWindow | undefined = undefined
  /** Nothing is heard any more, and nothing said but what waits. */
  private ending = false
  /** How it is to be closed, once known. */
  private closing: { readonly code: number; readonly frame: string | undefined; readonly text: string } | undefined
  /** Waits for the client's answer to the close. */
  private farewell: Fiber.Fiber<void> | undefined = undefined
  /** How much had come when nothing was heard any more, in bytes. */
  private readAtEnd = 0
  /** Pongs that are yet to come. */
  private pongs = 0

  // Signs of life are bytes: those that came since it was last looked at, and those of a backlog that the client took.
  private read = -1
  private taken = 0
  private hadBacklog = false

  constructor(route: SocketRoute, name: string, closed: () => void) {
    this.route = route
    this.name = name
    this.closed = closed
  }

  /** The handshake is done. */
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

  /** There is a socket to send to. */
  protected abstract opened(): void

  /** A frame has come. */
  protected abstract received(text: string): void

  /** Nothing more is read or sent. */
  protected abstract gone(): void

  /** Does it read what comes, signs of life too? */
  protected get isReading(): boolean {
    return true
  }

  /** May anything be said? */
  protected get isOpen(): boolean {
    return this.socket !== undefined && this.isHeard
  }

  private get isHeard(): boolean {
    return this.closing === undefined && !this.ending
  }

  // -------------------------------------------------------------------------------------------------------
  // what the socket calls
  // -------------------------------------------------------------------------------------------------------

  onMessage(data: Buffer, isBinary: boolean): void {
    if (!this.isHeard) this.ignored()
    else if (isBinary) this.close(CloseCode.unsupportedData, "text is expected")
    else this.received(data.toString())
  }

  /** `ws` answers it, whether the client reads or not. */
  onPing(): void {
    if (this.isHeard) this.controlFrame()
    else this.ignored()
  }

  onPong(): void {
    if (!this.isHeard) this.ignored()
    else if (this.pongs > 0) this.pongs--
    // Nobody has asked for it.
    else this.controlFrame()
  }

  /** The client has broken the protocol, which `ws` has told it with a close, or the wire is broken. */
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
    this.farewell?.interruptUnsafe()
    try {
      this.gone()
    } finally {
      this.closed()
    }
  }

  // -------------------------------------------------------------------------------------------------------
  // the guard
  // -------------------------------------------------------------------------------------------------------

  /** Somebody has called us from outside, and it went wrong. */
  threw(defect: unknown): void {
    this.route.run(Effect.logError(`a connection to ${this.name} has failed`, defect))
    this.close(CloseCode.internalError, "internal error")
  }

  /** Does something for a caller who is not concerned by what goes wrong here. */
  protected enter(f: () => void): void {
    try {
      f()
    } catch (defect) {
      this.threw(defect)
    }
  }

  /** Calls back when a fiber of this connection is over. */
  protected observe<A, E>(fiber: Fiber.Fiber<A, E>, f: (exit: Exit.Exit<A, E>) => void): void {
    observe(this, fiber, (_, exit) => f(exit))
  }

  // -------------------------------------------------------------------------------------------------------
  // out
  // -------------------------------------------------------------------------------------------------------

  /** Has what was said yet to go? Then `drained` is called when it has. */
  protected get isFull(): boolean {
    return this.out!.isBusy
  }

  /** What was said is gone. */
  drained(): void {}

  /** Says something, unless it is closed. Who asks for more and more and does not read it is let go of. */
  protected say(message: Message): void {
    if (!this.isOpen) return
    const out = this.out!
    if (out.waiting > maxWaiting) return this.close(CloseCode.tryAgainLater, "the client does not read")
    try {
      out.say(message)
    } catch (defect) {
      this.threw(defect)
    }
  }

  // -------------------------------------------------------------------------------------------------------
  // limits
  // -------------------------------------------------------------------------------------------------------

  /** Counts a message of the client: milliseconds until it may send one, 0 when it may. */
  protected overdraws(): number {
    const { messageRate, now } = this.route
    if (messageRate === undefined) return 0
    this.window ??= new SlidingWindow(messageRate.limit, messageRate.window, 20)
    return this.window.take(now())
  }

  private controlFrame(): void {
    if (this.overdraws() > 0) this.close(CloseCode.policyViolation, "too many messages")
  }

  /** Something has come that nobody listens to any more. */
  private ignored(): void {
    if (this.wire!.bytesRead - this.readAtEnd > maxAfterClose) this.terminate()
  }

  // -------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------

  /** Closes it at once; tells `frame` before, if nothing is half said. */
  close(code: number, text: string, frame?: string): void {
    if (this.closing !== undefined) return
    this.closing = { code, text, frame }
    if (this.socket !== undefined) this.finish(this.closing)
  }

  /** Closes it when all that waits is said, and `frame`. */
  protected end(code: number, text: string, frame?: string): void {
    if (!this.isHeard) return
    if (this.out === undefined || !this.out.isBusy) return this.close(code, text, frame)
    this.ending = true
    this.readAtEnd = this.wire!.bytesRead
    this.out.say(() => {
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

  /** Lets go of a client that does not answer the close, unless it still reads what was said before. */
  private awaitAnswer(): void {
    this.look()
    const { taken } = this
    this.farewell = this.route.run(Effect.andThen(
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
  // signs of life
  // -------------------------------------------------------------------------------------------------------

  /** Asks for a sign of life, and lets go of a client that gave none since it was last asked. */
  beat(): void {
    this.enter(() => {
      if (this.socket === undefined || this.closing !== undefined) return
      if (!this.look() && this.isReading) return this.terminate()
      this.pongs++
      this.socket.ping(ignore)
    })
  }

  /** Has the client given a sign of life since this was last asked? */
  private look(): boolean {
    const { bytesRead, bytesWritten, writableLength } = this.wire!
    const taken = bytesWritten - writableLength
    // As long as the system takes all that is written, that it does says nothing of the client.
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
