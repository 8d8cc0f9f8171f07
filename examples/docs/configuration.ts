// Settings from a preset and from the environment, options of one kind, and a part that is replaced.
//   node --conditions=source examples/docs/configuration.ts
import { ConfigProvider, Effect, Layer } from "effect"
import {
  Bag,
  DeadLetters,
  Expiry,
  MessageLimiter,
  SessionEvents,
  Sessions,
  SessionsConfig,
  StartLimiter,
  Supervision
} from "effect-sessions"

const FromCode = Sessions.layer({ ...SessionsConfig.production, idleTimeout: "30 minutes" })

const FromEnvironment = Sessions.layerFromEnv(SessionsConfig.development).pipe(
  Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({ SESSIONS_MAX: "many" })))
)

const BagLayer = Bag.layer({
  idleTimeout: "1 day",
  mailboxCapacity: 100,
  overflow: { Put: "reject" },
  supervision: Supervision.reset({ maxCrashes: 3, within: "1 minute" })
})

/** Counts no starts: for a program behind a gateway that does. */
const NoStartLimit = Layer.succeed(StartLimiter, {
  check: () => Effect.void,
  status: Effect.succeed({ limit: Infinity, window: 0, current: 0, utilisation: 0, retryAfter: 0 }),
  addresses: Effect.succeed(0)
})

const WithOwnLimiter = Sessions.layerNoDeps.pipe(
  Layer.provideMerge(
    Layer.mergeAll(NoStartLimit, Expiry.layer, MessageLimiter.layer, SessionEvents.layer, DeadLetters.layer)
  ),
  Layer.provideMerge(Layer.effect(SessionsConfig.SessionsConfig, SessionsConfig.make({ maxSessions: 100_000 })))
)

const limit = Effect.gen(function*() {
  yield* (yield* Bag).start("ada", { idleTimeout: "7 days" })
  return (yield* (yield* Sessions).count).limit
})

Effect.gen(function*() {
  console.log("from code:", yield* Effect.provide(limit, Layer.provideMerge(BagLayer, FromCode)))
  console.log("own limiter:", yield* Effect.provide(limit, Layer.provideMerge(BagLayer, WithOwnLimiter)))
  const error = yield* Effect.flip(Effect.provide(limit, Layer.provideMerge(BagLayer, FromEnvironment)))
  console.log(error.message)
}).pipe(Effect.runPromise)
