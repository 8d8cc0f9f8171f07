/**
 * The operations of a `SqliteStore` on its file. They block, so they run in a thread of their own.
 */
import * as fs from "node:fs"
import type { DatabaseSync, StatementSync } from "node:sqlite"
import type { HeadRow, QuarantinedRow, StoredRow } from "../rows.ts"
import { open, type Synchronous } from "./openDatabase.ts"
import { minuteOf, statements } from "./statements.ts"

/** The columns of a snapshot, in the order in which they are bound to parameters. */
export type Row = [
  kind: string,
  id: string,
  epoch: number,
  version: number,
  format: number,
  body: string,
  savedAt: number,
  expiresAt: number | null,
  alarmAt: number | null,
  user: string | null
]

type Prepared = { readonly [Name in keyof typeof statements]: StatementSync }

export class Database {
  private readonly file: string
  private readonly inode: bigint
  private readonly database: DatabaseSync
  private readonly prepared: Prepared

  constructor(file: string, synchronous: Synchronous, busyTimeout: number) {
    this.file = file
    this.database = open(file, synchronous, busyTimeout)
    this.inode = fs.statSync(file, { bigint: true }).ino
    this.prepared = Object.fromEntries(
      Object.entries(statements).map(([name, text]) => [name, this.database.prepare(text)])
    ) as Prepared
  }

  claim(
    kind: string,
    id: string,
    atLeast: number,
    now: number,
    term: number | null
  ): StoredRow & { readonly epoch: number; readonly term: number } {
    return this.write(() => this.prepared.claim.get(kind, id, atLeast, now, term)) as never
  }

  /** Says for each row whether it was written. */
  save(rows: ReadonlyArray<Row>, now: number): ReadonlyArray<boolean> {
    const { rewrite, save } = this.prepared
    return this.write(() =>
      rows.map(([kind, id, epoch, version, format, body, savedAt, expiresAt, alarmAt, user]) => {
        const minute = expiresAt === null ? null : minuteOf(expiresAt)
        const write = (statement: StatementSync) =>
          statement.run(kind, id, epoch, now, version, format, body, savedAt, expiresAt, minute, alarmAt, user)
            .changes === 1
        return write(rewrite) || write(save)
      })
    )
  }

  remove(keys: ReadonlyArray<readonly [kind: string, id: string, epoch: number]>, now: number): ReadonlyArray<boolean> {
    const { remove } = this.prepared
    return this.write(() => keys.map(([kind, id, epoch]) => remove.run(kind, id, epoch, now).changes === 1))
  }

  peek(kind: string, id: string): StoredRow | undefined {
    return this.prepared.peek.get(kind, id) as StoredRow | undefined
  }

  stat(kind: string, id: string): HeadRow & { readonly epoch: number } | undefined {
    return this.prepared.stat.get(kind, id) as never
  }

  quarantine(row: Row, reason: string, now: number): void {
    this.write(() => {
      this.prepared.quarantine.run(...row, reason, now)
      const [kind, id, epoch, version] = row
      this.prepared.clear.run(kind, id, epoch, version, now)
    })
  }

  quarantined(): ReadonlyArray<QuarantinedRow> {
    return this.prepared.quarantined.all() as never
  }

  discardQuarantined(kind: string, id: string, epoch: number, version: number, savedAt: number): boolean {
    return this.write(() => this.prepared.discardQuarantined.run(kind, id, epoch, version, savedAt).changes === 1)
  }

  alarms(
    kind: string,
    until: number,
    limit: number
  ): ReadonlyArray<{ readonly id: string; readonly alarm_at: number }> {
    return this.prepared.alarms.all(kind, until, limit) as never
  }

  list(
    kind: string,
    after: string,
    from: string,
    before: string,
    limit: number,
    user: string | undefined
  ): ReadonlyArray<HeadRow> {
    const range = [kind, after, from, before, limit] as const
    return (user === undefined
      ? this.prepared.list.all(...range)
      : this.prepared.listOfUser.all(...range, user)) as never
  }

  /** Deletes at most `limit` snapshots that have expired, and gives their number. */
  sweep(now: number, limit: number): number {
    return this.write(() => Number(this.prepared.sweep.run(now, limit, minuteOf(now)).changes))
  }

  /** Forgets at most `limit` epochs, and gives their number. */
  forget(before: number, limit: number): number {
    return this.write(() => {
      this.prepared.raiseFloor.run(before)
      return Number(this.prepared.forget.run(before, limit).changes)
    })
  }

  close(): void {
    this.database.close()
  }

  /** Runs a transaction, while no other process writes. */
  private write<A>(run: () => A): A {
    // Writes to a file that was moved away, or replaced, would be lost.
    if (fs.statSync(this.file, { bigint: true }).ino !== this.inode) {
      throw new Error(`${this.file} is another file than the one that was opened: start again`)
    }
    this.database.exec("BEGIN IMMEDIATE")
    try {
      const result = run()
      this.database.exec("COMMIT")
      return result
    } catch (error) {
      if (this.database.isTransaction) this.database.exec("ROLLBACK")
      throw error
    }
  }
}
