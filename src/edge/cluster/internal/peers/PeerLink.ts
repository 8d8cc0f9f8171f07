/**
 * The way to another node: one connection after the other, made when there is something to ask.
 *
 *   idle ──ask──→ connecting ──greeted──→ open
 *    ↑              │    ↑                 │
 *    │        failed│    └──── pause ←ask──┤ lost
 *    └──────────────┴──────────────────────┘
 *
 * Requests wait while the node connects. An attempt that fails loses them, so that whoever asks can look for another node. A link
 * that is lost is only connected again when somebody asks, so a node that is gone for good costs nothing.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"
import { backoff } from "../../../../internal/backoff.ts"
import { CallbackDeadline, Deadline } from "../../../../runtime/internal/time/Deadlines.ts"
import { Connection, type Frame, goodbye, type User } from "./Connection.ts"
import { Greeting } from "./greeting.ts"
import { type Asker, type Json, keyOf, type Link, type LostReason, type NodeAddress, type NodeInfo } from "./model.ts"
import type { NodeContext } from "./NodeContext.ts"

/** Pauses before attempts to connect: the first one, and the longest, in milliseconds. */
const firstPause = 50
const longestPause = 1_000

interface Pending {
  readonly asker: Asker
  /** The request as JSON; empty when it was handed to a connection. */
  text: string
  isWithdrawn: boolean
}

const nothing = () => {}

export class PeerLink implements Link, User {
  readonly address: NodeAddress
  private readonly node: NodeContext
  private connection: Connection | undefined = undefined
  private current: NodeInfo | undefined = undefined
  private openedAt = 0
  /** The peer has said goodbye. */
  private isLeaving = false
  /** Attempts since a connection that lasted. */
  private attempts = 0
  /** No attempt before this time. */
  private pausedUntil = 0
  private readonly retry = new CallbackDeadline(() => this.connect())
  /** In the order of their ids. */
  private readonly pending = new Map<number, Pending>()
  private lastId = 0
  /** The request that was handed to the connection last, and the last one that was written to its socket. */
  private handedId = 0
  private writtenId = 0
  /** The length of what waits for a connection, in characters. */
  private waiting = 0
  private readonly probes = new Set<Probe>()
  private lastPing = 0

  constructor(node: NodeContext, address: NodeAddress) {
    this.node = node
    this.address = address
  }

  get peer(): NodeInfo | undefined {
    return this.current
  }

  ask(request: Json, asker: Asker): () => void {
    const text = this.node.encode(request)
    const reason = this.reasonAgainst(text)
    if (reason !== undefined || text === undefined) {
      asker.lost({ sent: false, reason: reason ?? "unsendable" })
      return nothing
    }
    const id = ++this.lastId
    const pending: Pending = { asker, text, isWithdrawn: false }
    this.pending.set(id, pending)
    this.waiting += text.length
    if (this.current !== undefined) this.hand(id, pending)
    else this.connectSoon()
    return () => this.withdraw(id, pending)
  }

  private reasonAgainst(text: string | undefined): LostReason | undefined {
    if (this.node.isClosed) return "closed"
    if (this.isLeaving) return "leaving"
    if (text === undefined) return "unsendable"
    return this.waiting + (this.connection?.unread ?? 0) + text.length > this.node.unreadLimit ? "full" : undefined
  }

  private hand(id: number, pending: Pending): void {
    const connection = this.connection!
    const frame = `[${id},${pending.text}]`
    this.waiting -= pending.text.length
    pending.text = ""
    if (connection.fits(frame)) {
      connection.send(frame)
      this.handedId = Math.max(id, this.handedId)
    } else {
      this.pending.delete(id)
      this.tellLost(pending, false, "unsendable")
    }
  }

  private withdraw(id: number, pending: Pending): void {
    pending.isWithdrawn = true
    if (!this.pending.delete(id)) return
    this.waiting -= pending.text.length
    if (this.current !== undefined) this.connection!.send(`[${-id}]`)
  }

  /** Whether the node answers a ping now. */
  get isAlive(): Effect.Effect<boolean> {
    return Effect.callback((resume) => {
      const probe = new Probe(this.node, (isAlive) => {
        this.probes.delete(probe)
        resume(Effect.succeed(isAlive))
      })
      this.probes.add(probe)
      if (this.node.isClosed) probe.resolve(false)
      else if (this.current === undefined) this.connect()
      else this.ping()
      return Effect.sync(() => {
        this.probes.delete(probe)
        probe.cancel()
      })
    })
  }

  private ping(): void {
    const ping = ++this.lastPing
    for (const probe of this.probes) probe.ping ||= ping
    this.connection!.send(`[0,${ping}]`)
  }

  // -------------------------------------------------------------------------------------------------------
  // connections
  // -------------------------------------------------------------------------------------------------------

  private connectSoon(): void {
    if (this.connection !== undefined) return
    if (this.node.now() >= this.pausedUntil) this.connect()
    else this.node.deadlines.set(this.retry, this.pausedUntil)
  }

  private connect(): void {
    this.node.deadlines.cancel(this.retry)
    if (this.connection !== undefined || this.node.isClosed) return
    this.connection = new Connection(this.node, new Net.Socket(), new Greeting(this.node.self, this.address), this)
    this.connection.connect(this.address)
  }

  greeted(peer: NodeInfo): void {
    this.current = peer
    this.openedAt = this.node.now()
    for (const [id, pending] of this.pending) if (pending.text !== "") this.hand(id, pending)
    if (this.probes.size > 0) this.ping()
  }

  written(): void {
    this.writtenId = this.handedId
  }

  drained(): void {}

  closed(): void {
    const wasOpen = this.current !== undefined
    const now = this.node.now()
    if (wasOpen && now - this.openedAt >= longestPause) this.attempts = 0
    this.attempts++
    this.pausedUntil = now + backoff(this.attempts, firstPause, longestPause)
    this.lose(this.node.isClosed ? "closed" : this.isLeaving ? "leaving" : wasOpen ? "disconnected" : "unreachable")
  }

  private lose(reason: LostReason): void {
    const { writtenId } = this
    const pending = Array.from(this.pending)
    const probes = Array.from(this.probes)
    this.connection = undefined
    this.current = undefined
    this.isLeaving = false
    this.pending.clear()
    this.waiting = 0
    for (const [id, one] of pending) this.tellLost(one, id <= writtenId, reason)
    for (const probe of probes) probe.resolve(false)
  }

  /** The node of this link is closed. */
  close(): void {
    this.node.deadlines.cancel(this.retry)
    if (this.connection === undefined) this.lose("closed")
    else this.connection.end()
  }

  // -------------------------------------------------------------------------------------------------------
  // what comes
  // -------------------------------------------------------------------------------------------------------

  received(frame: Frame): void {
    if (frame[0] === 0) this.control(frame[1])
    else {
      const pending = this.pending.get(Math.abs(frame[0]))
      if (pending !== undefined) this.answered(pending, frame)
    }
  }

  private answered(pending: Pending, frame: Frame): void {
    const [id, json] = frame
    const isEvent = frame.length === 3
    if (!isEvent) this.pending.delete(Math.abs(id))
    if (id < 0) return this.tellLost(pending, true, this.isLeaving ? "leaving" : "failed")
    if (frame.length === 1) return this.tellLost(pending, false, this.isLeaving ? "leaving" : "refused")
    try {
      if (isEvent) pending.asker.event?.(json)
      else pending.asker.end(json)
    } catch (defect) {
      this.threw(defect)
    }
  }

  private control(value: unknown): void {
    if (value === goodbye) return this.leave()
    for (const probe of Array.from(this.probes)) if (probe.ping > 0 && probe.ping <= Number(value)) probe.resolve(true)
  }

  /** The peer leaves: what it gets from now on is not begun. What it has got, it answers itself. */
  private leave(): void {
    this.isLeaving = true
    for (const [id, pending] of this.pending) {
      if (id <= this.writtenId) continue
      this.pending.delete(id)
      this.tellLost(pending, false, "leaving")
    }
  }

  private tellLost(pending: Pending, sent: boolean, reason: LostReason): void {
    // Another one may have withdrawn it just now.
    if (pending.isWithdrawn) return
    try {
      pending.asker.lost({ sent, reason })
    } catch (defect) {
      this.threw(defect)
    }
  }

  /** Whoever asked has thrown: that concerns no other request. */
  private threw(defect: unknown): void {
    this.node.report(`what asked ${keyOf(this.address)} failed`, defect)
  }
}

/** How long a ping may take, in milliseconds: as two halves, of which a process that was stopped meanwhile misses only one. */
const half = 500

/** The question whether a node is alive. */
class Probe extends Deadline {
  /** The ping that answers it; 0 before it is sent. */
  ping = 0
  private readonly node: NodeContext
  private readonly resume: (isAlive: boolean) => void
  private halves = 0

  constructor(node: NodeContext, resume: (isAlive: boolean) => void) {
    super()
    this.node = node
    this.resume = resume
    node.deadlines.set(this, node.now() + half)
  }

  due(now: number): void {
    if (++this.halves === 2) this.resolve(false)
    else this.node.deadlines.set(this, now + half)
  }

  resolve(isAlive: boolean): void {
    this.cancel()
    this.resume(isAlive)
  }

  cancel(): void {
    this.node.deadlines.cancel(this)
  }
}
