import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import type { PlatformError } from "effect/PlatformError"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"

/** A snapshot but for its key and body. */
export type HeadText = readonly [
  epoch: number,
  version: number,
  format: number,
  savedAt: number,
  expiresAt: number | null,
  alarmAt: number | null,
  user: string | null
]

/** What is known of a key from now on, that a key is forgotten, or the floor of epochs. */
export type Operation =
  | readonly [kind: string, id: string, epoch: number, ended: 0 | 1, touchedAt: number, head: HeadText | null]
  | readonly [kind: string, id: string]
  | readonly [floor: number]

/** What a journal says: the operations in order, and those of batches that were not said to be done. */
export interface Replayed {
  readonly operations: ReadonlyArray<Operation>
  readonly open: ReadonlyArray<Operation>
  /** Where the whole lines end. */
  readonly length: number
  /** `true`: it was damaged, so that something may be missing. */
  readonly isDamaged: boolean
}

/*
 * A line is `[BATCH, [DONE, …], OPERATION, …]`. It is written before the files are, and a later line says that they were,
 * so that after a crash only the files of the last batches need to be looked at.
 */
type Line = readonly [batch: number, done: ReadonlyArray<number>, ...operations: ReadonlyArray<Operation>]

const isLine = (value: unknown): value is Line =>
  Array.isArray(value) && typeof value[0] === "number" && Array.isArray(value[1]) &&
  value.slice(2).every((one) =>
    Array.isArray(one) && [1, 2, 6].includes(one.length) && (!Array.isArray(one[5]) || one[5].length === 7)
  )

/** Reads what was written. What the last line lacks was never acknowledged. */
export const replay = (bytes: Uint8Array): Replayed => {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const operations: Array<Operation> = []
  const open = new Map<number, ReadonlyArray<Operation>>()
  let isDamaged = false
  let at = 0
  for (let end = buffer.indexOf(10); end >= 0; end = buffer.indexOf(10, at)) {
    try {
      const line: unknown = JSON.parse(buffer.toString("utf8", at, end))
      if (isLine(line)) {
        const [batch, done, ...own] = line
        for (const one of done) open.delete(one)
        for (const one of own) operations.push(one)
        open.set(batch, own)
      } else isDamaged = true
    } catch {
      isDamaged = true
    }
    at = end + 1
  }
  return { operations, open: Array.from(open.values()).flat(), length: at, isDamaged }
}

interface Group {
  readonly lines: Array<string>
  exit: Exit.Exit<void, PlatformError> | undefined
}

/** It is written anew when it got so much longer than it was. */
const growth = 8_000_000

/** The record of all changes, from which the index is built at the start. */
export class Journal {
  private readonly fs: FileSystem.FileSystem
  private readonly path: string
  private readonly sync: boolean
  private readonly syncDirectory: Effect.Effect<void, PlatformError>
  private readonly scope: Scope.Scope
  /** All that is to be known, for when it is written anew. */
  private readonly everything: () => Iterable<Operation>
  private readonly turn = Semaphore.makeUnsafe(1)
  private readonly open = new Map<number, string>()
  private file: { readonly handle: FileSystem.File; readonly scope: Scope.Closeable } | undefined
  private group: Group | undefined
  private done: Array<number> = []
  private corrections: Array<Operation> = []
  private batches = 0
  private length = 0
  private rewriteAt = 0

  constructor(options: {
    readonly fs: FileSystem.FileSystem
    readonly path: string
    readonly sync: boolean
    readonly syncDirectory: Effect.Effect<void, PlatformError>
    readonly scope: Scope.Scope
    readonly everything: () => Iterable<Operation>
  }) {
    this.fs = options.fs
    this.path = options.path
    this.sync = options.sync
    this.syncDirectory = options.syncDirectory
    this.scope = options.scope
    this.everything = options.everything
  }

  /** Writes a batch, together with those that come at the same time, and gives its number. */
  append(operations: ReadonlyArray<Operation>): Effect.Effect<number, PlatformError> {
    return Effect.suspend(() => {
      const batch = ++this.batches
      const text = JSON.stringify(operations).slice(1, -1)
      const line = `[${batch},[${this.done.join(",")}]${this.takeCorrections()}${text === "" ? "" : `,${text}`}]\n`
      this.done = []
      this.open.set(batch, `[${batch},[],${text}]\n`)
      const group = this.group ??= { lines: [], exit: undefined }
      group.lines.push(line)
      const write = Effect.suspend(() => {
        if (group.exit !== undefined) return group.exit
        this.group = undefined
        return Effect.flatMap(Effect.exit(this.write(group.lines.join(""))), (exit) => {
          group.exit = exit
          return exit
        })
      })
      return this.turn.withPermits(1)(write).pipe(
        Effect.as(batch),
        Effect.onError(() => Effect.sync(() => this.open.delete(batch)))
      )
    })
  }

  /** The files of a batch are written. Those of which something went wrong are as `corrections` say. */
  end(batch: number, corrections: ReadonlyArray<Operation> = []): void {
    this.open.delete(batch)
    this.done.push(batch)
    for (const one of corrections) this.corrections.push(one)
  }

  /** Writes all that is to be known into a new file, and puts that in place of the old one. */
  readonly rewrite: Effect.Effect<void, PlatformError> = Effect.suspend(() => this.turn.withPermits(1)(this.rewriteNow))

  private takeCorrections(): string {
    const text = this.corrections.map((one) => `,${JSON.stringify(one)}`).join("")
    this.corrections = []
    return text
  }

  private write(text: string): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      if (this.file === undefined || this.length > this.rewriteAt) yield* this.rewriteNow
      const bytes = Buffer.from(text)
      const { handle } = this.file!
      yield* handle.writeAll(bytes).pipe(
        Effect.andThen(this.sync ? handle.sync : Effect.void),
        // What was written in part is not to stay: the next time begins with a new file.
        Effect.onError(() => this.close)
      )
      this.length += bytes.length
    })
  }

  private get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { file } = this
      this.file = undefined
      return file === undefined ? Effect.void : Scope.close(file.scope, Exit.void)
    })
  }

  private get rewriteNow(): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      yield* this.close
      const path = `${this.path}.tmp`
      const length = yield* Effect.scoped(this.writeAll(path))
      yield* this.fs.rename(path, this.path)
      if (this.sync) yield* this.syncDirectory
      const scope = yield* Scope.fork(this.scope)
      const handle = yield* this.fs.open(this.path, { flag: "a" }).pipe(
        Effect.provideService(Scope.Scope, scope)
      )
      this.file = { handle, scope }
      this.length = length
      this.rewriteAt = 2 * length + growth
    })
  }

  private writeAll(path: string): Effect.Effect<number, PlatformError, Scope.Scope> {
    return Effect.gen({ self: this }, function*() {
      // Also what ends meanwhile, because the index may have been read before.
      const open = Array.from(this.open.values())
      const handle = yield* this.fs.open(path, { flag: "w" })
      let length = 0
      const put = (lines: string) => {
        const bytes = Buffer.from(lines)
        length += bytes.length
        return handle.writeAll(bytes)
      }
      let some: Array<string> = []
      const flush = Effect.suspend(() => {
        const line = `[0,[],${some.join(",")}]\n`
        some = []
        return put(line)
      })
      for (const one of this.everything()) {
        some.push(JSON.stringify(one))
        if (some.length === 1000) yield* flush
      }
      if (some.length > 0) yield* flush
      yield* put(`[0,[0]]\n${open.join("")}`)
      if (this.sync) yield* handle.sync
      return length
    })
  }
}
