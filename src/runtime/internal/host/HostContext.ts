/**
 * What all sessions of one `Sessions` Layer share: configuration, clocks, limits, events, and the index of users.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import type { SessionsConfig } from "../../../policy/SessionsConfig.ts"
import type { DeadLetters } from "../../DeadLetters.ts"
import type { Expiry } from "../../Expiry.ts"
import type { MessageLimiter } from "../../MessageLimiter.ts"
import type { SessionEvents } from "../../SessionEvents.ts"
import type { StartLimiter } from "../../StartLimiter.ts"
import type { WakeUps } from "../messages/WakeUps.ts"
import { Deadlines } from "../time/Deadlines.ts"
import { type ExpiringSession, ExpiryAlarm } from "../time/ExpiryAlarm.ts"
import type { Router } from "./Placement.ts"

/** What the host needs of a session. */
export interface HostedSession extends ExpiringSession {
  readonly ref: SessionRef.Any
  /** Can it take messages? */
  isLive(now: number): boolean
}

export class HostContext {
  readonly clock: Clock.Clock
  private readonly time: MonotonicClock
  readonly config: SessionsConfig["Service"]
  readonly expiry: Expiry["Service"]
  readonly deadlines: Deadlines
  readonly expiryAlarm: ExpiryAlarm
  readonly wakeUps: WakeUps
  readonly events: SessionEvents["Service"]
  readonly letters: DeadLetters["Service"]
  readonly startLimiter: StartLimiter["Service"]
  readonly messageLimiter: MessageLimiter["Service"]
  /** Finds sessions that may be in other processes; `undefined`: all are here. */
  readonly router: Router | undefined

  /** The number of sessions that have not ended, all kinds together. */
  live = 0
  /** `true` once the Layer is closing: nothing starts any more. */
  closed = false

  private lastEpoch = 0
  private readonly users = new Map<string, Set<HostedSession>>()

  constructor(services: {
    readonly clock: Clock.Clock
    readonly config: SessionsConfig["Service"]
    readonly expiry: Expiry["Service"]
    readonly context: Context.Context<never>
    readonly wakeUps: WakeUps
    readonly events: SessionEvents["Service"]
    readonly letters: DeadLetters["Service"]
    readonly startLimiter: StartLimiter["Service"]
    readonly messageLimiter: MessageLimiter["Service"]
    readonly router: Router | undefined
  }) {
    this.clock = services.clock
    this.time = services.router?.time ?? new MonotonicClock(services.clock)
    this.config = services.config
    this.expiry = services.expiry
    this.deadlines = new Deadlines(this.time, services.clock, services.context)
    this.expiryAlarm = new ExpiryAlarm(services.expiry, this.deadlines)
    this.wakeUps = services.wakeUps
    this.events = services.events
    this.letters = services.letters
    this.startLimiter = services.startLimiter
    this.messageLimiter = services.messageLimiter
    this.router = services.router
  }

  /** The monotonic clock in milliseconds: for durations and deadlines. */
  now(): number {
    return this.time.now()
  }

  /** The wall clock in milliseconds since 1970: for dates that are shown or stored. */
  date(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** The date of a recent time of `now`. */
  dateOf(time: number): number {
    return this.time.dateOf(time)
  }

  /** May this process serve the session with this id? */
  isHere(id: string): boolean {
    return this.router === undefined || this.router.of(id).isHere(this.now())
  }

  /** The number of sessions that have neither ended nor expired. */
  get count(): number {
    return this.live - this.expiry.expired.size
  }

  /**
   * Is the limit of sessions reached? Expired sessions are ended first, so that a session that waits for the sweep takes
   * nobody's place.
   */
  isFull(): boolean {
    if (this.live < this.config.maxSessions) return false
    const now = this.now()
    for (const session of this.sweep(now)) session.expire(now)
    return this.live >= this.config.maxSessions
  }

  /** Takes the expired sessions out of the tracker. The caller ends them. */
  sweep(now: number): Array<ExpiringSession> {
    return this.expiry.sweep(now) as Array<ExpiringSession>
  }

  /** The number of a new incarnation. It follows the date, so that it also grows across restarts. */
  nextEpoch(date: number): number {
    return this.lastEpoch = Math.max(this.lastEpoch + 1, date)
  }

  /** Learns an epoch of another process. The epochs given from now on are higher. */
  noteEpoch(epoch: number): void {
    this.lastEpoch = Math.max(this.lastEpoch, epoch)
  }

  /** Moves a session from one user to another in the index. */
  assign(session: HostedSession, from: string | undefined, to: string | undefined): void {
    if (from !== undefined) {
      const set = this.users.get(from)
      if (set !== undefined && set.delete(session) && set.size === 0) this.users.delete(from)
    }
    if (to !== undefined) {
      const set = this.users.get(to)
      if (set === undefined) this.users.set(to, new Set([session]))
      else set.add(session)
    }
  }

  ofUser(user: string): Iterable<HostedSession> {
    return this.users.get(user) ?? []
  }
}
