/**
 * A corner shop: each visitor has a cart, which is a session of its own.
 *
 * Run it with `npm start` and open two pages: what one of them adds, both show. In two browsers, log in under
 * two names: each sees the other, and can write to the other. Settings come from the environment:
 * `PORT`, `HOST`, `STATE_DIR`, `DATABASE_URL`, `REDIS_URL`, `REDIS_PREFIX`, `COOKIE_SECRET`, `TRUSTED_PROXIES`, `LOG_LEVEL`, those of the
 * sessions, such as `SESSIONS_MAX`, `SESSIONS_RATE_LIMIT` and `SESSIONS_TTL`, and for a node of a cluster (see cluster.ts)
 * `NODE_ADDRESS`, `NODE_LISTEN` and `CLUSTER_SECRET`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Config, Console, Effect, Exit, Layer, References } from "effect"
import { SessionLogger } from "effect-sessions"
import * as Host from "./Host.ts"
import * as Server from "./Server.ts"
import * as Shop from "./Shop.ts"

const LogLevel = Layer.effect(
  References.MinimumLogLevel,
  Config.LogLevel("LOG_LEVEL").pipe(Config.withDefault("Info"))
)

const Main = Server.serve(Shop.layer).pipe(
  Layer.provide(SessionLogger.layer()),
  Layer.provide(Host.layer),
  Layer.provide(LogLevel)
)

/** The error as one line for the operator. */
const explain = (error: Layer.Error<typeof Main>): string => {
  switch (error._tag) {
    case "InvalidConfig":
    case "PageError":
    case "StorageError":
    case "SnapshotStoreError":
    case "ListenFailed":
    case "SqlError":
      return error.message
    case "ConfigError":
      return error.cause.message.replace(/\s+/g, " ")
    case "ServeError":
      return error.cause instanceof Error ? error.cause.message : String(error.cause)
  }
}

Layer.launch(Main).pipe(
  Effect.tapError((error) => Console.error(`The corner shop cannot open: ${explain(error)}`)),
  Effect.tapDefect((defect) => Effect.logFatal("The corner shop broke down", defect)),
  NodeRuntime.runMain({
    disableErrorReporting: true,
    // The shop was asked to stop.
    teardown: (exit, done) => done(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
  })
)
