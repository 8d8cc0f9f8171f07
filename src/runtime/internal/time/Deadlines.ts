/**
 * Precise deadlines: of calls, timers, starts and ends.
 *
 * One fiber sleeps until the next deadline, however many there are. Without deadlines there is no fiber.
 */
import type * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import { type Entry, nowhere, TimingWheel } from "./TimingWheel.ts"

/** Something that happens at a time. If `due` throws, the defect is logged, and the other deadlines are still called. */
export abstract class Deadline implements Entry {
  wheelTick = nowhere
  wheelIndex = 0
  abstract due(now: number): void
}

/** A deadline that calls a function. It costs a closure, so it is not for each message. */
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

  /** Calls `entry.due` at `deadline`, a time of the monotonic clock; soon, but after this has returned, when that is past. */
  set(entry: Deadline, deadline: number): void {
    if (this.closed || deadline === Infinity) return
    this.wheel.insert(entry, deadline)
    if (deadline < this.wakesAt) this.arm()
  }

  cancel(entry: Deadline): void {
    this.wheel.remove(entry)
  }

  /** Ends the sleeping fiber. Nothing is called any more. */
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
    // A TestClock does not wait for a pause of 0, and `due` must not be called before `set` has returned.
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
        // The other deadlines are called all the same.
        this.runFork(Effect.logError("what was due at a time failed", defect))
      }
    })
    if (!this.closed && this.sleeper === undefined && this.wheel.next() !== Infinity) this.arm()
  }
}
