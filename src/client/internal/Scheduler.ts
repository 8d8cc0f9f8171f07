/**
 * Callbacks that run later, on Effect's Clock.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { nobody, observe } from "../../internal/guard.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"

export class Scheduler {
  private readonly clock: Clock.Clock
  private readonly time: MonotonicClock
  private readonly fork: (effect: Effect.Effect<unknown, unknown>) => Fiber.Fiber<unknown, unknown>
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()

  constructor(context: Context.Context<never>) {
    this.clock = Context.get(context, Clock.Clock)
    this.time = new MonotonicClock(this.clock)
    this.fork = Effect.runForkWith(context)
  }

  /** Milliseconds of the monotonic clock, for durations. */
  now(): number {
    return this.time.now()
  }

  /** Milliseconds since 1970, to be shown. */
  date(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** Runs an Effect that ends with the client; gives the function that interrupts it. */
  run(effect: Effect.Effect<unknown, unknown>): () => void {
    const fiber = this.fork(effect)
    this.fibers.add(fiber)
    observe(nobody, fiber, () => this.fibers.delete(fiber))
    return () => fiber.interruptUnsafe()
  }

  /** Calls back after that many milliseconds, unless that is cancelled with the function that it gives. */
  after(millis: number, f: () => void): () => void {
    if (millis === Infinity) return noop
    let waiting = true
    const stop = this.run(Effect.andThen(
      Effect.sleep(millis),
      Effect.sync(() => {
        if (!waiting) return
        waiting = false
        f()
      })
    ))
    return () => {
      if (!waiting) return
      waiting = false
      stop()
    }
  }

  /** Logs an error with its defect. */
  log(text: string, defect: unknown): void {
    this.run(Effect.logError(text, Cause.die(defect)))
  }

  close(): void {
    for (const fiber of Array.from(this.fibers)) fiber.interruptUnsafe()
  }
}

export const noop = (): void => {}
