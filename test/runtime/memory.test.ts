import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Session } from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

setFlagsFromString("--expose-gc")
const gc = runInNewContext("gc") as () => void

class Holder extends Session.Service<Holder>()("Holder", {
  state: Schema.Struct({ text: Schema.String }),
  protocol: [Rpc.make("Get")]
}) {}

/** The first states of its sessions, as long as they are reachable. */
const test = (options: Parameters<typeof Holder.toLayer>[1] = {}) => {
  const states: Array<WeakRef<object>> = []
  const HolderLayer = Holder.toLayer(
    Holder.behavior({
      init: ({ id }) => {
        const state = { text: id.repeat(1000) }
        states.push(new WeakRef(state))
        return state
      },
      handlers: { Get: ({ state }) => [state] }
    }),
    options
  )
  const left = Effect.gen(function*() {
    // A WeakRef is held until the turn is over.
    for (let i = 0; i < 5; i++) {
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      gc()
    }
    return states.filter((state) => state.deref() !== undefined).length
  })
  return { HolderLayer, left }
}

describe("A ref that the program holds", () => {
  it.effect("does not keep the state of a session that has ended", () => {
    const { HolderLayer, left } = test()
    return Effect.gen(function*() {
      const holders = yield* Holder
      const refs = yield* Effect.forEach(["a", "b", "c"], (id) => holders.start(id))
      for (const ref of refs) yield* ref.call("Get")
      assert.strictEqual(yield* left, 3)
      for (const ref of refs) yield* ref.end()
      assert.strictEqual(yield* left, 0)
      for (const ref of refs) assert.isFalse(yield* ref.isLive)
    }).pipe(Effect.provide(TestSessions.layer(HolderLayer)))
  })

  it.effect("nor that of one that has left memory", () => {
    const { HolderLayer, left } = test({
      hibernateAfter: "1 second",
      snapshots: { save: "atHibernation", passivateAfter: "1 second" }
    })
    return Effect.gen(function*() {
      const holders = yield* Holder
      const refs = yield* Effect.forEach(["a", "b"], (id) => holders.start(id))
      for (let i = 0; i < 10; i++) yield* TestSessions.elapse("1 second")
      assert.strictEqual(yield* holders.count, 0)
      assert.strictEqual(yield* left, 0)
      for (const ref of refs) assert.strictEqual((yield* ref.state).text, ref.id.repeat(1000))
    }).pipe(Effect.provide(TestSessions.layer(HolderLayer.pipe(Layer.provide(MemoryStore.layer)))))
  })
})
