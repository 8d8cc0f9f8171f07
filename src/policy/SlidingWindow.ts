/**
 * Counts the events within a sliding window of time.
 *
 * The window is divided into slices (default: 1,000). All events of a slice share one entry, dated by the latest of them.
 * So the count is never too low and is exact to one slice, and memory is bounded by the number of slices, whatever the
 * limit. A window without recent events holds no entries.
 *
 * @since 0.1.0
 */

/**
 * A sliding window. All times are milliseconds of one clock that never goes back.
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
   * Counts one event and gives 0 if the limit allows it; otherwise gives the milliseconds until it does.
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

  /** The milliseconds until the next event is allowed; 0 if one is allowed now. Counts nothing. */
  wait(now: number): number {
    this.purge(now)
    if (this.total < this.limit) return 0
    // How many events must leave the window before the count is below the limit.
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
