/** Marks a file as a database of snapshots: `PRAGMA application_id`. */
export const applicationId = 0x65667373

/** The version of the tables: `PRAGMA user_version`. */
export const schemaVersion = 2

const noSnapshot = `snapshot_epoch = NULL, version = NULL, format = NULL, body = NULL, saved_at = NULL,
  expires_at = NULL, expiry_minute = NULL, alarm_at = NULL, user_name = NULL`

const head = "kind, id, snapshot_epoch, version, format, saved_at, expires_at, alarm_at, user_name"

const columns = `${head}, body`

/**
 * Creates the tables. Keys compare by the bytes of their UTF-8. Expiry is indexed by the minute: an active session is saved
 * again and again with a slightly later time, and its index entry would move each time.
 */
export const definitions = `
  CREATE TABLE snapshots (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    term INTEGER NOT NULL DEFAULT 0,
    ended INTEGER NOT NULL,
    touched_at REAL NOT NULL,
    snapshot_epoch INTEGER,
    version INTEGER,
    format INTEGER,
    body TEXT,
    saved_at REAL,
    expires_at REAL,
    expiry_minute INTEGER,
    alarm_at REAL,
    user_name TEXT,
    PRIMARY KEY (kind, id)
  ) STRICT;
  CREATE INDEX snapshots_alarm ON snapshots (kind, alarm_at, id) WHERE alarm_at IS NOT NULL;
  CREATE INDEX snapshots_user ON snapshots (kind, user_name, id) WHERE user_name IS NOT NULL;
  CREATE INDEX snapshots_expiry ON snapshots (expiry_minute) WHERE expiry_minute IS NOT NULL;
  CREATE INDEX snapshots_empty ON snapshots (touched_at) WHERE body IS NULL;
  CREATE TABLE quarantine (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    snapshot_epoch INTEGER NOT NULL,
    version INTEGER NOT NULL,
    format INTEGER NOT NULL,
    body TEXT NOT NULL,
    saved_at REAL NOT NULL,
    expires_at REAL,
    alarm_at REAL,
    user_name TEXT,
    reason TEXT NOT NULL,
    quarantined_at REAL NOT NULL,
    PRIMARY KEY (kind, id, snapshot_epoch, version, saved_at)
  ) STRICT;
  CREATE TABLE floor (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
  INSERT INTO floor (one, epoch) VALUES (1, 0);
`

/** Brings the tables of a version to the next one, by that version. */
export const migrations: Readonly<Record<number, string>> = {
  1: "ALTER TABLE snapshots ADD COLUMN term INTEGER NOT NULL DEFAULT 0"
}

/** The minute of `expires_at`. */
export const minuteOf = (time: number): number => Math.floor(time / 60_000)

/** May this epoch and version replace the stored one? */
const isOwner = `stored.epoch < ?3 OR (stored.epoch = ?3 AND NOT stored.ended AND (
  stored.body IS NULL OR stored.snapshot_epoch < ?3 OR stored.version <= ?5))`

/** Each statement itself decides who may write: it runs while no other process writes. */
export const statements = {
  /** It is refused if the term of the row is higher than its own: then the row stays as it was. */
  claim: `INSERT INTO snapshots AS stored (kind, id, epoch, term, ended, touched_at)
    VALUES (?1, ?2, MAX(?3, (SELECT epoch + 1 FROM floor)), COALESCE(?5, 0), 0, ?4)
    ON CONFLICT (kind, id) DO UPDATE SET
      epoch = CASE WHEN ?5 < stored.term THEN stored.epoch ELSE MAX(excluded.epoch, stored.epoch + 1) END,
      term = MAX(stored.term, excluded.term),
      ended = CASE WHEN ?5 < stored.term THEN stored.ended ELSE 0 END,
      touched_at = CASE WHEN ?5 < stored.term THEN stored.touched_at ELSE excluded.touched_at END
    RETURNING epoch, term, ${columns}`,

  /** Writes a snapshot that changes no index, the usual case. */
  rewrite: `UPDATE snapshots AS stored SET epoch = ?3, ended = 0, touched_at = ?4, snapshot_epoch = ?3, version = ?5,
      format = ?6, body = ?7, saved_at = ?8, expires_at = ?9
    WHERE kind = ?1 AND id = ?2 AND body IS NOT NULL AND expiry_minute IS ?10 AND alarm_at IS ?11
      AND user_name IS ?12 AND (${isOwner})`,

  save: `INSERT INTO snapshots AS stored (kind, id, epoch, ended, touched_at,
      snapshot_epoch, version, format, body, saved_at, expires_at, expiry_minute, alarm_at, user_name)
    VALUES (?1, ?2, ?3, 0, ?4, ?3, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT (kind, id) DO UPDATE SET
      epoch = ?3, ended = 0, touched_at = ?4, snapshot_epoch = ?3, version = ?5, format = ?6, body = ?7, saved_at = ?8,
      expires_at = ?9, expiry_minute = ?10, alarm_at = ?11, user_name = ?12
    WHERE ${isOwner}`,

  remove: `INSERT INTO snapshots AS stored (kind, id, epoch, ended, touched_at) VALUES (?1, ?2, ?3, 1, ?4)
    ON CONFLICT (kind, id) DO UPDATE SET
      epoch = excluded.epoch, ended = 1, touched_at = excluded.touched_at, ${noSnapshot}
    WHERE excluded.epoch >= stored.epoch`,

  peek: `SELECT ${columns} FROM snapshots WHERE kind = ?1 AND id = ?2`,

  stat: `SELECT epoch, ${head} FROM snapshots WHERE kind = ?1 AND id = ?2`,

  quarantine: `INSERT INTO quarantine
      (kind, id, snapshot_epoch, version, format, body, saved_at, expires_at, alarm_at, user_name, reason,
      quarantined_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT DO NOTHING`,

  clear: `UPDATE snapshots SET touched_at = ?5, ${noSnapshot}
    WHERE kind = ?1 AND id = ?2 AND snapshot_epoch = ?3 AND version = ?4`,

  quarantined: `SELECT ${columns}, reason, quarantined_at FROM quarantine
    ORDER BY kind, id, snapshot_epoch, version, saved_at`,

  discardQuarantined: `DELETE FROM quarantine
    WHERE kind = ?1 AND id = ?2 AND snapshot_epoch = ?3 AND version = ?4 AND saved_at = ?5`,

  alarms: `SELECT id, alarm_at FROM snapshots
    WHERE kind = ?1 AND alarm_at <= ?2 ORDER BY alarm_at, id LIMIT ?3`,

  list: `SELECT ${head} FROM snapshots
    WHERE kind = ?1 AND id > ?2 AND id >= ?3 AND id < ?4 AND body IS NOT NULL ORDER BY id LIMIT ?5`,

  listOfUser: `SELECT ${head} FROM snapshots
    WHERE kind = ?1 AND user_name = ?6 AND id > ?2 AND id >= ?3 AND id < ?4 ORDER BY id LIMIT ?5`,

  sweep: `UPDATE snapshots SET touched_at = ?1, ${noSnapshot} WHERE rowid IN (
    SELECT rowid FROM snapshots WHERE expiry_minute <= ?3 AND expires_at < ?1 LIMIT ?2)`,

  raiseFloor: `UPDATE floor SET epoch = MAX(epoch, COALESCE(
    (SELECT MAX(epoch) FROM snapshots WHERE body IS NULL AND touched_at <= ?1), 0))`,

  forget: `DELETE FROM snapshots WHERE rowid IN (
    SELECT rowid FROM snapshots WHERE body IS NULL AND touched_at <= ?1 LIMIT ?2)`
} as const
