/**
 * Timers of one second's resolution, for the expiry of tokens: one fiber serves any number of them.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"

export interface Expirations {
  /** Calls `f` after so many milliseconds, at most a second late. Gives a function that cancels the call. */
  readonly after: (millis: number, f: () => void) => () => void
}

export const make: Effect.Effect<Expirations, never, Scope.Scope> = Effect.gen(function*() {
  const clock = new MonotonicClock(yield* Clock.Clock)
  const due = new Map<number, Set<() => void>>()
  let next = 1
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(
    Effect.sleep("1 second"),
    Effect.sync(() => {
      for (const second = Math.floor(clock.now() / 1_000); next <= second; next++) {
        const over = due.get(next)
        due.delete(next)
        over?.forEach((f) => f())
      }
    })
  )))
  return {
    after: (millis, f) => {
      const second = Math.max(next, Math.ceil((clock.now() + millis) / 1_000))
      if (second === Infinity) return () => {}
      let waiting = due.get(second)
      if (waiting === undefined) due.set(second, waiting = new Set())
      waiting.add(f)
      return () => {
        if (waiting.delete(f) && waiting.size === 0 && due.get(second) === waiting) due.delete(second)
      }
    }
  }
})
