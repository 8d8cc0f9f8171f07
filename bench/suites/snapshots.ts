/**
 * What does a snapshot store cost compared with its database? Each store saves batches, beside a plain writer that writes the
 * same bytes without owners, alarms and expiry. They take turns, so that the ratios hold when the machine's speed drifts.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Cause, Effect, Exit, Layer, type Redacted, type Scope } from "effect"
import { RedisStore, type Snapshot, SnapshotStore, SqliteStore, SqlStore } from "effect-sessions/snapshots"
import * as Redis from "effect/persistence/Redis"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as PostgresServer from "../../test/snapshots/PostgresServer.ts"
import * as RedisServer from "../../test/snapshots/RedisServer.ts"
import { makeIds, median, rate } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

/** How many snapshots one save writes. */
const batchSize = 256
const batches = 10

const warmUps = 2

const kind = "Cart"
const ids = makeIds(batchSize * batches, "cart_")

/** The body of a cart with 20 items, as it is stored. */
const bodyOf = (id: string, version: number, now: number): string =>
  JSON.stringify({
    state: {
      owner: id,
      items: Array.from({ length: 20 }, (_, i) => ({ sku: `sku-${i}`, quantity: (version + i) % 100 })),
      total: version
    },
    startedAt: now - 60_000,
    lastActiveAt: now,
    idleTimeout: null,
    user: null,
    metadata: {},
    timers: [],
    clients: []
  })

const snapshotOf = (id: string, version: number): Snapshot => {
  const savedAt = Date.now()
  const body = bodyOf(id, version, savedAt)
  return {
    kind,
    id,
    epoch: 1,
    version,
    format: 1,
    body,
    savedAt,
    expiresAt: savedAt + 3_600_000,
    alarmAt: null,
    user: null
  }
}

const batchesOf = (version: number): ReadonlyArray<ReadonlyArray<Snapshot>> =>
  Array.from(
    { length: batches },
    (_, i) => ids.slice(i * batchSize, (i + 1) * batchSize).map((id) => snapshotOf(id, version))
  )

/** Writes a batch. */
type Write = (batch: ReadonlyArray<Snapshot>) => Effect.Effect<unknown, unknown>

/** Snapshots per second of a store and of the plain writer, in a number of turns, and the median of the ratios. */
const compare = Effect.fnUntraced(function*(name: string, turns: number, store: Write, raw: Write) {
  const found = { store: [] as Array<number>, raw: [] as Array<number>, ratio: [] as Array<number> }
  const timed = (all: ReadonlyArray<ReadonlyArray<Snapshot>>, write: Write) =>
    rate(ids.length, Effect.forEach(all, write, { discard: true }))
  for (let turn = -warmUps; turn < turns; turn++) {
    const all = batchesOf(turn + warmUps + 1)
    // The order alternates.
    const early = turn % 2 === 0 ? yield* timed(all, store) : 0
    const ofRaw = yield* timed(all, raw)
    const ofStore = early === 0 ? yield* timed(all, store) : early
    if (turn < 0) continue
    found.store.push(ofStore)
    found.raw.push(ofRaw)
    found.ratio.push(ofStore / ofRaw)
  }
  return {
    [`snapshots_${name}`]: median(found.store),
    [`snapshots_${name}_raw`]: median(found.raw),
    [`snapshots_${name}_ratio`]: median(found.ratio)
  }
})

/** Writes by the store. Fails if a write was refused. */
const storeWrite = Effect.map(
  SnapshotStore,
  (store): Write => (batch) =>
    Effect.flatMap(
      store.save(batch),
      (written) => written.every(Boolean) ? Effect.void : Effect.die(new Error("snapshots were refused"))
    )
)

/**
 * PostgreSQL: one statement for each batch, through the same client, into a table with the columns of a snapshot and a
 * primary key, without other indexes. The rows are passed as arrays, which is the fastest way for many rows.
 */
const postgres = (url: Redacted.Redacted) => {
  const run = Effect.gen(function*() {
    const sql = yield* PgClient.PgClient
    yield* sql`CREATE TABLE raw (kind text, id text, epoch bigint, version bigint, format bigint, body text,
      saved_at float8, expires_at float8, alarm_at float8, PRIMARY KEY (kind, id))`
    const statement = `INSERT INTO raw SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[],
        $5::bigint[], $6::text[], $7::float8[], $8::float8[], $9::float8[])
      ON CONFLICT (kind, id) DO UPDATE SET epoch = EXCLUDED.epoch, version = EXCLUDED.version,
        format = EXCLUDED.format, body = EXCLUDED.body, saved_at = EXCLUDED.saved_at,
        expires_at = EXCLUDED.expires_at, alarm_at = EXCLUDED.alarm_at`
    const numbers = (batch: ReadonlyArray<Snapshot>, of: (snapshot: Snapshot) => number | null) =>
      `{${batch.map((snapshot) => of(snapshot) ?? "NULL").join(",")}}`
    const raw: Write = (batch) =>
      sql.unsafe(statement, [
        batch.map(({ kind }) => kind),
        batch.map(({ id }) => id),
        numbers(batch, ({ epoch }) => epoch),
        numbers(batch, ({ version }) => version),
        numbers(batch, ({ format }) => format),
        batch.map(({ body }) => body),
        numbers(batch, ({ savedAt }) => savedAt),
        numbers(batch, ({ expiresAt }) => expiresAt),
        numbers(batch, ({ alarmAt }) => alarmAt)
      ])
    return yield* compare("postgres", 15, yield* storeWrite, raw)
  })
  return Effect.provide(run, SqlStore.layer().pipe(Layer.provideMerge(PgClient.layer({ url }))))
}

/** Redis: a hash with the fields of each snapshot; the commands of a batch are sent at once. */
const redis = ({ prefix, url }: RedisServer.Place) => {
  const run = Effect.gen(function*() {
    const { send } = yield* Redis.Redis
    const raw: Write = (batch) =>
      Effect.forEach(batch, (snapshot) => {
        const { alarmAt, body, epoch, expiresAt, format, id, kind, savedAt, version } = snapshot
        const numbers = { e: epoch, v: version, f: format, s: savedAt, d: expiresAt ?? "", a: alarmAt ?? "" }
        return send("HSET", `${prefix}raw/${kind}/${id}`, "b", body, ...Object.entries(numbers).flat().map(String))
      }, { concurrency: "unbounded", discard: true })
    return yield* compare("redis", 15, yield* storeWrite, raw)
  })
  return Effect.provide(run, RedisStore.layer({ prefix }).pipe(Layer.provideMerge(NodeRedis.layer({ url }))))
}

/** A directory that is removed at the end. */
const scratch = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "bench-snapshots-"))),
  (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
)

/**
 * SQLite: one transaction for each batch, by a prepared statement on Node's own binding, into a table with the columns of a
 * snapshot and a primary key, without other indexes, in the thread that measures.
 */
const sqlite = Effect.gen(function*() {
  const directory = yield* scratch
  const run = Effect.gen(function*() {
    const database = new DatabaseSync(join(directory, "raw.sqlite"))
    database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
      CREATE TABLE raw (kind TEXT, id TEXT, epoch INTEGER, version INTEGER, format INTEGER, body TEXT, saved_at REAL,
        expires_at REAL, alarm_at REAL, PRIMARY KEY (kind, id)) STRICT`)
    const statement = database.prepare(`INSERT INTO raw VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
      epoch = excluded.epoch, version = excluded.version, format = excluded.format, body = excluded.body,
      saved_at = excluded.saved_at, expires_at = excluded.expires_at, alarm_at = excluded.alarm_at`)
    const raw: Write = (batch) =>
      Effect.sync(() => {
        database.exec("BEGIN IMMEDIATE")
        for (const { alarmAt, body, epoch, expiresAt, format, id, kind, savedAt, version } of batch) {
          statement.run(kind, id, epoch, version, format, body, savedAt, expiresAt, alarmAt)
        }
        database.exec("COMMIT")
      })
    return yield* Effect.ensuring(
      compare("sqlite", 15, yield* storeWrite, raw),
      Effect.sync(() => database.close())
    )
  })
  return yield* Effect.provide(run, SqliteStore.layer({ file: join(directory, "store.sqlite") }))
})

/** Measures with a server. If there is none, says so and skips the measurement. */
const withServer = <Url, E>(
  name: string,
  start: Effect.Effect<Url, unknown, Scope.Scope>,
  measure: (url: Url) => Effect.Effect<Figures, E>
): Effect.Effect<Figures, E> =>
  Effect.scoped(Effect.gen(function*() {
    const started = yield* Effect.exit(start)
    if (Exit.isSuccess(started)) return yield* measure(started.value)
    const error = Cause.squash(started.cause)
    const [why] = (error instanceof Error ? error.message : String(error)).split("\n", 1)
    process.stderr.write(`          skipping ${name}: ${why}\n`)
    return {}
  }))

/** Ignores the driver: only this library has snapshots. */
export const snapshots = (_driver: Driver, _plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.gen(function*() {
    return {
      ...yield* Effect.scoped(sqlite),
      ...yield* withServer("PostgreSQL", PostgresServer.start, postgres),
      ...yield* withServer("Redis", RedisServer.start, redis)
    }
  })
