import { NodeRedis } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { RedisStore } from "effect-sessions/snapshots"
import { describeStore } from "./contract.ts"
import * as RedisServer from "./RedisServer.ts"

const ClientLayer = Layer.unwrap(Effect.map(RedisServer.start, (url) => NodeRedis.layer({ url })))

describeStore("RedisStore", RedisStore.layer().pipe(Layer.provide(ClientLayer)))
