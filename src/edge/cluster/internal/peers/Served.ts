/**
 * The connection of a node that asks this one.
 */
import type { Socket } from "node:net"
import { Connection, type Frame, goodbye, type User } from "./Connection.ts"
import { Greeting } from "./greeting.ts"
import type { Handler, Json, NodeInfo, Reply } from "./model.ts"
import type { NodeContext } from "./NodeContext.ts"

/** What the server does with its connections. */
export interface Host {
  readonly handler: Handler
  /** This node has said goodbye. */
  readonly isLeaving: boolean
  readonly greeted: (served: Served, peer: NodeInfo) => void
  readonly closed: (served: Served) => void
}

export class Served implements User {
  readonly node: NodeContext
  readonly connection: Connection
  /** Who asks, after the greeting. */
  peer: NodeInfo | undefined = undefined
  private readonly host: Host
  private readonly open = new Map<number, ServedRequest>()
  /** The requests whose handlers wait until the peer reads again, in their order. */
  readonly draining = new Set<ServedRequest>()

  constructor(node: NodeContext, host: Host, socket: Socket) {
    this.node = node
    this.host = host
    this.connection = new Connection(node, socket, new Greeting(node.self, undefined), this)
  }

  greeted(peer: NodeInfo): void {
    this.peer = peer
    this.host.greeted(this, peer)
    if (this.host.isLeaving) this.goodbye()
  }

  received(frame: Frame): void {
    const [id] = frame
    if (id > 0) this.handle(id, frame[1])
    else if (id < 0) this.open.get(-id)?.withdraw()
    else this.connection.send(`[0,${Number(frame[1])}]`)
  }

  private handle(id: number, json: Json): void {
    if (this.open.has(id)) return this.connection.refuse("it used the number of a request twice")
    if (this.host.isLeaving) return this.connection.send(`[${id}]`)
    const request = new ServedRequest(this, id)
    this.open.set(id, request)
    try {
      request.handled(this.host.handler(json, request, this.peer!))
    } catch (defect) {
      this.node.report("a request of another node failed", defect)
      request.fail()
    }
  }

  /** This node leaves: requests that have not begun are refused by their handlers, and the others are lost. */
  goodbye(): void {
    this.connection.send(`[0,${goodbye}]`)
    for (const request of this.open.values()) request.giveUp()
  }

  written(): void {}

  drained(): void {
    for (const request of this.draining) {
      if (this.connection.isFull) return
      this.draining.delete(request)
      request.drained()
    }
  }

  closed(): void {
    this.host.closed(this)
    for (const request of this.open.values()) request.withdraw()
  }

  /** The request needs no answer any more. */
  forget(request: ServedRequest): void {
    this.open.delete(request.id)
    this.draining.delete(request)
  }
}

class ServedRequest implements Reply {
  readonly id: number
  private readonly served: Served
  private isOpen = true
  private isWithdrawn = false
  private onWithdrawn: (() => void) | undefined = undefined
  private onDrained: (() => void) | undefined = undefined

  constructor(served: Served, id: number) {
    this.served = served
    this.id = id
  }

  /** The handler has returned. */
  handled(onWithdrawn: (() => void) | undefined): void {
    // It may have ended its own request, by closing the connection for example.
    if (this.isWithdrawn) this.call(onWithdrawn)
    else if (this.isOpen) this.onWithdrawn = onWithdrawn
  }

  event(json: Json): void {
    if (!this.isOpen) return
    const text = this.frame(json, ",1]")
    if (text === undefined) return this.giveUp()
    this.served.connection.send(text)
  }

  end(json: Json): void {
    if (!this.isOpen) return
    const text = this.frame(json, "]")
    if (text === undefined) return this.fail()
    this.answer(text)
  }

  refuse(): void {
    if (this.isOpen) this.answer(`[${this.id}]`)
  }

  /** There is no answer, and the request may have begun. */
  fail(): void {
    if (this.isOpen) this.answer(`[${-this.id}]`)
  }

  get isFull(): boolean {
    return this.isOpen && this.served.connection.isFull
  }

  onDrain(f: () => void): void {
    if (!this.isOpen) return
    if (!this.isFull) return f()
    this.onDrained = f
    this.served.draining.add(this)
  }

  drained(): void {
    const f = this.onDrained
    this.onDrained = undefined
    this.call(f)
  }

  /** Nobody waits for the answer any more. */
  withdraw(): void {
    this.isOpen = false
    this.served.forget(this)
    this.callWithdrawn()
  }

  /** Nobody works on the answer any more; the handler has the last word. */
  giveUp(): void {
    this.callWithdrawn()
    this.fail()
  }

  private callWithdrawn(): void {
    const f = this.onWithdrawn
    this.isWithdrawn = true
    this.onWithdrawn = undefined
    this.call(f)
  }

  private answer(frame: string): void {
    this.isOpen = false
    this.onWithdrawn = undefined
    this.served.forget(this)
    this.served.connection.send(frame)
  }

  private frame(json: Json, end: string): string | undefined {
    const { connection, node } = this.served
    const text = node.encode(json)
    if (text === undefined) return undefined
    const frame = `[${this.id},${text}${end}`
    if (connection.fits(frame)) return frame
    node.warn("an answer to another node is longer than a line may be")
    return undefined
  }

  private call(f: (() => void) | undefined): void {
    try {
      f?.()
    } catch (defect) {
      this.served.node.report("a request of another node failed", defect)
      this.fail()
    }
  }
}
