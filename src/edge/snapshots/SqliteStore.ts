/**
 * Snapshots in a SQLite file: the embedded store.
 *
 * **When to use:** for one machine with a disk of its own. For several machines use `SqlStore`. Not on a network file system:
 * SQLite's write-ahead log needs shared memory between the processes that use it.
 *
 * **Details:** any number of processes on one machine can share the file; the statement that writes also decides whether the
 * writer is the owner. What was saved survives a crash of this process, and with `synchronous: "full"` a crash of the
 * machine. A thread of its own writes the file, so sessions go on meanwhile.
 *
 * It uses `node:sqlite`, which comes with Node 22.13 and later, because `@effect/sql-sqlite-node` imports paths that no longer
 * exist in Effect 4.1.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { taggedError } from "../../contract/internal/taggedError.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { ClaimRefused, type Snapshot, SnapshotStore, SnapshotStoreError } from "../../contract/SnapshotStore.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { eachOnce, inChunks, rangeOf } from "./internal/operations.ts"
import { limitOf, toHead, toHeads, toQuarantined, toSnapshot } from "./internal/rows.ts"
import type { Row } from "./internal/sqlite/Database.ts"
import { DatabaseThread } from "./internal/sqlite/DatabaseThread.ts"
import type { Failure } from "./internal/sqlite/protocol.ts"
import { escape } from "./internal/text.ts"

/**
 * The file of a `SqliteStore` cannot be used. The message says why, and what to do. A file that is refused is not changed.
 *
 * - `"damaged"`: it is not a complete database;
 * - `"foreign"`: it is a database of another program;
 * - `"newer"`: a newer version of this package wrote it;
 * - `"inaccessible"`: it cannot be read or written, or another process locks it. This is the only reason for which a retry
 *   makes sense.
 *
 * @since 0.1.0
 * @category errors
 */
export class DatabaseUnusable extends taggedError<DatabaseUnusable>()("DatabaseUnusable", {
  file: Schema.String,
  reason: Schema.Literals(["damaged", "foreign", "newer", "inaccessible"])
}, { status: 503, retrySafe: (error) => error.reason === "inaccessible" }) {}

/**
 * Options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The file. A missing file is created with mode 0600, and a missing directory with 0700. SQLite puts two more files beside
   * it, whose names end in `-wal` and `-shm`.
   */
  readonly file: string
  /**
   * What a save survives: `"normal"`, a crash of this process; `"full"`, also a crash of the machine, which costs a flush of
   * the disk for each batch. Default: `"normal"`.
   */
  readonly synchronous?: "normal" | "full" | undefined
  /** How long the epoch of a key is remembered after its snapshot is gone. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
}

/** The largest number of rows that one transaction writes. */
const maxRows = 256

/** How long the thread waits while another process writes, in milliseconds. */
const busyTimeout = 500

/**
 * Stores snapshots in a SQLite file. Fails with `InvalidConfig` when an option is out of range, and with `DatabaseUnusable`
 * when the file cannot be used.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<SnapshotStore, InvalidConfig | DatabaseUnusable> =>
  Layer.effect(SnapshotStore, make(options))

const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<SnapshotStore["Service"], InvalidConfig | DatabaseUnusable, Scope.Scope> {
  const epochRetention = yield* duration("epochRetention", options.epochRetention ?? "1 hour")
  const { file, synchronous = "normal" } = options
  const database = yield* Effect.mapError(
    DatabaseThread.open({ file, synchronous, busyTimeout }),
    ({ message, unusable }) => new DatabaseUnusable({ file, reason: unusable ?? "inaccessible", message })
  )

  const attempt = <A>(operation: string, effect: Effect.Effect<A, Failure>): Effect.Effect<A, SnapshotStoreError> =>
    Effect.mapError(
      effect,
      ({ isOfKey, message }) =>
        new SnapshotStoreError({
          operation,
          message: `${operation}: ${message}`,
          cause: undefined,
          scope: isOfKey ? "key" : "store"
        })
    )

  /** Repeats an operation on a limited number of rows until none is left, and gives their number. */
  const repeat = Effect.fnUntraced(function*(operation: "sweep" | "forget", time: number) {
    for (let total = 0;;) {
      const count = yield* database.run(operation, time, maxRows)
      total += count
      if (count < maxRows) return total
    }
  })

  return {
    claim: (key, atLeast, term) =>
      Effect.flatMap(
        attempt(
          "claim",
          Effect.flatMap(Clock.currentTimeMillis, (now) =>
            database.run("claim", key.kind, key.id, atLeast, now, term ?? null))
        ),
        (row) =>
          term !== undefined && term < row.term
            ? Effect.fail(ClaimRefused.of(key, row.term))
            : Effect.succeed({ epoch: row.epoch, snapshot: toSnapshot(row) })
      ),

    save: (snapshots) =>
      eachOnce("save", snapshots, () =>
        attempt(
          "save",
          inChunks(snapshots, maxRows, ({ body }) => body.length, (chunk) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) =>
              database.run("save", chunk.map(toRow), now)))
        )),

    remove: (keys) =>
      eachOnce("remove", keys, () =>
        attempt(
          "remove",
          inChunks(keys, maxRows, () => 0, (chunk) =>
            Effect.flatMap(Clock.currentTimeMillis, (now) =>
              database.run(
                "remove",
                chunk.map(({ epoch, id, kind }) => [kind, id, epoch] as const),
                now
              )))
        )),

    peek: ({ id, kind }) =>
      attempt(
        "peek",
        Effect.map(database.run("peek", kind, id), (row) => row === undefined ? Option.none() : toSnapshot(row))
      ),

    quarantine: (snapshot, reason) =>
      attempt(
        "quarantine",
        Effect.flatMap(
          Clock.currentTimeMillis,
          (now) => database.run("quarantine", toRow(snapshot), escape(reason), now)
        )
      ),

    quarantined: attempt("quarantined", Effect.map(database.run("quarantined"), toQuarantined)),

    discardQuarantined: ({ epoch, id, kind, savedAt, version }) =>
      attempt("discardQuarantined", database.run("discardQuarantined", kind, id, epoch, version, savedAt)),

    alarms: (kind, until, limit) =>
      attempt(
        "alarms",
        Effect.map(
          database.run("alarms", kind, until, limitOf(limit)),
          (rows) => rows.map((row) => ({ kind, id: row.id, alarmAt: row.alarm_at }))
        )
      ),

    nextAlarm: (kind) =>
      attempt(
        "nextAlarm",
        Effect.map(database.run("alarms", kind, Infinity, 1), ([row]) => Option.fromUndefinedOr(row?.alarm_at))
      ),

    stat: ({ id, kind }) =>
      attempt(
        "stat",
        Effect.map(database.run("stat", kind, id), (row) =>
          Option.map(Option.fromUndefinedOr(row), (row) => ({ epoch: row.epoch, head: toHead(row) })))
      ),

    list: (options) => {
      const { kind, limit, user } = options
      const { after, before, from } = rangeOf(options)
      const name = user === undefined ? undefined : escape(user)
      return attempt(
        "list",
        Effect.map(
          database.run("list", kind, after, from, before, limitOf(limit), name),
          toHeads
        )
      )
    },

    sweep: (now) =>
      attempt(
        "sweep",
        Effect.gen(function*() {
          const swept = yield* repeat("sweep", now)
          yield* repeat("forget", now - epochRetention)
          return swept
        })
      )
  }
})

const toRow = (snapshot: Snapshot): Row => [
  snapshot.kind,
  snapshot.id,
  snapshot.epoch,
  snapshot.version,
  snapshot.format,
  escape(snapshot.body),
  snapshot.savedAt,
  snapshot.expiresAt,
  snapshot.alarmAt,
  snapshot.user === null ? null : escape(snapshot.user)
]
