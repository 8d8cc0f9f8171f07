import { Clock, Effect } from "effect"

/** A clock whose date can be set, like that of a machine; what takes time takes it as if nothing had happened. */
export interface SteppedClock {
  /** Sets the date forward, or back. */
  readonly step: (millis: number) => void
  /** Lets time pass of which nothing takes note, as when the process stands still. */
  readonly standStill: (millis: number) => void
  readonly provide: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** The TestClock of the test, with a date that can be set. */
export const steppedClock: Effect.Effect<SteppedClock> = Effect.map(Clock.Clock, (clock) => {
  let ahead = 0
  let passed = 0
  const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + ahead + passed
  const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + BigInt(Math.round((ahead + passed) * 1e6))
  const monotonicTimeNanosUnsafe = () => clock.monotonicTimeNanosUnsafe() + BigInt(Math.round(passed * 1e6))
  const stepped: Clock.Clock = {
    // The TestClock is moved through it.
    ...clock,
    currentTimeMillisUnsafe,
    currentTimeNanosUnsafe,
    monotonicTimeNanosUnsafe,
    monotonicTimeNanos: Effect.sync(monotonicTimeNanosUnsafe),
    currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
    currentTimeNanos: Effect.sync(currentTimeNanosUnsafe)
  }
  return {
    step: (millis) => {
      ahead += millis
    },
    standStill: (millis) => {
      passed += millis
    },
    provide: Effect.provideService(Clock.Clock, stepped)
  }
})
