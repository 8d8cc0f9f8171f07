/**
 * Looks at the deadlines of sessions when they come.
 */
import type { Entry, Expiry } from "../../Expiry.ts"
import { Deadline, type Deadlines } from "./Deadlines.ts"

/** A session whose deadline the tracker knows. */
export interface ExpiringSession extends Entry {
  /** Does anybody watch its state or wait for its end? */
  readonly watched: boolean
  /** Does it handle a message, or wait to do so? */
  readonly busy: boolean
  /** Ends it if it has expired; `false` when it has not. */
  expire(now: number): boolean
}

export class ExpiryAlarm extends Deadline {
  private readonly expiry: Expiry["Service"]
  private readonly deadlines: Deadlines
  private setFor = Infinity

  constructor(expiry: Expiry["Service"], deadlines: Deadlines) {
    super()
    this.expiry = expiry
    this.deadlines = deadlines
  }

  /** Makes sure that the next deadline is not missed. */
  arm(): void {
    const next = this.expiry.next()
    if (next >= this.setFor) return
    this.deadlines.cancel(this)
    this.setFor = next
    this.deadlines.set(this, next)
  }

  /**
   * Whoever watches a session learns of its end when it comes, and a busy one goes on; the others are left for the
   * sweep.
   */
  due(now: number): void {
    this.setFor = Infinity
    for (const entry of this.expiry.advance(now)) {
      const session = entry as ExpiringSession
      if (session.watched || session.busy) session.expire(now)
    }
    this.arm()
  }
}
