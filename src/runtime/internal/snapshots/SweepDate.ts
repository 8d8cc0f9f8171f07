/**
 * The date up to which the store is swept.
 *
 * The store knows dates only, and the machine's clock may be set forward. The sessions of this process have not expired then.
 * Until their new dates are written, the store is swept by the date as it would be without the change.
 */

/** How much faster than the monotonic clock the date may go between two sweeps, in milliseconds. */
const tolerance = 1_000

export class SweepDate {
  private readonly while: number
  /** How far the date is ahead of the monotonic clock. */
  private ahead: number | undefined = undefined
  private until: number | undefined = undefined

  /** @param writtenWithin the time within which all sessions are written with their new dates, in milliseconds */
  constructor(writtenWithin: number) {
    this.while = writtenWithin
  }

  next(now: number, date: number): number {
    const ahead = date - now
    if (this.ahead !== undefined && ahead > this.ahead + tolerance) {
      this.until ??= now + this.while
      if (now < this.until) return now + this.ahead
    }
    this.until = undefined
    this.ahead = ahead
    return date
  }
}
