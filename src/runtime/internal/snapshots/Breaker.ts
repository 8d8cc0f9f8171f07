/**
 * Asks a store that keeps failing only now and then, so that callers hear at once that it is down, and it is not asked by
 * all of them at once when it comes back. A fault of one key says nothing of the others: the store has answered.
 */
import * as Effect from "effect/Effect"
import { downAfter, pauseAfter } from "./storeFailures.ts"

export class Breaker {
  private readonly now: () => number
  private failures = 0
  /** Nobody but the one who tries asks before. */
  private refusesUntil = 0

  constructor(now: () => number) {
    this.now = now
  }

  /** Asks, unless the store is known to fail: then `refused` is what the caller gets. */
  guard<A, E extends { readonly scope: "key" | "store" }>(
    effect: Effect.Effect<A, E>,
    refused: (failures: number, retryIn: number) => Effect.Effect<never, E>
  ): Effect.Effect<A, E> {
    return Effect.suspend(() => {
      if (this.failures >= downAfter) {
        const wait = this.refusesUntil - this.now()
        if (wait > 0) return refused(this.failures, wait)
        this.pause()
      }
      return Effect.tapError(
        Effect.tap(effect, () => Effect.sync(() => this.answered())),
        ({ scope }) => Effect.sync(() => scope === "key" ? this.answered() : this.failed())
      )
    })
  }

  private answered(): void {
    this.failures = 0
  }

  private failed(): void {
    this.failures++
    this.pause()
  }

  private pause(): void {
    this.refusesUntil = this.now() + pauseAfter(Math.max(1, this.failures - downAfter + 1))
  }
}
