/**
 * The terms of places: a number for each ownership of a place, which grows with each new owner. Stores refuse claims under a
 * lower term, so a node that wrongly believes that it owns a place cannot take sessions from its new owner.
 */
import * as Effect from "effect/Effect"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidConfig } from "../../../contract/SessionError.ts"

export interface Terms {
  /** Begins a new ownership of each of these places, and gives its term by the index of the place. */
  readonly raise: (places: ReadonlyArray<number>) => Effect.Effect<ReadonlyMap<number, number>, SqlError>
}

/** Two nodes that create the same table at the same time can fail, even with `IF NOT EXISTS`. */
const createLock = "SELECT pg_advisory_xact_lock(hashtext('effect-sessions/cluster'))"

/** The row that holds the number of places instead of a term. */
const countRow = -1

/**
 * Stores the terms in the table `<prefix>_places`, which is created when it is missing. Fails with `InvalidConfig` when the
 * cluster was begun with another number of places: its nodes would look for the same session in different places.
 */
export const makeTerms = Effect.fnUntraced(
  function*(
    prefix: string,
    shards: number
  ): Effect.fn.Return<Terms, SqlError | InvalidConfig, SqlClient.SqlClient> {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const table = `${prefix}_places`
    const statements = [
      createLock,
      `CREATE TABLE IF NOT EXISTS ${table} (place integer PRIMARY KEY, term bigint NOT NULL)`
    ]
    yield* sql.withTransaction(Effect.forEach(statements, (one) => sql.unsafe(one), { discard: true }))
    const [count] = yield* sql.unsafe<{ readonly term: string | number }>(
      `INSERT INTO ${table} AS stored (place, term) VALUES (${countRow}, $1)
        ON CONFLICT (place) DO UPDATE SET term = stored.term RETURNING term`,
      [shards]
    )
    if (Number(count!.term) !== shards) {
      return yield* new InvalidConfig({
        setting: "shards",
        message: `shards is ${shards}, but the cluster "${prefix}" was begun with ${
          count!.term
        }, which can never be changed`
      })
    }
    // All nodes lock rows in the same order: otherwise two statements could wait for each other.
    const raise = `INSERT INTO ${table} AS stored (place, term)
      SELECT place, 1 FROM unnest($1::integer[]) AS place ORDER BY place
      ON CONFLICT (place) DO UPDATE SET term = stored.term + 1
      RETURNING place, term`
    return {
      raise: (places) =>
        Effect.map(
          sql.unsafe<{ readonly place: number; readonly term: string | number }>(raise, [`{${places.join()}}`]),
          (rows) => new Map(rows.map(({ place, term }) => [place, Number(term)]))
        )
    }
  }
)
