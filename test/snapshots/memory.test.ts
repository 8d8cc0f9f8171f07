import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { MemoryStore, SnapshotStore } from "effect-sessions/snapshots"
import { describeStore, raceForTerms, snapshotOf } from "./contract.ts"

describeStore("MemoryStore", MemoryStore.layer, { runs: 300 })

describe("MemoryStore", () => {
  it.effect("grants the highest term in the end", () =>
    Effect.gen(function*() {
      const store = yield* SnapshotStore
      yield* raceForTerms(store, store)
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("remembers epochs for as long as configured", () =>
    Effect.gen(function*() {
      const store = yield* SnapshotStore
      const key = { kind: "cart", id: "a" }
      yield* store.remove([{ ...key, epoch: 5 }])
      yield* store.sweep(999)
      assert.deepStrictEqual(yield* store.save([snapshotOf(key, 4)]), [false])
      yield* store.sweep(1000)
      assert.deepStrictEqual(yield* store.save([snapshotOf(key, 4)]), [true])
    }).pipe(Effect.provide(MemoryStore.layerWith({ epochRetention: "1 second" }))))

  it.effect("refuses a retention that is not a time", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        SnapshotStore.pipe(Effect.provide(MemoryStore.layerWith({ epochRetention: -1 })))
      )
      assert.strictEqual(error._tag, "InvalidConfig")
      assert.include(error.message, "epochRetention")
    }))
})
