/**
 * The time that durations are measured in: it never goes back, and it does not jump when the clock of the machine is set.
 *
 * Reading the monotonic clock makes a BigInt, which costs twice as much as reading the wall clock. So between two such
 * readings the wall clock is followed as long as it goes on in small steps; where it does anything else, the monotonic clock
 * is read. A clock that is not the live one, such as a TestClock, is read each time.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"

/** How far the wall clock may go on between two readings to be followed, in milliseconds. */
const longestStep = 20

/** How many readings in a row may follow the wall clock. */
const longestRun = 256

export class MonotonicClock {
  private readonly clock: Clock.Clock
  private readonly isLive: boolean
  private readonly origin: bigint
  /** How many more readings may follow the wall clock. */
  private left = 0
  private wall = 0
  /** How far this time is ahead of the wall clock. */
  private ahead = 0
  private latest = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.isLive = clock === Context.get(Context.empty(), Clock.Clock)
    this.origin = clock.monotonicTimeNanosUnsafe()
    this.now()
  }

  /** Milliseconds since this was made. */
  now(): number {
    const wall = this.clock.currentTimeMillisUnsafe()
    const step = wall - this.wall
    if (step < 0 || step > longestStep || this.left === 0) return this.read(wall)
    this.left--
    this.wall = wall
    const now = wall + this.ahead
    return now > this.latest ? this.latest = now : this.latest
  }

  /** The date of such a time in milliseconds since 1970, by the wall clock of the latest reading. */
  dateOf(time: number): number {
    return time - this.ahead
  }

  private read(wall: number): number {
    const millis = Number(this.clock.monotonicTimeNanosUnsafe() - this.origin) / 1e6
    const now = this.isLive ? Math.floor(millis) : millis
    this.left = this.isLive ? longestRun : 0
    this.wall = wall
    this.ahead = now - wall
    return now > this.latest ? this.latest = now : this.latest
  }
}
