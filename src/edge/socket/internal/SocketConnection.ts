/**
 * An open socket: what comes in, what goes out, and its end. It is callbacks and a few fields; no fiber waits for it.
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import type { EndReason } from "../../../contract/EndReason.ts"
import { SlidingWindow } from "../../../policy/SlidingWindow.ts"
import * as CloseCode from "../CloseCode.ts"

/** What a socket's route does for it. */
export interface SocketRoute {
  readonly now: () => number
  readonly messageRate: { readonly limit: number; readonly window: number } | undefined
  /** The frame that tells a state. */
  readonly stateFrame: (state: unknown) => string
  /** The error of its kind with which a session stopped, encoded. */
  readonly declaredError: (reason: EndReason) => unknown
  readonly closed: (connection: SocketConnection, code: number) => void
}

/** What a connection does with a message of its client; `done` must be called when the next may come. */
export type Receive = (message: { readonly type: unknown }, done: () => void) => void

/** How much may wait for a client that does not read, in bytes. */
const maxBuffered = 1024 * 1024

/** How long a client may take to answer a close. Milliseconds. */
const closeTimeout = 2_000

export class SocketConnection {
  readonly openedAt: number
  received = 0
  sent = 0
  private readonly route: SocketRoute
  private socket: WebSocket | undefined = undefined
  private receive: Receive | undefined = undefined
  private window: SlidingWindow | undefined = undefined
  /** Has the client given a sign of life since the last beat? */
  private alive = true
  /** The state that is yet to be sent; older ones are skipped. */
  private next: unknown = none
  private sending = false
  /** Lines that came while one is being handled. */
  private waiting: Array<string> = []
  private busy = false
  /** How it is to be closed, once known. */
  private closing: { readonly code: number; readonly frame: string | undefined; readonly text: string } | undefined
  /** When it was closed, in milliseconds since 1970. */
  private closedAt = 0

  constructor(route: SocketRoute) {
    this.route = route
    this.openedAt = route.now()
  }

  /** The handshake is done. */
  open(socket: WebSocket, receive: Receive): void {
    this.socket = socket
    this.receive = receive
    socket.on("message", (data: Buffer, isBinary: boolean) => this.onMessage(data, isBinary))
    socket.on("pong", () => {
      this.alive = true
    })
    // `ws` answers them, whether the client reads or not.
    socket.on("ping", () => {
      if (this.closing === undefined && !this.admits()) this.close(CloseCode.policyViolation, "too many messages")
      else if (socket.bufferedAmount > maxBuffered) this.close(CloseCode.tryAgainLater, "the client does not read")
    })
    socket.on("error", ignore)
    socket.on("close", (code: number) => {
      this.waiting = []
      this.route.closed(this, code)
    })
    if (this.closing !== undefined) this.finish(this.closing)
    else this.flush()
  }

  // -------------------------------------------------------------------------------------------------------
  // out
  // -------------------------------------------------------------------------------------------------------

  /** Sends the state, or a newer one, as soon as the client has taken what was sent before. */
  push(state: unknown): void {
    this.next = state
    this.flush()
  }

  private flush(): void {
    const { socket } = this
    if (socket === undefined || this.sending || this.next === none || this.closing !== undefined) return
    const state = this.next
    this.next = none
    let frame: string
    try {
      frame = this.route.stateFrame(state)
    } catch (defect) {
      this.close(CloseCode.internalError, "the state cannot be told")
      throw defect
    }
    this.sending = true
    this.sent++
    socket.send(frame, () => {
      this.sending = false
      this.flush()
    })
  }

  send(message: unknown): void {
    const { socket } = this
    if (socket === undefined || this.closing !== undefined) return
    if (socket.bufferedAmount > maxBuffered) return this.close(CloseCode.tryAgainLater, "the client does not read")
    this.sent++
    socket.send(JSON.stringify(message), ignore)
  }

  /** The session has ended: tells why, and closes. */
  ended(reason: EndReason): void {
    const error = this.route.declaredError(reason)
    const frame = { type: "end", reason: reason._tag, ...(error === undefined ? {} : { error }) }
    this.close(CloseCode.ofEnd(reason, error !== undefined), reason._tag.toLowerCase(), frame)
  }

  /** Tells `frame` and closes. */
  close(code: number, text: string, frame?: unknown): void {
    if (this.closing !== undefined) return
    this.closing = { code, text, frame: frame === undefined ? undefined : JSON.stringify(frame) }
    if (this.socket !== undefined) this.finish(this.closing)
  }

  private finish({ code, frame, text }: NonNullable<SocketConnection["closing"]>): void {
    const socket = this.socket!
    this.closedAt = this.route.now()
    this.waiting = []
    if (frame !== undefined) {
      this.sent++
      socket.send(frame, ignore)
    }
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
    // While a message is being handled nothing is read, no sign of life either.
    const overdue = this.closing === undefined
      ? !this.alive && !this.busy
      : this.route.now() > this.closedAt + closeTimeout
    if (overdue) return socket.terminate()
    this.alive = false
    if (this.closing === undefined) socket.ping(ignore)
  }

  // -------------------------------------------------------------------------------------------------------
  // in
  // -------------------------------------------------------------------------------------------------------

  private onMessage(data: Buffer, isBinary: boolean): void {
    if (this.closing !== undefined) return
    this.alive = true
    if (isBinary) return this.close(1003, "text is expected")
    for (const line of data.toString().split("\n")) {
      if (line.trim() === "") continue
      this.received++
      if (!this.admits()) return this.close(CloseCode.policyViolation, "too many messages")
      this.waiting.push(line)
    }
    this.proceed()
  }

  private admits(): boolean {
    const { messageRate } = this.route
    if (messageRate === undefined) return true
    this.window ??= new SlidingWindow(messageRate.limit, messageRate.window, 20)
    return this.window.take(this.route.now()) === 0
  }

  /** Handles one line after the other; while one is being handled nothing is read. */
  private proceed(): void {
    while (!this.busy && this.closing === undefined) {
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

const ignore = () => {}

const parse = (line: string): { readonly type: unknown } | undefined => {
  try {
    const message: unknown = JSON.parse(line)
    return typeof message === "object" && message !== null && "type" in message ? message : undefined
  } catch {
    return undefined
  }
}
