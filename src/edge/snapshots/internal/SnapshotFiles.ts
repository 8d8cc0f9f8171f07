import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import type { Key, Snapshot } from "../../../contract/SnapshotStore.ts"
import { decode, encode } from "./fileFormat.ts"
import * as fileName from "./fileName.ts"

/** What there is in a file. */
export type Found =
  | { readonly _tag: "Snapshot"; readonly file: string; readonly snapshot: Snapshot }
  | { readonly _tag: "Damaged"; readonly file: string; readonly bytes: Uint8Array; readonly why: string }

/** That there is no file. */
export interface Missing {
  readonly _tag: "Missing"
}

const extension = ".snapshot"
const leftover = ".tmp"

const ifMissing = <A>(value: A) => (error: PlatformError): Effect.Effect<A, PlatformError> =>
  error.reason._tag === "NotFound" ? Effect.succeed(value) : Effect.fail(error)

/** The files of snapshots: `KIND/SHARD/ID.snapshot`. */
export class SnapshotFiles {
  private readonly fs: FileSystem.FileSystem
  private readonly path: Path.Path
  private readonly directory: string
  private readonly sync: boolean
  private readonly permits: Semaphore.Semaphore
  private readonly concurrency: number
  /** The directories that are there. */
  private readonly made = new Set<string>()

  constructor(options: {
    readonly fs: FileSystem.FileSystem
    readonly path: Path.Path
    readonly directory: string
    readonly sync: boolean
    readonly concurrency: number
  }) {
    this.fs = options.fs
    this.path = options.path
    this.directory = options.directory
    this.sync = options.sync
    this.concurrency = options.concurrency
    this.permits = Semaphore.makeUnsafe(options.concurrency)
  }

  read(key: Key): Effect.Effect<Found | Missing, PlatformError> {
    return Effect.catch(
      Effect.map(this.readFile(this.fileOf(key)), (found): Found | Missing => {
        if (found._tag === "Damaged" || (found.snapshot.kind === key.kind && found.snapshot.id === key.id)) return found
        const why = `it is of ${found.snapshot.kind}/${found.snapshot.id}`
        return { _tag: "Damaged", file: found.file, bytes: encode(found.snapshot), why }
      }),
      ifMissing<Found | Missing>({ _tag: "Missing" })
    )
  }

  write(snapshot: Snapshot): Effect.Effect<void, PlatformError> {
    const file = this.fileOf(snapshot)
    const directory = this.path.dirname(file)
    const write = this.permits.withPermits(1)(Effect.suspend(() => this.replace(file, encode(snapshot))))
    return this.made.has(directory) ? write : Effect.andThen(this.make(directory), write)
  }

  remove(key: Key): Effect.Effect<void, PlatformError> {
    return this.permits.withPermits(1)(this.fs.remove(this.fileOf(key), { force: true }))
  }

  /** Takes away what a write that did not come to its end has left. */
  removeLeftover(key: Key): Effect.Effect<void, PlatformError> {
    return this.fs.remove(this.fileOf(key) + leftover, { force: true })
  }

  /** Puts a file in place of another. There is one writer of a file at a time. */
  replace(file: string, bytes: Uint8Array): Effect.Effect<void, PlatformError> {
    const temporary = file + leftover
    const written = this.sync
      ? Effect.scoped(
        Effect.flatMap(
          this.fs.open(temporary, { flag: "w", mode: 0o600 }),
          (handle) => Effect.andThen(handle.writeAll(bytes), handle.sync)
        )
      )
      : this.fs.writeFile(temporary, bytes, { mode: 0o600 })
    return written.pipe(
      Effect.andThen(this.fs.rename(temporary, file)),
      Effect.onError(() => Effect.ignore(this.fs.remove(temporary, { force: true })))
    )
  }

  /** Forces to the disk that files came and went in the directories of these keys. */
  syncShards(keys: ReadonlyArray<Key>): Effect.Effect<void, PlatformError> {
    const directories = new Set(keys.map((key) => this.path.dirname(this.fileOf(key))))
    return Effect.forEach(directories, (directory) => this.syncDirectory(directory), {
      concurrency: this.concurrency,
      discard: true
    })
  }

  /** Forces to the disk what is in a directory, where the system can. */
  syncDirectory(directory: string): Effect.Effect<void, PlatformError> {
    return Effect.scoped(Effect.flatMap(
      Effect.option(this.fs.open(directory, { flag: "r" })),
      (handle) => handle._tag === "None" ? Effect.void : handle.value.sync
    ))
  }

  /** Reads all files, and takes away what is left of writes that did not come to their end. */
  forEachFile<E>(use: (found: Found) => Effect.Effect<void, E>): Effect.Effect<void, E | PlatformError> {
    const { fs, path } = this
    const entriesOf = (directory: string) =>
      Effect.catch(
        Effect.map(fs.readDirectory(directory), (names) => names.map((name) => path.join(directory, name))),
        ifMissing<Array<string>>([])
      )
    return Effect.gen({ self: this }, function*() {
      for (const kind of yield* entriesOf(this.directory)) {
        for (const shard of yield* entriesOf(kind)) {
          yield* Effect.forEach(
            yield* entriesOf(shard),
            (file): Effect.Effect<void, E | PlatformError> =>
              file.endsWith(leftover)
                ? fs.remove(file, { force: true })
                : file.endsWith(extension)
                ? Effect.flatMap(this.readFile(file), (found) =>
                  use(
                    found._tag === "Snapshot" && this.fileOf(found.snapshot) !== file
                      ? { _tag: "Damaged", file, bytes: encode(found.snapshot), why: "it is not where it belongs" }
                      : found
                  ))
                : Effect.void,
            { concurrency: this.concurrency, discard: true }
          )
        }
      }
    })
  }

  private fileOf({ id, kind }: Key): string {
    return this.path.join(
      this.directory,
      fileName.encode(kind),
      fileName.shardOf(id),
      fileName.encode(id) + extension
    )
  }

  private readFile(file: string): Effect.Effect<Found, PlatformError> {
    return this.permits.withPermits(1)(Effect.map(this.fs.readFile(file), (bytes): Found => {
      const decoded = decode(bytes)
      return Result.isSuccess(decoded)
        ? { _tag: "Snapshot", file, snapshot: decoded.success }
        : { _tag: "Damaged", file, bytes, why: decoded.failure }
    }))
  }

  private make(directory: string): Effect.Effect<void, PlatformError> {
    return Effect.gen({ self: this }, function*() {
      yield* this.fs.makeDirectory(directory, { recursive: true, mode: 0o700 })
      if (this.sync) {
        const kind = this.path.dirname(directory)
        yield* this.syncDirectory(kind)
        yield* this.syncDirectory(this.directory)
        yield* this.syncDirectory(this.path.dirname(this.directory))
      }
      this.made.add(directory)
    })
  }
}
