/**
 * Precise deadlines: answers that are waited for, timers of sessions, ends that take too long.
 *
 * One fiber sleeps until the next deadline, whatever their number, and none runs while there is none.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import { type Entry, nowhere, TimingWheel } from "./TimingWheel.ts"

/** Something that happens at a time. What `due` throws is logged, and keeps no other from being called. */
export abstract class Deadline implements Entry {
  wheelTick = nowhere
  wheelIndex = 0
  abstract due(now: number): void
}

/** Calls a function at a time. For what happens to few sessions: it costs a closure. */
export class CallbackDeadline extends Deadline {
  readonly due: (now: number) => void

  constructor(due: (now: number) => void) {
    super()
    this.due = due
  }
}

export class Deadlines {
  private readonly wheel = new TimingWheel<Deadline>(1)
  private readonly time: MonotonicClock
  private readonly clock: Clock.Clock
  private readonly runFork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
  private sleeper: Fiber.Fiber<void> | undefined
  private wakesAt = Infinity
  private closed = false

  constructor(time: MonotonicClock, clock: Clock.Clock, context: Context.Context<never>) {
    this.time = time
    this.clock = clock
    this.runFork = Effect.runForkWith(context)
  }

  get size(): number {
    return this.wheel.size
  }

  /** Calls `entry.due`, and not before this returns, at `deadline`, a time of the monotonic clock, or soon when that is past. */
  set(entry: Deadline, deadline: number): void {
    if (this.closed || deadline === Infinity) return
    this.wheel.insert(entry, deadline)
    if (deadline < this.wakesAt) this.arm()
  }

  cancel(entry: Deadline): void {
    this.wheel.remove(entry)
  }

  /** Ends the sleeping fiber; nothing is due from here on. */
  close(): void {
    this.closed = true
    this.sleeper?.interruptUnsafe()
    this.sleeper = undefined
  }

  /** (Re)starts the fiber that sleeps until the next deadline. */
  private arm(): void {
    this.sleeper?.interruptUnsafe()
    this.wakesAt = this.wheel.next()
    const pause = this.wakesAt - this.time.now()
    // A TestClock does not wait for nothing: what is due must not come before whoever set it is ready.
    const sleep = pause > 0 ? this.clock.sleep(Duration.millis(pause)) : Effect.yieldNow
    this.sleeper = this.runFork(Effect.map(sleep, () => this.wake()))
  }

  private wake(): void {
    this.sleeper = undefined
    this.wakesAt = Infinity
    const now = this.time.now()
    this.wheel.advance(now, (entry) => {
      try {
        entry.due(now)
      } catch (defect) {
        // The others are due all the same.
        this.runFork(Effect.logError("what was due at a time failed", defect))
      }
    })
    if (!this.closed && this.sleeper === undefined && this.wheel.next() !== Infinity) this.arm()
  }
}
