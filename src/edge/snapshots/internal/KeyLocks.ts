import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { Key } from "../../../contract/SnapshotStore.ts"

/** Lets what names the same key run one after the other, in the order in which it came, and all else at the same time. */
export class KeyLocks {
  private readonly last = new Map<string, Deferred.Deferred<void>>()

  /** Waits, and runs to its end, whatever interrupts it: half of a write is of no use. */
  run<A, E>(keys: ReadonlyArray<Key>, effect: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.uninterruptible(Effect.suspend(() => {
      const mine = Deferred.makeUnsafe<void>()
      const before = new Set<Deferred.Deferred<void>>()
      const names = keys.map(({ id, kind }) => `${kind}\n${id}`)
      // All at once, so that no two wait for each other.
      for (const name of names) {
        const other = this.last.get(name)
        if (other !== undefined) before.add(other)
        this.last.set(name, mine)
      }
      const leave = Effect.suspend(() => {
        for (const name of names) if (this.last.get(name) === mine) this.last.delete(name)
        return Deferred.succeed(mine, undefined)
      })
      const all = before.size === 0
        ? effect
        : Effect.andThen(Effect.forEach(before, Deferred.await, { discard: true }), effect)
      return Effect.ensuring(all, leave)
    }))
  }
}
