/**
 * Snapshots in PostgreSQL, which any number of processes share.
 *
 * Whether somebody may write is decided inside the statement that writes, so that a former owner is refused however the
 * processes race. What was saved is as durable as the database's commits are: with `synchronous_commit` on, which is its
 * default, it survives a crash of the database's machine too.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidConfig } from "../../contract/SessionError.ts"
import {
  type Head,
  type Key,
  type Snapshot,
  SnapshotStore,
  type SnapshotStoreError
} from "../../contract/SnapshotStore.ts"
import { duration, wholeNumber } from "../../policy/SessionsConfig.ts"
import { causes, eachOnce, failed, inChunks, rangeOf, tooLarge } from "./internal/operations.ts"
import { definitions, statements } from "./internal/sqlStatements.ts"
import { escape, unescape } from "./internal/text.ts"

/**
 * Options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The name of the table, in lower case, after the name of its schema and a dot if it is not in the search path. Two
   * more are named after it, with `_aside` and `_floor`. Default: `effect_sessions_snapshots`.
   */
  readonly table?: string | undefined
  /** Whether tables that are missing are created. Default: `true`. What to run otherwise: {@link schema}. */
  readonly createTables?: boolean | undefined
  /** How long the epoch of a key is remembered of which nothing is kept any more. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
  /**
   * The most bytes that the body of a snapshot may have; a larger one is neither written nor read. Drivers take a row of
   * so many bytes and no more: `PgClient` 16 MiB, unless it is told otherwise. Default: 15,000,000.
   */
  readonly maxBodySize?: number | undefined
}

/** As many rows as one statement writes. */
const maxRows = 1000

interface HeadRow extends Key {
  readonly snapshot_epoch: number | null
  readonly version: number
  readonly format: number
  readonly saved_at: number
  readonly expires_at: number | null
  readonly alarm_at: number | null
  readonly user_name: string | null
}

interface SnapshotRow extends HeadRow {
  /** `null`: it is larger than what is read. */
  readonly body: string | null
  readonly size: number | null
}

const toHead = (row: HeadRow): Option.Option<Head> =>
  row.snapshot_epoch === null ? Option.none() : Option.some({
    kind: row.kind,
    id: row.id,
    epoch: row.snapshot_epoch,
    version: row.version,
    format: row.format,
    savedAt: row.saved_at,
    expiresAt: row.expires_at,
    alarmAt: row.alarm_at,
    user: row.user_name === null ? null : unescape(row.user_name)
  })

const toSnapshot = (row: SnapshotRow & { readonly body: string }): Option.Option<Snapshot> =>
  Option.map(toHead(row), (head) => ({ ...head, body: unescape(row.body) }))

/** What PostgreSQL says of data that it cannot keep, or that a constraint refuses; and that a limit of it is exceeded. */
const rowFaults = new Set(["22", "23", "54"])

const isOfRow = (error: unknown): boolean => {
  for (const cause of causes(error)) {
    if ("code" in cause && typeof cause.code === "string" && cause.code.length === 5) {
      return rowFaults.has(cause.code.slice(0, 2))
    }
  }
  return false
}

/** An array of numbers as PostgreSQL writes it: drivers disagree on the types of those that have holes. */
const numbers = <A>(all: ReadonlyArray<A>, of: (one: A) => number | null): string =>
  `{${all.map((one) => of(one) ?? "NULL").join(",")}}`

/** A limit that PostgreSQL takes. */
const limitOf = (limit: number): string => String(Math.max(0, Math.min(Math.floor(limit), Number.MAX_SAFE_INTEGER)))

const escapeUser = (user: string | null): string | null => user === null ? null : escape(user)

const orNull = (value: number | null): string | null => value === null ? null : String(value)

const namePattern = /^(?:([a-z_][a-z0-9_]{0,62})\.)?([a-z_][a-z0-9_]{0,51})$/

const parseName = (
  table: string
): Effect.Effect<readonly [schema: string | undefined, name: string], InvalidConfig> => {
  const match = namePattern.exec(table)
  return match === null
    ? Effect.fail(
      new InvalidConfig({
        setting: "table",
        message: `table must be a name in lower case, of at most 52 letters, digits and _, such as "snapshots" or ` +
          `"app.snapshots", not ${JSON.stringify(table)}`
      })
    )
    : Effect.succeed([match[1], match[2]!])
}

const defaultTable = "effect_sessions_snapshots"

/**
 * The statements that create the tables, for a migration of your own. They do nothing where the tables exist. Fails with
 * `InvalidConfig` when the name cannot be one.
 *
 * @since 0.1.0
 * @category schema
 */
export const schema = (table: string = defaultTable): Effect.Effect<ReadonlyArray<string>, InvalidConfig> =>
  Effect.map(parseName(table), ([schema, name]) => definitions(schema, name))

/** Two processes that create the same table at the same time disturb each other, even with `IF NOT EXISTS`. */
const createLock = "SELECT pg_advisory_xact_lock(hashtext('effect-sessions/snapshots'))"

/**
 * Keeps snapshots in PostgreSQL, through the `SqlClient` of a driver such as `PgClient.layer` of `@effect/sql-pg`.
 * Operations do not take part in a transaction that the caller has open: what has succeeded is not rolled back.
 *
 * Fails with `InvalidConfig` when an option is out of range or the client is not one for PostgreSQL, and with `SqlError`
 * when the tables cannot be created.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<SnapshotStore, InvalidConfig | SqlError, SqlClient.SqlClient> =>
  Layer.effect(SnapshotStore, make(options))

const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<SnapshotStore["Service"], InvalidConfig | SqlError, SqlClient.SqlClient> {
  const [schema, name] = yield* parseName(options.table ?? defaultTable)
  const epochRetention = yield* duration("epochRetention", options.epochRetention ?? "1 hour")
  const maxBodySize = yield* wholeNumber("maxBodySize", options.maxBodySize ?? 15_000_000, 1)
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  if (!sql.onDialectOrElse({ pg: () => true, orElse: () => false })) {
    return yield* new InvalidConfig({
      setting: "SqlClient",
      message: `SqlStore needs a client for PostgreSQL, this one is for ${sql.driver}`
    })
  }
  const outside = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.updateContext(effect, (context: Context.Context<never>) => Context.omit(sql.transactionService)(context))
  const run = <A extends object>(statement: string, parameters: ReadonlyArray<unknown>) =>
    outside(sql.unsafe<A>(statement, parameters))
  const attempt = <A>(
    operation: string,
    effect: Effect.Effect<A, SqlError | SnapshotStoreError>
  ): Effect.Effect<A, SnapshotStoreError> => Effect.mapError(effect, failed(operation, "PostgreSQL", isOfRow))

  const checkSizes = (snapshots: ReadonlyArray<Snapshot>): Effect.Effect<void, SnapshotStoreError> => {
    for (const snapshot of snapshots) {
      // A character has five bytes at most, if it is escaped.
      if (snapshot.body.length * 5 <= maxBodySize) continue
      const size = Buffer.byteLength(escape(snapshot.body))
      if (size > maxBodySize) return Effect.fail(tooLarge("save", snapshot, size, maxBodySize))
    }
    return Effect.void
  }

  /** The snapshot in a row, unless it is larger than what is read. */
  const read = (operation: string, row: SnapshotRow): Effect.Effect<Option.Option<Snapshot>, SnapshotStoreError> => {
    const { body, size } = row
    if (body !== null) return Effect.succeed(toSnapshot({ ...row, body }))
    return size === null ? Effect.succeedNone : Effect.fail(tooLarge(operation, row, size, maxBodySize))
  }

  if (options.createTables !== false) {
    const all = [createLock, ...definitions(schema, name)]
    yield* outside(sql.withTransaction(Effect.forEach(all, (one) => sql.unsafe(one), { discard: true })))
  }
  const text = statements(schema, name)

  const claim = Effect.fnUntraced(function*(key: Key, atLeast: number): Effect.fn.Return<
    { readonly epoch: number; readonly snapshot: Option.Option<Snapshot> },
    SqlError | SnapshotStoreError
  > {
    const now = yield* Clock.currentTimeMillis
    const rows = yield* run<SnapshotRow & { readonly epoch: number; readonly is_new: boolean }>(
      text.claim,
      [key.kind, key.id, String(atLeast), String(now), String(maxBodySize)]
    )
    const row = rows[0]!
    // The key may have been forgotten while it was claimed. The floor was raised before that, but perhaps after this
    // statement had looked at it.
    const floor = row.is_new ? (yield* run<{ readonly epoch: number }>(text.floor, []))[0]!.epoch : 0
    return row.epoch <= floor
      ? yield* claim(key, floor + 1)
      : { epoch: row.epoch, snapshot: yield* read("claim", row) }
  })

  /** Runs a statement that gives the keys that it took. */
  const takes = <A extends Key>(
    statement: string,
    all: ReadonlyArray<A>,
    parametersOf: (all: ReadonlyArray<A>) => ReadonlyArray<unknown>
  ) =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const parameters = [String(now), all.map(({ kind }) => kind), all.map(({ id }) => id), ...parametersOf(all)]
      const rows = yield* run<Key>(statement, parameters)
      if (rows.length === all.length) return all.map(() => true)
      const taken = new Set(rows.map(({ id, kind }) => `${kind}\n${id}`))
      return all.map(({ id, kind }) => taken.has(`${kind}\n${id}`))
    })

  /** Runs a statement on some rows at a time until none is left, and gives how many there were. */
  const repeat = Effect.fnUntraced(function*(statement: string, time: number) {
    for (let total = 0;;) {
      const { length } = yield* run(statement, [String(time), String(maxRows)])
      total += length
      if (length < maxRows) return total
    }
  })

  const alarms = (kind: string, until: number, limit: number) =>
    run<{ readonly id: string; readonly alarm_at: number }>(text.alarms, [kind, String(until), limitOf(limit)])

  return {
    claim: (key, atLeast) => attempt("claim", claim(key, atLeast)),

    save: (snapshots) =>
      eachOnce("save", snapshots, () =>
        attempt(
          "save",
          Effect.andThen(
            checkSizes(snapshots),
            inChunks(snapshots, maxRows, ({ body }) => body.length, (chunk) =>
              takes(text.save, chunk, (all) => [
                numbers(all, ({ epoch }) => epoch),
                numbers(all, ({ version }) => version),
                numbers(all, ({ format }) => format),
                all.map(({ body }) => escape(body)),
                numbers(all, ({ savedAt }) => savedAt),
                numbers(all, ({ expiresAt }) => expiresAt),
                numbers(all, ({ alarmAt }) => alarmAt),
                all.map(({ user }) => user === null ? "" : `=${escape(user)}`)
              ]))
          )
        )),

    remove: (keys) =>
      eachOnce("remove", keys, () =>
        attempt(
          "remove",
          inChunks(keys, maxRows, () => 0, (chunk) =>
            takes(text.remove, chunk, (all) => [numbers(all, ({ epoch }) =>
              epoch)]))
        )),

    peek: (key) =>
      attempt(
        "peek",
        Effect.flatMap(
          run<SnapshotRow>(text.peek, [key.kind, key.id, String(maxBodySize)]),
          ([row]) => row === undefined ? Effect.succeedNone : read("peek", row)
        )
      ),

    stat: (key) =>
      attempt(
        "stat",
        Effect.map(
          run<HeadRow & { readonly epoch: number }>(text.stat, [key.kind, key.id]),
          ([row]) => Option.map(Option.fromUndefinedOr(row), (row) => ({ epoch: row.epoch, head: toHead(row) }))
        )
      ),

    setAside: (snapshot, reason) =>
      attempt(
        "setAside",
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.asVoid(run(text.setAside, [
            snapshot.kind,
            snapshot.id,
            String(snapshot.epoch),
            String(snapshot.version),
            String(snapshot.format),
            escape(snapshot.body),
            String(snapshot.savedAt),
            orNull(snapshot.expiresAt),
            orNull(snapshot.alarmAt),
            escape(reason),
            String(now),
            escapeUser(snapshot.user)
          ])))
      ),

    aside: attempt(
      "aside",
      Effect.map(
        run<SnapshotRow & { readonly body: string; readonly reason: string }>(text.aside, []),
        (rows) =>
          rows.flatMap((row) =>
            Option.toArray(Option.map(toSnapshot(row), (snapshot) => ({ snapshot, reason: unescape(row.reason) })))
          )
      )
    ),

    alarms: (kind, until, limit) =>
      attempt(
        "alarms",
        Effect.map(
          alarms(kind, until, limit),
          (rows) => rows.map((row) => ({ kind, id: row.id, alarmAt: row.alarm_at }))
        )
      ),

    nextAlarm: (kind) =>
      attempt(
        "nextAlarm",
        Effect.map(alarms(kind, Infinity, 1), ([row]) => Option.fromUndefinedOr(row?.alarm_at))
      ),

    list: (options) => {
      const { kind, limit, user } = options
      const { after, before, from } = rangeOf(options)
      const parameters = [kind, after, from, before, limitOf(limit)]
      return attempt(
        "list",
        Effect.map(
          user === undefined
            ? run<HeadRow>(text.list, parameters)
            : run<HeadRow>(text.listOfUser, [...parameters, escape(user)]),
          (rows) => rows.flatMap((row) => Option.toArray(toHead(row)))
        )
      )
    },

    sweep: (now) =>
      attempt(
        "sweep",
        Effect.gen(function*() {
          const swept = yield* repeat(text.sweep, now)
          const before = now - epochRetention
          // The floor is raised, and that is seen by all, before anything is forgotten.
          yield* run(text.raiseFloor, [String(before)])
          yield* repeat(text.forget, before)
          return swept
        })
      )
  }
})
