/**
 * Opens the file of a `SqliteStore`, or creates it. A file that exists and cannot be used is never replaced: an empty store
 * in its place would look like the loss of all sessions.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { DatabaseSync } from "node:sqlite"
import { applicationId, definitions, migrations, schemaVersion } from "./statements.ts"

export type Synchronous = "normal" | "full"

/** Why the file cannot be used, and what to do. */
export class Unusable extends Error {
  readonly reason: "damaged" | "foreign" | "newer" | "inaccessible"

  constructor(reason: Unusable["reason"], message: string) {
    super(message)
    this.reason = reason
  }
}

const magic = Buffer.from("SQLite format 3\u0000", "latin1")

export const open = (file: string, synchronous: Synchronous, busyTimeout: number): DatabaseSync => {
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 })
    if (!fs.existsSync(file)) create(file)
    removeDrafts(file)
    check(file)
    fs.chmodSync(file, 0o600)
    const database = new DatabaseSync(file, { timeout: busyTimeout })
    try {
      database.exec(
        `PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; PRAGMA journal_size_limit = 67108864`
      )
      checkContents(file, database)
      migrate(database)
      return database
    } catch (error) {
      database.close()
      throw error
    }
  } catch (error) {
    throw error instanceof Unusable || isBusy(error) ? error : unusable(file, error)
  }
}

/**
 * Creates the file under another name first. So the file is complete as soon as it exists, even if this process is killed or
 * another one creates it at the same time.
 */
const create = (file: string): void => {
  if (fs.existsSync(`${file}-wal`)) {
    // Another process may have created the file, and opened it, since this one looked for it.
    if (fs.existsSync(file)) return
    throw new Unusable(
      "damaged",
      `${file} is missing, but its journal ${file}-wal is there: restore the file, or move the journal away to begin without sessions`
    )
  }
  const directory = fs.mkdtempSync(draftOf(file))
  const draft = path.join(directory, "database")
  try {
    fs.closeSync(fs.openSync(draft, "wx", 0o600))
    const database = new DatabaseSync(draft)
    try {
      database.exec(`PRAGMA journal_mode = WAL; BEGIN; PRAGMA application_id = ${applicationId};
        PRAGMA user_version = ${schemaVersion}; ${definitions} COMMIT`)
    } finally {
      database.close()
    }
    fs.linkSync(draft, file)
  } catch (error) {
    // Another process was first, and may have removed the draft.
    if (!fs.existsSync(file)) throw error
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const draftOf = (file: string): string => `${file}.new-`

/** Removes the drafts of processes that were killed. A process that is still creating the file does not need its draft any more. */
const removeDrafts = (file: string): void => {
  const prefix = path.basename(draftOf(file))
  for (const name of fs.readdirSync(path.dirname(file))) {
    if (name.startsWith(prefix)) fs.rmSync(path.join(path.dirname(file), name), { recursive: true, force: true })
  }
}

/** Checks what can be checked before SQLite opens the file. */
const check = (file: string): void => {
  const descriptor = fs.openSync(file, "r")
  try {
    const { size } = fs.fstatSync(descriptor)
    if (size === 0) throw damaged(file, "it is empty")
    const head = Buffer.alloc(magic.length)
    fs.readSync(descriptor, head, 0, head.length, 0)
    if (!head.equals(magic)) throw damaged(file, "it does not begin as a SQLite database does")
  } finally {
    fs.closeSync(descriptor)
  }
}

const numberOf = (database: DatabaseSync, pragma: string): number =>
  Object.values(database.prepare(`PRAGMA ${pragma}`).get()!)[0] as number

const checkContents = (file: string, database: DatabaseSync): void => {
  if (numberOf(database, "application_id") !== applicationId) {
    throw new Unusable("foreign", `${file} is a database of another program: name another file`)
  }
  const version = numberOf(database, "user_version")
  if (version > schemaVersion) {
    throw new Unusable(
      "newer",
      `${file} was written by a newer version of effect-sessions (format ${version}, this one knows ${schemaVersion}): update, or name another file`
    )
  }
  const [first] = database.prepare("PRAGMA quick_check(1)").all()
  const verdict = first === undefined ? "no answer" : String(Object.values(first)[0])
  if (verdict !== "ok") throw damaged(file, verdict)
}

/** Brings the tables of an older version up to date. */
const migrate = (database: DatabaseSync): void => {
  if (numberOf(database, "user_version") === schemaVersion) return
  database.exec("BEGIN IMMEDIATE")
  // Another process may have done it meanwhile.
  for (let version = numberOf(database, "user_version"); version < schemaVersion; version++) {
    database.exec(`${migrations[version]}; PRAGMA user_version = ${version + 1}`)
  }
  database.exec("COMMIT")
}

const damaged = (file: string, why: string): Unusable =>
  new Unusable(
    "damaged",
    `${file} is damaged (${why}): restore a backup, save what can be saved with sqlite3 "${file}" .recover, or move it away together with ${file}-wal to begin without sessions`
  )

/** SQLite's primary result code of an error. */
export const codeOf = (error: unknown): number => {
  const { errcode } = error as { readonly errcode?: unknown }
  return typeof errcode === "number" ? errcode & 0xff : 0
}

/** Does another process lock the file? */
export const isBusy = (error: unknown): boolean => codeOf(error) === 5 || codeOf(error) === 6

const corrupt = 11
const notADatabase = 26

export const isDamage = (error: unknown): boolean => codeOf(error) === corrupt || codeOf(error) === notADatabase

const unusable = (file: string, error: unknown): Unusable => {
  const why = error instanceof Error ? error.message : String(error)
  return isDamage(error)
    ? damaged(file, why)
    : new Unusable("inaccessible", `${file} cannot be opened: ${why}`)
}
