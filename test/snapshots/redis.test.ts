import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RedisStore, SnapshotStore } from "effect-sessions/snapshots"
import * as Redis from "effect/persistence/Redis"
import { describeStore, snapshotOf } from "./contract.ts"
import * as RedisServer from "./RedisServer.ts"

const StoreLayer = Layer.unwrap(Effect.map(
  RedisServer.start,
  ({ prefix, url }) => RedisStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url })))
))

describe("Redis", RedisServer.needed, () => {
  describeStore("RedisStore", StoreLayer)

  it.live("RedisStore blames the key, and not Redis, when something else is stored under its name", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* RedisServer.start
      const layer = RedisStore.layer({ prefix }).pipe(Layer.provideMerge(NodeRedis.layer({ url })))
      yield* Effect.gen(function*() {
        const redis = yield* Redis.Redis
        const store = yield* SnapshotStore
        const key = { kind: "cart", id: "taken" }
        yield* redis.send("SET", `${prefix}s/cart/taken`, "something else")
        for (
          const effect of [store.claim(key, 1), store.save([snapshotOf(key, 1)]), store.peek(key), store.stat(key)]
        ) {
          assert.strictEqual((yield* Effect.flip(effect as Effect.Effect<unknown, any>)).scope, "key")
        }
        assert.deepStrictEqual(yield* store.save([snapshotOf({ ...key, id: "fine" }, 1)]), [true])
      }).pipe(Effect.provide(layer))
    }).pipe(Effect.scoped))
})
