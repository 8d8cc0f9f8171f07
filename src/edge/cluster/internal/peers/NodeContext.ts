/**
 * What all connections of a node share.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Socket } from "node:net"
import { MonotonicClock } from "../../../../internal/MonotonicClock.ts"
import { Deadlines } from "../../../../runtime/internal/time/Deadlines.ts"
import type { Identity } from "./greeting.ts"
import type { Json } from "./model.ts"

export class NodeContext {
  readonly self: Identity
  /** The most bytes that wait for a peer that does not read them. */
  readonly unreadLimit: number
  readonly deadlines: Deadlines
  readonly endings: Endings
  /** The open sockets. */
  readonly sockets = new Set<Socket>()
  /** The Scope of the node has ended: nothing is asked any more. */
  isClosed = false
  private readonly time: MonotonicClock
  private readonly run: (effect: Effect.Effect<void>) => unknown

  constructor(self: Identity, unreadLimit: number, context: Context.Context<never>) {
    const clock = Context.get(context, Clock.Clock)
    this.self = self
    this.unreadLimit = unreadLimit
    this.time = new MonotonicClock(clock)
    this.deadlines = new Deadlines(this.time, clock, context)
    this.run = Effect.runForkWith(context)
    this.endings = new Endings(this)
  }

  /** Milliseconds of the monotonic clock. */
  now(): number {
    return this.time.now()
  }

  /** JSON, or `undefined` when it is none, which is logged. */
  encode(json: Json): string | undefined {
    try {
      return JSON.stringify(json) ?? "null"
    } catch (defect) {
      this.report("what was to be sent to another node is not JSON", defect)
      return undefined
    }
  }

  /** Logs what was thrown. */
  report(text: string, defect: unknown): void {
    this.run(Effect.logError(text, Cause.die(defect)))
  }

  warn(text: string): void {
    this.run(Effect.logWarning(text))
  }
}

/** How long further connections of a peer that are ended are not logged, in milliseconds. */
const pause = 60_000

/** How many peers are told apart. */
const mostPeers = 256

/** Logs why this node has ended connections, once per peer and minute. */
class Endings {
  private readonly node: NodeContext
  /** When something was last logged about a peer, the oldest first. */
  private readonly loggedAt = new Map<string, number>()

  constructor(node: NodeContext) {
    this.node = node
  }

  report(peer: string, reason: string): void {
    const now = this.node.now()
    for (const [peer, at] of this.loggedAt) {
      if (now - at < pause) break
      this.loggedAt.delete(peer)
    }
    // Whoever connects from very many addresses does not fill the log, either.
    const key = this.loggedAt.size < mostPeers ? peer : "others"
    if (this.loggedAt.has(key)) return
    this.loggedAt.set(key, now)
    this.node.warn(`a connection between ${peer} and this node was ended: ${reason}`)
  }
}
