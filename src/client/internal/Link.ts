/**
 * The connection to the server: one socket after the other.
 *
 *   connect ──→ connecting ──→ open ──→ established (the server has answered `hello`)
 *      ▲            │            │           │
 *      └─ pause ────┴────────────┴───────────┤ lost
 *                                            └─→ stopped, until `restart`
 *
 * All that the socket tells is handled in its callbacks, so that the order of the messages is kept.
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
  /** Asked for anew for each connection. */
  readonly address: Effect.Effect<Address, unknown>
  /** Is it the same each time? */
  readonly isFixed: boolean
  readonly open: (address: Address) => WebSocketLike
  /** A random number from 0 to 1. */
  readonly random: () => number
  /** Milliseconds. */
  readonly base: number
  readonly max: number
  readonly heartbeat: number
}

export interface LinkHandler {
  readonly opened: () => void
  readonly received: (frame: string) => void
  /** The server has closed the socket, or it broke. The handler says how to go on: `retry` or `stop`. */
  readonly closed: (code: number, reason: string) => void
  readonly ping: () => void
  /** There is no connection any more. Comes before the status changes. */
  readonly lost: () => void
  readonly status: (status: Status.Status) => void
}

/** A socket that is given up by the client. Codes from 4000 on are for programs. */
const givenUp = 4000

/** A connection that did not last so long, or as long as the pause before it may have been, has proven nothing. Milliseconds. */
const stable = 5_000

/** A page that wakes up asks for a sign of life when none came for so long. Milliseconds. */
const drowsy = 1_000

export class Link {
  private readonly options: LinkOptions
  private readonly handler: LinkHandler
  private readonly timers: Scheduler
  private socket: WebSocketLike | undefined = undefined
  private detach = noop
  /** Cancels what goes on: the pause, or the making of the address. */
  private cancel = noop
  private stopBeat = noop
  private stopGreeting = noop
  /** Counts what was begun and given up: what comes of it later is of no use. */
  private turn = 0
  /** Attempts since the last connection that was stable. */
  private attempt = 0
  private since = 0
  private lastHeard = 0
  /** How often something came. */
  private signs = 0
  /** What the socket was given, in bytes, as far as it has not gone at once. */
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

  /** Tries at once. An open connection is asked for a sign of life instead. */
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

  /** The page is seen again, or the network is back. */
  wake(): void {
    if (this.phase === "waiting") this.restart()
    else if (this.phase === "open" && this.timers.now() - this.lastHeard >= drowsy) this.ping()
  }

  private connect(): void {
    const { address, heartbeat } = this.options
    const turn = ++this.turn
    this.phase = "connecting"
    this.establishedAt = undefined
    // An address that does not come is given up, too.
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
    // One that is known is taken on the spot, and then there is nothing to cancel.
    if (turn === this.turn && this.socket === undefined) this.cancel = cancel
  }

  private open(address: Address): void {
    let socket: WebSocketLike
    try {
      socket = this.options.open(address)
    } catch (error) {
      // The next one may be better.
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
    // After an error comes a close.
    listenTo(this, socket, "error", noop)
    this.detach = () => {
      for (const one of detach) one()
    }
    // One that neither opens nor fails is given up too.
    this.stopBeat()
    this.stopBeat = this.timers.after(this.options.heartbeat, () => this.retry())
  }

  send(frame: string): void {
    // One that is closing takes nothing any more, and complains; what it did not take is sent again over the next.
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
   * Gives up what there is, and comes back after a pause; `atOnce`, unless the connection was too short for that. Pauses grow
   * until a connection is stable: one that is greeted and breaks again and again is no reason to begin with the shortest.
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

  /** Gives up what there is, and stays away. */
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

  /** A callback of the socket has thrown. */
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
        // It was closed before.
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
  // signs of life
  // -------------------------------------------------------------------------------------------------------

  private heard(): void {
    this.lastHeard = this.timers.now()
    this.signs++
  }

  /** How much of what was sent has gone, in bytes, and whether anything waits. A fake socket may not know. */
  private get upload(): { readonly waits: boolean; readonly gone: number } {
    const waiting = (this.socket as { readonly bufferedAmount?: number } | undefined)?.bufferedAmount ?? 0
    return { waits: waiting > 0, gone: this.sent - waiting }
  }

  /** Asks for a sign of life when there was none for a while, and gives up when none comes for as long again. */
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
      // Where much waits to be sent, the question waits behind it; as long as that goes out, somebody takes it.
      if (this.signs !== signs) this.beat()
      else if (waits && this.upload.gone > gone) this.ping()
      else this.retry()
    })
    this.handler.ping()
  }
}
