import { Clock, Effect } from "effect"

/** A clock whose date can be set, like that of a machine; what takes time takes it as if nothing had happened. */
export interface SteppedClock {
  /** Sets the date forward, or back. */
  readonly step: (millis: number) => void
  readonly provide: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

/** The TestClock of the test, with a date that can be set. */
export const steppedClock: Effect.Effect<SteppedClock> = Effect.map(Clock.Clock, (clock) => {
  let ahead = 0
  const currentTimeMillisUnsafe = () => clock.currentTimeMillisUnsafe() + ahead
  const currentTimeNanosUnsafe = () => clock.currentTimeNanosUnsafe() + BigInt(Math.round(ahead * 1e6))
  const stepped: Clock.Clock = {
    // The TestClock is moved through it.
    ...clock,
    currentTimeMillisUnsafe,
    currentTimeNanosUnsafe,
    currentTimeMillis: Effect.sync(currentTimeMillisUnsafe),
    currentTimeNanos: Effect.sync(currentTimeNanosUnsafe)
  }
  return {
    step: (millis) => {
      ahead += millis
    },
    provide: Effect.provideService(Clock.Clock, stepped)
  }
})
