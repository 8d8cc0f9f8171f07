/**
 * Up to which date the store is swept.
 *
 * The store knows of dates only, and the clock of the machine may be set forward. Sessions that live in this process have not
 * expired then, and what the store says of them is written anew in a while; until then it is swept by the date as it was.
 */

/** How far the date may be ahead of what passed since the last sweep, in milliseconds. */
const tolerance = 1_000

export class SweepDate {
  private readonly while: number
  /** How far the date is ahead of the monotonic clock. */
  private ahead: number | undefined = undefined
  private until: number | undefined = undefined

  /** @param writtenWithin how long it takes until all is written anew, in milliseconds */
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
