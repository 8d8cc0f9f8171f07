/**
 * The connection to the server: one socket after the other.
 *
 *   connect ──→ connecting ──→ open ──→ established (the server has answered `hello`)
 *      ▲            │            │           │
 *      └─ pause ────┴────────────┴───────────┤ lost
 *                                            └─→ stopped, until `restart`
 *
 * All events of the socket are handled in its callbacks, so that messages stay in order.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { WebSocketEvent, WebSocketLike } from "effect/socket/Socket"
import { backoff } from "../../internal/backoff.ts"
import { listenTo } from "../../internal/guard.ts"
import { Parts } from "../../internal/parts.ts"
import type * as Status from "../Status.ts"
import { noop, type Scheduler } from "./Scheduler.ts"

export interface Address {
  readonly url: string
  readonly protocols: string | Array<string> | undefined
}

export interface LinkOptions {
  /** Runs for each connection. */
  readonly address: Effect.Effect<Address, unknown>
  /** Whether `address` always gives the same address. */
  readonly isFixed: boolean
  readonly open: (address: Address) => WebSocketLike
  /** A random number from 0 to 1. */
  readonly random: () => number
  /** The first pause between two attempts, in milliseconds. */
  readonly base: number
  /** The longest pause between two attempts, in milliseconds. */
  readonly max: number
  /** After how long without a message the client sends a ping, in milliseconds. */
  readonly heartbeat: number
}

export interface LinkHandler {
  readonly opened: () => void
  readonly received: (frame: string) => void
  /** The server has closed the socket, or the connection broke. The handler then calls `retry` or `stop`. */
  readonly closed: (code: number, reason: string) => void
  readonly ping: () => void
  /** There is no connection any more. Called before the status changes. */
  readonly lost: () => void
  readonly status: (status: Status.Status) => void
}

/** The code with which the client closes a socket that it gives up. Codes from 4000 on are free for programs. */
const givenUp = 4000

/**
 * In milliseconds. A connection is stable if it lasted this long, and at least half as long as the longest pause that could
 * follow it.
 */
const stable = 5_000

/** A page that becomes visible again sends a ping if no message came for this long. In milliseconds. */
const quietBeforePing = 1_000

export class Link {
  private readonly options: LinkOptions
  private readonly handler: LinkHandler
  private readonly timers: Scheduler
  private socket: WebSocketLike | undefined = undefined
  private detach = noop
  /** Cancels what is in progress: the pause, or the effect that gives the address. */
  private cancel = noop
  private stopBeat = noop
  private stopGreeting = noop
  /** Counts the attempts, so that the late result of an attempt that was given up is recognized and ignored. */
  private turn = 0
  /** Attempts since the last connection that was stable. */
  private attempt = 0
  private since = 0
  private lastHeard = 0
  /** How many frames have come. */
  private signs = 0
  /** How many of the sent bytes the socket had to buffer. */
  private sent = 0
  private establishedAt: number | undefined = undefined
  private phase: "connecting" | "open" | "waiting" | "stopped" | "closed" = "stopped"

  constructor(options: LinkOptions, handler: LinkHandler, timers: Scheduler) {
    this.options = options
    this.handler = handler
    this.timers = timers
  }

  get isOpen(): boolean {
    return this.phase === "open"
  }

  /** Connects at once. If the connection is open, sends a ping instead. */
  restart(): void {
    const { phase } = this
    if (phase === "closed" || phase === "connecting") return
    if (phase === "open") return this.ping()
    this.cancel()
    if (phase === "stopped") {
      this.attempt = 0
      this.handler.status({ _tag: "Connecting" })
    } else this.reconnecting(0)
    this.connect()
  }

  /** The page is visible again, or the network is back. */
  wake(): void {
    if (this.phase === "waiting") this.restart()
    else if (this.phase === "open" && this.timers.now() - this.lastHeard >= quietBeforePing) this.ping()
  }

  private connect(): void {
    const { address, heartbeat } = this.options
    const turn = ++this.turn
    this.phase = "connecting"
    this.establishedAt = undefined
    // An attempt whose address does not come in time is given up too.
    this.stopBeat = this.timers.after(heartbeat, () => this.retry())
    const cancel = this.timers.run(Effect.matchCause(Effect.suspend(() => address), {
      onSuccess: (address) => {
        if (turn === this.turn) this.open(address)
      },
      onFailure: (cause) => {
        if (turn !== this.turn) return
        this.warn("the address of the live session is not known", cause)
        this.retry()
      }
    }))
    // If the address was known at once, the socket is already open and there is nothing to cancel.
    if (turn === this.turn && this.socket === undefined) this.cancel = cancel
  }

  private open(address: Address): void {
    let socket: WebSocketLike
    try {
      socket = this.options.open(address)
    } catch (error) {
      // A fixed address will not get better; another one may.
      if (this.options.isFixed) return this.stop({ _tag: "Refused", reason: String(error) })
      this.warn("there is no such address of a live session", Cause.die(error))
      return this.retry()
    }
    this.cancel = noop
    this.attach(socket)
  }

  private warn(text: string, cause: Cause.Cause<unknown>): void {
    this.timers.run(Effect.logWarning(text, cause))
  }

  private attach(socket: WebSocketLike): void {
    this.socket = socket
    const onOpen = () => {
      this.phase = "open"
      this.heard()
      this.stopBeat()
      this.beat()
      this.stopGreeting = this.timers.after(2 * this.options.heartbeat, () => this.retry())
      this.handler.opened()
    }
    const parts = new Parts()
    const onMessage = ({ data }: WebSocketEvent) => {
      this.heard()
      const message = typeof data === "string" ? parts.add(data) : undefined
      if (message !== undefined) this.handler.received(message)
    }
    const onClose = ({ code, reason }: WebSocketEvent) => {
      this.release()
      this.handler.closed(code ?? 1006, reason ?? "")
    }
    const detach = [
      listenTo(this, socket, "open", () => onOpen()),
      listenTo(this, socket, "message", (_, event: WebSocketEvent) => onMessage(event)),
      listenTo(this, socket, "close", (_, event: WebSocketEvent) => onClose(event))
    ]
    // A close follows every error.
    listenTo(this, socket, "error", noop)
    this.detach = () => {
      for (const one of detach) one()
    }
    // A socket that neither opens nor fails is given up too.
    this.stopBeat()
    this.stopBeat = this.timers.after(this.options.heartbeat, () => this.retry())
  }

  send(frame: string): void {
    // A socket that is closing accepts nothing. What it did not accept is sent again over the next socket.
    if (this.phase !== "open" || this.socket!.readyState !== 1) return
    const { gone } = this.upload
    this.socket!.send(frame)
    this.sent += gone - this.upload.gone
  }

  /** The server has answered. */
  established(epoch: number): void {
    this.stopGreeting()
    this.establishedAt = this.timers.now()
    this.handler.status({ _tag: "Open", epoch })
  }

  /**
   * Gives up the connection and connects again after a pause. With `atOnce` there is no pause, unless the connection was too
   * short. Pauses grow until a connection is stable: a connection that is established and breaks again and again does not
   * reset them.
   */
  retry(atOnce = false): void {
    if (this.phase === "closed") return
    const { base, max, random } = this.options
    const lasted = this.establishedAt === undefined ? -1 : this.timers.now() - this.establishedAt
    const longest = () => backoff(this.attempt + 1, base, max)
    this.leave(givenUp, "")
    this.phase = "waiting"
    if (lasted >= Math.max(stable, longest() / 2)) this.attempt = 0
    if (lasted >= 0 || this.attempt === 0) this.since = this.timers.date()
    const pause = atOnce && this.attempt === 0 && lasted >= base ? 0 : random() * longest()
    this.attempt++
    this.reconnecting(pause)
    this.cancel = this.timers.after(pause, () => this.connect())
  }

  private reconnecting(pause: number): void {
    const at = this.timers.date() + pause
    this.handler.status({ _tag: "Reconnecting", attempt: this.attempt, at, since: this.since })
  }

  /** Gives up the connection and does not connect again until `restart`. */
  stop(status: Status.Ended | Status.Refused): void {
    if (this.phase === "closed") return
    this.leave(1000, "")
    this.phase = "stopped"
    this.handler.status(status)
  }

  close(): void {
    this.leave(1000, "")
    this.phase = "closed"
    this.handler.status({ _tag: "Closed" })
  }

  /** Called by the guard when a callback of the socket has thrown. */
  threw(defect: unknown): void {
    this.timers.run(Effect.logError("a connection to a live session has failed", Cause.die(defect)))
    this.retry()
  }

  private leave(code: number, reason: string): void {
    const { socket } = this
    this.turn++
    this.cancel()
    this.release()
    if (socket !== undefined) {
      try {
        socket.close(code, reason)
      } catch {
        // It was already closed.
      }
    }
    this.handler.lost()
  }

  private release(): void {
    this.stopBeat()
    this.stopGreeting()
    this.detach()
    this.detach = noop
    this.cancel = noop
    this.socket = undefined
    if (this.phase === "open") this.phase = "connecting"
  }

  // -------------------------------------------------------------------------------------------------------
  // heartbeat
  // -------------------------------------------------------------------------------------------------------

  private heard(): void {
    this.lastHeard = this.timers.now()
    this.signs++
  }

  /** How many of the sent bytes have left the buffer, and whether any wait. Not every socket has `bufferedAmount`. */
  private get upload(): { readonly waits: boolean; readonly gone: number } {
    const waiting = (this.socket as { readonly bufferedAmount?: number } | undefined)?.bufferedAmount ?? 0
    return { waits: waiting > 0, gone: this.sent - waiting }
  }

  /** Sends a ping if nothing came for a heartbeat, and gives the connection up if nothing comes for another one. */
  private beat(): void {
    const { heartbeat } = this.options
    this.stopBeat = this.timers.after(this.lastHeard + heartbeat - this.timers.now(), () => {
      if (this.timers.now() - this.lastHeard >= heartbeat) this.ping()
      else this.beat()
    })
  }

  private ping(): void {
    const { signs } = this
    const { gone, waits } = this.upload
    this.stopBeat()
    this.stopBeat = this.timers.after(this.options.heartbeat, () => {
      // The ping waits behind the buffered data. As long as that is being sent, the server is there.
      if (this.signs !== signs) this.beat()
      else if (waits && this.upload.gone > gone) this.ping()
      else this.retry()
    })
    this.handler.ping()
  }
}
