/**
 * Where visits are stored: in a SQLite file in `STATE_DIR`, in the PostgreSQL of `DATABASE_URL`, in the Redis of `REDIS_URL`
 * (under keys that begin with `REDIS_PREFIX`), or in memory, as long as the process.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Cause, Config, Data, Effect, Layer, Option } from "effect"
import { SnapshotStore } from "effect-sessions"
import { MemoryStore, RedisStore, SqliteStore, SqlStore } from "effect-sessions/snapshots"

/** The configured place to store visits cannot be used. */
export class StorageError extends Data.TaggedError("StorageError")<{ readonly message: string }> {}

const settings = Config.all({
  directory: Config.option(Config.NonEmptyString("STATE_DIR")),
  database: Config.option(Config.Redacted("DATABASE_URL")),
  redis: Config.option(Config.NonEmptyString("REDIS_URL")),
  redisPrefix: Config.NonEmptyString("REDIS_PREFIX").pipe(Config.withDefault("corner-shop:"))
})

const open = Layer.unwrap(Effect.map(settings, ({ database, directory, redis, redisPrefix }) => {
  const store: Layer.Layer<SnapshotStore.SnapshotStore, unknown> = Option.isSome(directory)
    ? SqliteStore.layer({ file: `${directory.value}/shop.sqlite` })
    : Option.isSome(database)
    ? SqlStore.layer({ table: "corner_shop" }).pipe(Layer.provide(PgClient.layer({ url: database.value })))
    : Option.isSome(redis)
    ? RedisStore.layer({ prefix: redisPrefix }).pipe(Layer.provide(NodeRedis.layer({ url: redis.value })))
    : MemoryStore.layer
  return store
}))

export const layer: Layer.Layer<SnapshotStore.SnapshotStore, StorageError> = Layer.catchCause(
  open,
  (cause) =>
    Layer.effect(
      SnapshotStore.SnapshotStore,
      Effect.fail(new StorageError({ message: `visits cannot be kept: ${oneLine(Cause.squash(cause))}` }))
    )
)

const oneLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\s+/g, " ").slice(0, 300)
