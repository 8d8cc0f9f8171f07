import { NodeRedis } from "@effect/platform-node"
import { describe } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { RedisStore } from "effect-sessions/snapshots"
import { describeStore } from "./contract.ts"
import * as RedisServer from "./RedisServer.ts"

const StoreLayer = Layer.unwrap(Effect.map(
  RedisServer.start,
  ({ prefix, url }) => RedisStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url })))
))

describe("Redis", RedisServer.needed, () => describeStore("RedisStore", StoreLayer))
