/** How the SQL stores read their rows. */
import * as Option from "effect/Option"
import type { Head, Quarantined, Snapshot } from "../../../contract/SnapshotStore.ts"
import { unescape } from "./text.ts"

export interface HeadRow {
  readonly kind: string
  readonly id: string
  /** `null`: the key has an epoch and no snapshot. */
  readonly snapshot_epoch: number | null
  readonly version: number
  readonly format: number
  readonly saved_at: number
  readonly expires_at: number | null
  readonly alarm_at: number | null
  readonly user_name: string | null
}

export interface StoredRow extends HeadRow {
  readonly body: string
}

export interface QuarantinedRow extends StoredRow {
  readonly reason: string
  readonly quarantined_at: number
}

export const toHead = (row: HeadRow): Option.Option<Head> =>
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

export const toHeads = (rows: ReadonlyArray<HeadRow>): ReadonlyArray<Head> =>
  rows.flatMap((row) => Option.toArray(toHead(row)))

export const toSnapshot = (row: StoredRow): Option.Option<Snapshot> =>
  Option.map(toHead(row), (head) => ({ ...head, body: unescape(row.body) }))

export const toQuarantined = (rows: ReadonlyArray<QuarantinedRow>): ReadonlyArray<Quarantined> =>
  rows.flatMap((row) =>
    Option.toArray(
      Option.map(
        toSnapshot(row),
        (snapshot) => ({ snapshot, reason: unescape(row.reason), at: row.quarantined_at })
      )
    )
  )

/** A limit that a database accepts. */
export const limitOf = (limit: number): number => Math.max(0, Math.min(Math.floor(limit), Number.MAX_SAFE_INTEGER))
