/**
 * Snapshots in PostgreSQL, which any number of processes can share.
 *
 * **When to use:** for a program on several machines, or when there is a PostgreSQL server anyway.
 *
 * **Details:** the statement that writes also decides whether the writer is the owner, so a former owner is refused however
 * the processes race. What was saved is as durable as the commits of the database: with `synchronous_commit` on, the
 * default, it survives a crash of the database's machine.
 *
 * **Gotchas:** when the server hangs, callers of sessions are answered after five seconds, but closing the Layers takes about
 * five seconds longer than the grace period: so long `PgClient` waits for the server to cancel the query under way.
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
  type Claimed,
  ClaimRefused,
  type Key,
  type Snapshot,
  SnapshotStore,
  type SnapshotStoreError
} from "../../contract/SnapshotStore.ts"
import { duration, wholeNumber } from "../../policy/SessionsConfig.ts"
import { batched, keyText } from "./internal/batches.ts"
import { causes, eachOnce, failed, inChunks, rangeOf, tooLarge } from "./internal/operations.ts"
import {
  type HeadRow,
  limitOf,
  type QuarantinedRow,
  toHead,
  toHeads,
  toQuarantined,
  toSnapshot
} from "./internal/rows.ts"
import { definitions, statements } from "./internal/sqlStatements.ts"
import { escape } from "./internal/text.ts"

/**
 * Options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The name of the table, in lower case, preceded by the name of its schema and a dot if it is not in the search path.
   * Two more tables are named after it, with `_quarantine` and `_floor`. Default: `effect_sessions_snapshots`.
   */
  readonly table?: string | undefined
  /** Creates missing tables and columns. Default: `true`. Otherwise run the statements of {@link schema}. */
  readonly createTables?: boolean | undefined
  /** How long the epoch of a key is remembered after its snapshot is gone. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
  /**
   * The largest body of a snapshot in bytes; a larger one is neither written nor read. Drivers limit the size of a row:
   * `PgClient` to 16 MiB by default. Default: 15,000,000.
   */
  readonly maxBodySize?: number | undefined
}

/** The largest number of rows that one statement writes. */
const maxRows = 1000

interface SnapshotRow extends HeadRow {
  /** `null`: it is larger than `maxBodySize`. */
  readonly body: string | null
  readonly size: number | null
}

interface Claim extends Key {
  readonly atLeast: number
  readonly term: number | undefined
  readonly now: number
}

interface ClaimedRow extends SnapshotRow {
  readonly epoch: number
  readonly term: number
  readonly is_new: boolean
}

/** The classes of SQLSTATE codes that blame the data of a row: invalid data, a violated constraint, an exceeded limit. */
const rowFaults = new Set(["22", "23", "54"])

const isOfRow = (error: unknown): boolean => {
  for (const cause of causes(error)) {
    if ("code" in cause && typeof cause.code === "string" && cause.code.length === 5) {
      return rowFaults.has(cause.code.slice(0, 2))
    }
  }
  return false
}

/** An array of numbers as PostgreSQL writes it: drivers disagree on the types of arrays with `null`s. */
const numbers = <A>(all: ReadonlyArray<A>, of: (one: A) => number | null): string =>
  `{${all.map((one) => of(one) ?? "NULL").join(",")}}`

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
 * The statements that create the tables, for a migration of your own. They have no effect where the tables are up to date,
 * and add what is missing where an older version created them: run them again with each version. Fails with `InvalidConfig`
 * when the name is not valid.
 *
 * @since 0.1.0
 * @category schema
 */
export const schema = (table: string = defaultTable): Effect.Effect<ReadonlyArray<string>, InvalidConfig> =>
  Effect.map(parseName(table), ([schema, name]) => definitions(schema, name))

/** Two processes that create the same table at the same time can fail, even with `IF NOT EXISTS`. */
const createLock = "SELECT pg_advisory_xact_lock(hashtext('effect-sessions/snapshots'))"

/**
 * Stores snapshots in PostgreSQL, through the `SqlClient` of a driver such as `PgClient.layer` of `@effect/sql-pg`.
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
      // An escaped character has at most five bytes.
      if (snapshot.body.length * 5 <= maxBodySize) continue
      const size = Buffer.byteLength(escape(snapshot.body))
      if (size > maxBodySize) return Effect.fail(tooLarge("save", snapshot, size, maxBodySize))
    }
    return Effect.void
  }

  /** The snapshot of a row, unless it is larger than `maxBodySize`. */
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

  /** The row of each key, in order; `undefined` where there is none. */
  const inOrder = <R extends Key>(keys: ReadonlyArray<Key>, rows: ReadonlyArray<R>): ReadonlyArray<R | undefined> => {
    const found = new Map(rows.map((row) => [keyText(row), row]))
    return keys.map((key) => found.get(keyText(key)))
  }

  const claim: (one: Claim) => Effect.Effect<ClaimedRow, SqlError> = batched(
    Effect.fnUntraced(function*(all: ReadonlyArray<Claim>): Effect.fn.Return<ReadonlyArray<ClaimedRow>, SqlError> {
      const rows = yield* run<ClaimedRow>(text.claim, [
        String(maxBodySize),
        all.map(({ kind }) => kind),
        all.map(({ id }) => id),
        numbers(all, ({ atLeast }) => atLeast),
        numbers(all, ({ term }) => term ?? -1),
        numbers(all, ({ now }) => now)
      ])
      const claimed = inOrder(all, rows) as ReadonlyArray<ClaimedRow>
      if (!rows.some((row) => row.is_new)) return claimed
      // A key may have been forgotten during the claim. The floor was raised before that, but perhaps after this statement
      // had read it.
      const floor = (yield* run<{ readonly epoch: number }>(text.floor, []))[0]!.epoch
      return yield* Effect.forEach(
        claimed,
        (row, i) => row.is_new && row.epoch <= floor ? claim({ ...all[i]!, atLeast: floor + 1 }) : Effect.succeed(row)
      )
    }),
    isOfRow
  )

  const stat = batched(
    (all: ReadonlyArray<Key>) =>
      Effect.map(
        run<HeadRow & { readonly epoch: number }>(text.stat, [all.map(({ kind }) => kind), all.map(({ id }) => id)]),
        (rows) => inOrder(all, rows)
      ),
    isOfRow
  )

  /** Runs a statement that returns the keys that it accepted. */
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
      const taken = new Set(rows.map(keyText))
      return all.map((key) => taken.has(keyText(key)))
    })

  /** Runs a statement on a limited number of rows at a time until none is left, and gives their number. */
  const repeat = Effect.fnUntraced(function*(statement: string, time: number) {
    for (let total = 0;;) {
      const { length } = yield* run(statement, [String(time), String(maxRows)])
      total += length
      if (length < maxRows) return total
    }
  })

  const alarms = (kind: string, until: number, limit: number) =>
    run<{ readonly id: string; readonly alarm_at: number }>(text.alarms, [kind, String(until), String(limitOf(limit))])

  return {
    claim: (key, atLeast, term) =>
      Effect.flatMap(
        attempt("claim", Effect.flatMap(Clock.currentTimeMillis, (now) => claim({ ...key, atLeast, term, now }))),
        (row): Effect.Effect<
          Claimed,
          SnapshotStoreError | ClaimRefused
        > =>
          term !== undefined && term < row.term
            ? Effect.fail(ClaimRefused.of(key, row.term))
            : Effect.map(read("claim", row), (snapshot) => ({ epoch: row.epoch, snapshot }))
      ),

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
          stat(key),
          (row) => Option.map(Option.fromUndefinedOr(row), (row) => ({ epoch: row.epoch, head: toHead(row) }))
        )
      ),

    quarantine: (snapshot, reason) =>
      attempt(
        "quarantine",
        Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.asVoid(run(text.quarantine, [
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

    quarantined: attempt("quarantined", Effect.map(run<QuarantinedRow>(text.quarantined, []), toQuarantined)),

    discardQuarantined: ({ epoch, id, kind, savedAt, version }) =>
      attempt(
        "discardQuarantined",
        Effect.map(
          run(text.discardQuarantined, [kind, id, String(epoch), String(version), String(savedAt)]),
          ({ length }) => length === 1
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
      const parameters = [kind, after, from, before, String(limitOf(limit))]
      return attempt(
        "list",
        Effect.map(
          user === undefined
            ? run<HeadRow>(text.list, parameters)
            : run<HeadRow>(text.listOfUser, [...parameters, escape(user)]),
          toHeads
        )
      )
    },

    sweep: (now) =>
      attempt(
        "sweep",
        Effect.gen(function*() {
          const swept = yield* repeat(text.sweep, now)
          const before = now - epochRetention
          // The raised floor must be visible to all before anything is forgotten.
          yield* run(text.raiseFloor, [String(before)])
          yield* repeat(text.forget, before)
          return swept
        })
      )
  }
})
