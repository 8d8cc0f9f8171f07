/**
 * Ends expired sessions at their deadline, if that cannot wait for the sweep.
 */
import type { Entry, Expiry } from "../../Expiry.ts"
import { Deadline, type Deadlines } from "./Deadlines.ts"

/** What expiry needs of a session. */
export interface ExpiringSession extends Entry {
  /** `true` while someone watches its state or waits for its end. */
  readonly watched: boolean
  /** `true` while it handles a message, or its fiber has yet to run. */
  readonly busy: boolean
  /** Ends the session if it has expired, and returns whether it has. */
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

  /** Sets the alarm for the next deadline, if that is earlier than the present alarm. */
  arm(): void {
    const next = this.expiry.next()
    if (next >= this.setFor) return
    this.deadlines.cancel(this)
    this.setFor = next
    this.deadlines.set(this, next)
  }

  /**
   * Ends the watched sessions, so that their watchers are notified in time, and renews the deadline of busy sessions. The
   * sweep ends the others.
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
