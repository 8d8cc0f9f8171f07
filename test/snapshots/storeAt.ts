/** The store of a URL, as processes of tests get it. The prefix of keys in Redis comes after a `#`. */
import { Effect, Layer, Redacted } from "effect"
import { RedisStore, type SnapshotStore, SqliteStore, SqlStore } from "effect-sessions/snapshots"
import { fileURLToPath } from "node:url"

/** Drivers are loaded where they are needed: most processes of the tests need none, and are to start soon. */
export const storeAt = (url: string): Layer.Layer<SnapshotStore, unknown> => {
  switch (new URL(url).protocol) {
    case "postgres:":
      return Layer.unwrap(Effect.map(
        Effect.promise(() => import("@effect/sql-pg/PgClient")),
        (PgClient) =>
          SqlStore.layer().pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 4 })))
      ))
    case "redis:":
      return Layer.unwrap(Effect.map(
        Effect.promise(() => import("@effect/platform-node/NodeRedis")),
        (NodeRedis) => {
          const [address = "", prefix] = url.split("#")
          return RedisStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url: address })))
        }
      ))
    default:
      return SqliteStore.layer({ file: fileURLToPath(url) })
  }
}
