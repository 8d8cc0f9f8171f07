/**
 * Counts what happened within a sliding window of time.
 *
 * The window is cut into slices (a thousand by default). Events of the same slice share one
 * entry, dated by the latest of them. So the count is never too low, is exact to one slice, and the memory is
 * bounded by the number of slices whatever the limit. A window that saw nothing lately holds nothing.
 *
 * @since 0.1.0
 */

/**
 * A sliding window. Times are milliseconds of one clock and do not go back.
 *
 * @since 0.1.0
 * @category models
 */
export class SlidingWindow {
  readonly limit: number
  readonly windowMillis: number
  private readonly quantum: number
  private times: Array<number> = []
  private counts: Array<number> = []
  private head = 0
  private total = 0

  constructor(limit: number, windowMillis: number, slices = 1_000) {
    this.limit = limit
    this.windowMillis = windowMillis
    this.quantum = windowMillis / slices
  }

  /** How many events the window holds now. */
  count(now: number): number {
    this.purge(now)
    return this.total
  }

  /**
   * Counts one event if the limit allows it and gives 0; otherwise gives the milliseconds until it will.
   */
  take(now: number): number {
    const wait = this.wait(now)
    if (wait > 0) return wait
    const last = this.times.length - 1
    if (last >= this.head && Math.floor(this.times[last]! / this.quantum) === Math.floor(now / this.quantum)) {
      this.times[last] = now
      this.counts[last]!++
    } else {
      this.times.push(now)
      this.counts.push(1)
    }
    this.total++
    return 0
  }

  /** The milliseconds until an event would be allowed; 0 when it would be now. Counts nothing. */
  wait(now: number): number {
    this.purge(now)
    if (this.total < this.limit) return 0
    // As many must leave as bring the count below the limit.
    let leaving = this.total - this.limit + 1
    for (let i = this.head; i < this.times.length; i++) {
      leaving -= this.counts[i]!
      if (leaving <= 0) return Math.max(1, this.times[i]! + this.windowMillis - now)
    }
    return this.windowMillis
  }

  private purge(now: number): void {
    const oldest = now - this.windowMillis
    while (this.head < this.times.length && this.times[this.head]! <= oldest) {
      this.total -= this.counts[this.head]!
      this.head++
    }
    if (this.head === this.times.length) {
      if (this.head > 0) {
        this.times = []
        this.counts = []
        this.head = 0
      }
    } else if (this.head > 1000) {
      this.times.splice(0, this.head)
      this.counts.splice(0, this.head)
      this.head = 0
    }
  }
}
