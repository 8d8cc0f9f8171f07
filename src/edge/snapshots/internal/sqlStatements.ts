/** The columns of a snapshot without its body, as numbers and texts that JavaScript holds exactly. */
const head = `snapshot_epoch::float8 AS snapshot_epoch, version::float8 AS version, format::float8 AS format,
  saved_at, expires_at, alarm_at, user_name`

const columns = `${head}, body, octet_length(body) AS size`

/** With the body, if it has at most as many bytes as the parameter says. */
const limited = (limit: string) =>
  `${head}, CASE WHEN octet_length(body) <= ${limit}::bigint THEN body END AS body, octet_length(body) AS size`

/** The part of a user's name that is indexed: an index entry has a limited size. */
const userKey = (name: string) => `left(${name}, 200)`

/** Does another owner have a higher term than the claim? */
const refused = "EXCLUDED.term >= 0 AND EXCLUDED.term < stored.term"

const noSnapshot = `snapshot_epoch = NULL, version = NULL, format = NULL, body = NULL, saved_at = NULL,
  expires_at = NULL, alarm_at = NULL, user_name = NULL`

/** Creates the tables of a store. */
export const definitions = (schema: string | undefined, name: string): ReadonlyArray<string> => {
  const of = qualified(schema, name)
  return [
    `CREATE TABLE IF NOT EXISTS ${of("")} (
      kind text COLLATE "C" NOT NULL,
      id text COLLATE "C" NOT NULL,
      epoch bigint NOT NULL,
      term bigint NOT NULL DEFAULT 0,
      ended boolean NOT NULL,
      touched_at double precision NOT NULL,
      snapshot_epoch bigint,
      version bigint,
      format bigint,
      body text,
      saved_at double precision,
      expires_at double precision,
      alarm_at double precision,
      user_name text COLLATE "C",
      PRIMARY KEY (kind, id)
    )`,
    // For tables that were created without it. Looks first: ALTER TABLE waits for all readers, also if it has nothing to do.
    `DO $$ BEGIN
      IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = '${of("")}'::regclass AND attname = 'term' AND NOT attisdropped
      ) THEN
        ALTER TABLE ${of("")} ADD COLUMN IF NOT EXISTS term bigint NOT NULL DEFAULT 0;
      END IF;
    END $$`,
    `CREATE INDEX IF NOT EXISTS "${name}_alarm" ON ${of("")} (kind, alarm_at, id) WHERE alarm_at IS NOT NULL`,
    `CREATE INDEX IF NOT EXISTS "${name}_expiry" ON ${of("")} (expires_at) WHERE expires_at IS NOT NULL`,
    `CREATE INDEX IF NOT EXISTS "${name}_user" ON ${of("")} (kind, ${userKey("user_name")}, id)
      WHERE user_name IS NOT NULL`,
    `CREATE INDEX IF NOT EXISTS "${name}_empty" ON ${of("")} (touched_at) WHERE body IS NULL`,
    `CREATE TABLE IF NOT EXISTS ${of("_quarantine")} (
      kind text COLLATE "C" NOT NULL,
      id text COLLATE "C" NOT NULL,
      snapshot_epoch bigint NOT NULL,
      version bigint NOT NULL,
      format bigint NOT NULL,
      body text NOT NULL,
      saved_at double precision NOT NULL,
      expires_at double precision,
      alarm_at double precision,
      user_name text,
      reason text NOT NULL,
      quarantined_at double precision NOT NULL,
      PRIMARY KEY (kind, id, snapshot_epoch, version, saved_at)
    )`,
    `CREATE TABLE IF NOT EXISTS ${of("_floor")} (
      one boolean PRIMARY KEY CHECK (one),
      epoch bigint NOT NULL
    )`,
    `INSERT INTO ${of("_floor")} (one, epoch) VALUES (true, 0) ON CONFLICT DO NOTHING`
  ]
}

const qualified = (schema: string | undefined, name: string) => (suffix: string): string =>
  schema === undefined ? `"${name}${suffix}"` : `"${schema}"."${name}${suffix}"`

/**
 * The statements of a store. Each is atomic. Those that write many rows lock them in the order of their keys, or skip those
 * that are locked, so no two of them can deadlock.
 */
export const statements = (schema: string | undefined, name: string) => {
  const of = qualified(schema, name)
  const table = of("")
  return {
    /** It is refused if the term of the row is higher than its own: then the row stays as it was. */
    // The term -1 says that the claim is not guarded: all terms are at least 0.
    claim: `INSERT INTO ${table} AS stored (kind, id, epoch, term, ended, touched_at)
      SELECT kind, id, GREATEST(at_least, (SELECT epoch + 1 FROM ${of("_floor")})), term, false, touched_at
      FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::float8[])
        AS given (kind, id, at_least, term, touched_at)
      ORDER BY kind COLLATE "C", id COLLATE "C"
      ON CONFLICT (kind, id) DO UPDATE SET
        epoch = CASE WHEN ${refused} THEN stored.epoch ELSE GREATEST(EXCLUDED.epoch, stored.epoch + 1) END,
        term = GREATEST(stored.term, EXCLUDED.term),
        ended = CASE WHEN ${refused} THEN stored.ended ELSE false END,
        touched_at = CASE WHEN ${refused} THEN stored.touched_at ELSE EXCLUDED.touched_at END
      RETURNING epoch::float8 AS epoch, term::float8 AS term, (xmax = 0) AS is_new, kind, id, ${limited("$1")}`,

    floor: `SELECT epoch::float8 AS epoch FROM ${of("_floor")}`,

    save: `INSERT INTO ${table} AS stored (kind, id, epoch, ended, touched_at,
        snapshot_epoch, version, format, body, saved_at, expires_at, alarm_at, user_name)
      SELECT kind, id, epoch, false, $1::float8, epoch, version, format, body, saved_at, expires_at, alarm_at,
        CASE WHEN user_name <> '' THEN substr(user_name, 2) END
      FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::float8[],
        $9::float8[], $10::float8[], $11::text[])
        AS given (kind, id, epoch, version, format, body, saved_at, expires_at, alarm_at, user_name)
      ORDER BY kind COLLATE "C", id COLLATE "C"
      ON CONFLICT (kind, id) DO UPDATE SET
        epoch = EXCLUDED.epoch, ended = false, touched_at = EXCLUDED.touched_at,
        snapshot_epoch = EXCLUDED.snapshot_epoch, version = EXCLUDED.version, format = EXCLUDED.format,
        body = EXCLUDED.body, saved_at = EXCLUDED.saved_at, expires_at = EXCLUDED.expires_at,
        alarm_at = EXCLUDED.alarm_at, user_name = EXCLUDED.user_name
      WHERE EXCLUDED.epoch > stored.epoch OR (EXCLUDED.epoch = stored.epoch AND NOT stored.ended AND (
        stored.body IS NULL OR stored.snapshot_epoch < EXCLUDED.epoch OR stored.version <= EXCLUDED.version))
      RETURNING kind, id`,

    remove: `INSERT INTO ${table} AS stored (kind, id, epoch, ended, touched_at)
      SELECT kind, id, epoch, true, $1::float8
      FROM unnest($2::text[], $3::text[], $4::bigint[]) AS given (kind, id, epoch)
      ORDER BY kind COLLATE "C", id COLLATE "C"
      ON CONFLICT (kind, id) DO UPDATE SET
        epoch = EXCLUDED.epoch, ended = true, touched_at = EXCLUDED.touched_at, ${noSnapshot}
      WHERE EXCLUDED.epoch >= stored.epoch
      RETURNING kind, id`,

    peek: `SELECT kind, id, ${limited("$3")} FROM ${table} WHERE kind = $1 AND id = $2`,

    stat: `SELECT stored.kind, stored.id, epoch::float8 AS epoch, ${head}
      FROM unnest($1::text[], $2::text[]) AS given (kind, id)
      JOIN ${table} AS stored ON stored.kind = given.kind COLLATE "C" AND stored.id = given.id COLLATE "C"`,

    quarantine: `WITH quarantined AS (
        INSERT INTO ${
      of("_quarantine")
    } (kind, id, snapshot_epoch, version, format, body, saved_at, expires_at, alarm_at,
          reason, quarantined_at, user_name)
        VALUES ($1, $2, $3::bigint, $4::bigint, $5::bigint, $6, $7::float8, $8::float8, $9::float8, $10, $11::float8, $12)
        ON CONFLICT DO NOTHING
      )
      UPDATE ${table} SET touched_at = $11::float8, ${noSnapshot}
      WHERE kind = $1 AND id = $2 AND snapshot_epoch = $3::bigint AND version = $4::bigint`,

    quarantined: `SELECT kind, id, reason, quarantined_at, ${columns} FROM ${of("_quarantine")} AS entry
      ORDER BY kind, id, entry.snapshot_epoch, entry.version, saved_at`,

    discardQuarantined: `DELETE FROM ${of("_quarantine")}
      WHERE kind = $1 AND id = $2 AND snapshot_epoch = $3::bigint AND version = $4::bigint AND saved_at = $5::float8
      RETURNING 1 AS one`,

    alarms: `SELECT id, alarm_at FROM ${table}
      WHERE kind = $1 AND alarm_at <= $2::float8 ORDER BY alarm_at, id LIMIT $3::bigint`,

    list: `SELECT kind, id, ${head} FROM ${table}
      WHERE kind = $1 AND id > $2 AND id >= $3 AND id < $4 AND body IS NOT NULL ORDER BY id LIMIT $5::bigint`,

    listOfUser: `SELECT kind, id, ${head} FROM ${table}
      WHERE kind = $1 AND id > $2 AND id >= $3 AND id < $4 AND body IS NOT NULL
        AND ${userKey("user_name")} = ${userKey("$6::text")} AND user_name = $6::text
      ORDER BY id LIMIT $5::bigint`,

    sweep: `WITH expired AS (
        SELECT kind, id FROM ${table} WHERE expires_at < $1::float8 ORDER BY expires_at LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED
      )
      UPDATE ${table} AS stored SET touched_at = $1::float8, ${noSnapshot}
      FROM expired WHERE stored.kind = expired.kind AND stored.id = expired.id
      RETURNING 1 AS one`,

    raiseFloor: `UPDATE ${of("_floor")} SET epoch = forgotten.epoch
      FROM (SELECT max(epoch) AS epoch FROM ${table} WHERE body IS NULL AND touched_at <= $1::float8) AS forgotten
      WHERE forgotten.epoch > ${of("_floor")}.epoch`,

    forget: `WITH forgotten AS (
        SELECT kind, id FROM ${table}
        WHERE body IS NULL AND touched_at <= $1::float8 AND epoch <= (SELECT epoch FROM ${of("_floor")})
        LIMIT $2::bigint FOR UPDATE SKIP LOCKED
      )
      DELETE FROM ${table} AS stored USING forgotten WHERE stored.kind = forgotten.kind AND stored.id = forgotten.id
      RETURNING 1 AS one`
  }
}
