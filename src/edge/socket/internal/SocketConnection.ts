/**
 * An open socket: how it is kept alive, and its end. It is callbacks and a few fields; no fiber waits for it. What is said
 * over it is up to those who extend it.
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import type { Socket } from "node:net"
import * as CloseCode from "../../../contract/CloseCode.ts"
import { SlidingWindow } from "../../../policy/SlidingWindow.ts"

/** What a socket's route does for it. */
export interface SocketRoute {
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  readonly messageRate: { readonly limit: number; readonly window: number } | undefined
}

/** How much may wait for a client that does not read, in bytes. */
const maxBuffered = 1024 * 1024

/** How long a client may take to answer a close. Milliseconds. */
const closeTimeout = 2_000

export abstract class SocketConnection {
  private readonly route: SocketRoute
  private readonly closed: () => void
  protected socket: WebSocket | undefined = undefined
  /** What the socket goes over. */
  private wire: Socket | undefined = undefined
  private window: SlidingWindow | undefined = undefined
  /** Has the client given a sign of life since the last beat? */
  private alive = true
  /** How it is to be closed, once known. */
  private closing: { readonly code: number; readonly frame: string | undefined; readonly text: string } | undefined
  /** When it was closed. */
  private closedAt = 0

  constructor(route: SocketRoute, closed: () => void) {
    this.route = route
    this.closed = closed
  }

  /** The handshake is done. */
  open(socket: WebSocket, wire: Socket): void {
    this.socket = socket
    this.wire = wire
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (this.closing !== undefined) return
      this.alive = true
      if (isBinary) this.close(CloseCode.unsupportedData, "text is expected")
      else this.received(data.toString())
    })
    socket.on("pong", () => {
      this.alive = true
    })
    // `ws` answers them, whether the client reads or not.
    socket.on("ping", () => {
      if (this.closing !== undefined) return
      if (this.overdraws() > 0) this.close(CloseCode.policyViolation, "too many messages")
      else this.isRead()
    })
    socket.on("error", ignore)
    wire.on("drain", () => this.drained())
    socket.on("close", () => {
      this.gone()
      this.closed()
    })
    if (this.closing !== undefined) this.finish(this.closing)
    else this.opened()
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

  protected get isOpen(): boolean {
    return this.socket !== undefined && this.closing === undefined
  }

  /** Has what was sent yet to go? Then `drained` is called when it has. */
  protected get isFull(): boolean {
    return this.wire!.writableNeedDrain
  }

  /** What was sent is gone. */
  protected drained(): void {}

  /** Sends a frame, unless it is closed. A client that does not read is let go of. */
  protected sendFrame(frame: string): void {
    if (!this.isOpen || !this.isRead()) return
    const socket = this.socket!
    // One write of one string takes 70 % of the time of `send`, which writes a header and a buffer.
    const { length } = frame
    if (length < 65_536 && Buffer.byteLength(frame) === length && socket.readyState === socket.OPEN) {
      this.wire!.write(headOf(length) + frame, "latin1")
    } else socket.send(frame, ignore)
  }

  private isRead(): boolean {
    if (this.socket!.bufferedAmount <= maxBuffered) return true
    this.close(CloseCode.tryAgainLater, "the client does not read")
    return false
  }

  /** Counts a message of the client: milliseconds until it may send one, 0 when it may. */
  protected overdraws(): number {
    const { messageRate, now } = this.route
    if (messageRate === undefined) return 0
    this.window ??= new SlidingWindow(messageRate.limit, messageRate.window, 20)
    return this.window.take(now())
  }

  /** Tells `frame` and closes. */
  close(code: number, text: string, frame?: string): void {
    if (this.closing !== undefined) return
    this.closing = { code, text, frame }
    if (this.socket !== undefined) this.finish(this.closing)
  }

  private finish({ code, frame, text }: NonNullable<SocketConnection["closing"]>): void {
    const socket = this.socket!
    this.closedAt = this.route.now()
    this.gone()
    if (frame !== undefined) socket.send(frame, ignore)
    socket.resume()
    socket.close(code, text)
  }

  terminate(): void {
    this.socket?.terminate()
  }

  /** Asks for a sign of life, and lets go of a client that gave none since it was last asked. */
  beat(): void {
    const { socket } = this
    if (socket === undefined) return
    const overdue = this.closing === undefined
      ? !this.alive && this.isReading
      : this.route.now() > this.closedAt + closeTimeout
    if (overdue) return socket.terminate()
    this.alive = false
    if (this.closing === undefined) socket.ping(ignore)
  }
}

/** The header of a frame of text with so many bytes, up to 65,535, in Latin-1. */
const headOf = (length: number): string =>
  length < 126
    ? String.fromCharCode(0x81, length)
    : String.fromCharCode(0x81, 126, length >> 8, length & 0xff)

const ignore = () => {}
