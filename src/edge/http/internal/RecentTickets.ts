/**
 * The tickets of sessions that requests of this process have ended lately, by a logout.
 *
 * The answer to a logout deletes the cookie, and browsers apply answers in the order in which they arrive. If another request
 * with the same cookie started a session meanwhile, that answer could delete the cookie of the new session. So for a while a
 * request with such a ticket may not start one. Requests that are handled by another process are not protected: there, the
 * browser may lose the cookie of the new session, and starts another one with its next request.
 */
import type * as Clock from "effect/Clock"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"

/** How long a ticket is remembered at least, in milliseconds; it is forgotten after twice that time. */
const grace = 5_000

export class RecentTickets {
  private readonly clock: MonotonicClock
  private recent = new Set<string>()
  private earlier = new Set<string>()
  private since = 0

  constructor(clock: Clock.Clock) {
    this.clock = new MonotonicClock(clock)
  }

  add(ticket: string): void {
    this.forget()
    this.recent.add(ticket)
  }

  has(ticket: string): boolean {
    this.forget()
    return this.recent.has(ticket) || this.earlier.has(ticket)
  }

  private forget(): void {
    const now = this.clock.now()
    if (now - this.since < grace) return
    this.earlier = now - this.since < 2 * grace ? this.recent : new Set()
    this.recent = new Set()
    this.since = now
  }
}
