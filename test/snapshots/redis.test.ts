import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { RedisStore, SnapshotStore } from "effect-sessions/snapshots"
import * as Redis from "effect/persistence/Redis"
import { describeStore, raceForTerms, snapshotOf } from "./contract.ts"
import * as RedisServer from "./RedisServer.ts"

const StoreLayer = Layer.unwrap(Effect.map(
  RedisServer.start,
  ({ prefix, url }) => RedisStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url })))
))

describe("Redis", RedisServer.needed, () => {
  describeStore("RedisStore", StoreLayer)

  it.live("RedisStore grants the highest term in the end, through two connections", () =>
    Effect.gen(function*() {
      const { prefix, url } = yield* RedisServer.start
      const connect = Effect.map(
        Layer.build(
          Layer.fresh(RedisStore.layer({ prefix })).pipe(Layer.provide(Layer.fresh(NodeRedis.layer({ url }))))
        ),
        (context) => Context.get(context, SnapshotStore)
      )
      yield* raceForTerms(yield* connect, yield* connect)
    }).pipe(Effect.scoped))

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
