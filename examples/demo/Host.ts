/**
 * Where the sessions of the shop are: in this process, or with `NODE_ADDRESS` on all nodes that share the PostgreSQL of
 * `DATABASE_URL`.
 */
import { PgClient } from "@effect/sql-pg"
import { Config, Effect, Layer, Option, Schema } from "effect"
import { Sessions, SessionsConfig } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"

/** Where the other nodes reach this node: `10.0.0.4:7000`. */
const NodeAddress = Schema.String.check(
  Schema.isPattern(/^.+:\d{1,5}$/, { expected: "a host and a port, such as 10.0.0.4:7000" })
)

const settings = Config.all({
  address: Config.option(Config.schema(NodeAddress, "NODE_ADDRESS")),
  listen: Config.option(Config.NonEmptyString("NODE_LISTEN")),
  secret: Config.option(Config.Redacted("CLUSTER_SECRET"))
})

const open = Effect.gen(function*() {
  const { address, listen, secret } = yield* settings
  const sessions = yield* SessionsConfig.fromEnv(SessionsConfig.development)
  if (Option.isNone(address)) return Sessions.layer(sessions)
  const url = yield* Config.Redacted("DATABASE_URL")
  const at = address.value.lastIndexOf(":")
  const cluster = SessionCluster.layer({
    self: { host: address.value.slice(0, at), port: Number(address.value.slice(at + 1)) },
    listen: { host: Option.getOrUndefined(listen) },
    cluster: "corner-shop",
    prefix: "corner_shop_cluster",
    secret: Option.getOrUndefined(secret),
    sessions
  })
  // Locks need two connections at a time, and sessions in UTC.
  return Layer.provide(
    cluster,
    PgClient.layer({ url, maxConnections: 4, startupParameters: { TimeZone: "UTC" } })
  )
})

/** On a node, it provides `SessionCluster`, too. */
export const layer: Layer.Layer<
  Layer.Success<ReturnType<typeof Sessions.layer>>,
  Effect.Error<typeof open> | Layer.Error<Effect.Success<typeof open>>
> = Layer.unwrap(open)
