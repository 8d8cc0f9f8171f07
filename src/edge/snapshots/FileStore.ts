/**
 * Snapshots in files, of one process: what a program with a disk of its own needs, and no server.
 *
 * Each snapshot is a file, which is written under another name and then put in place of the one before, so that it is
 * never there in part. A journal beside them knows epochs, alarms and expiries, so that a start reads one file and not
 * all. Without it, as after it was deleted, all files are read.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import {
  type Head,
  type Key,
  type Snapshot,
  SnapshotStore,
  type SnapshotStoreError
} from "../../contract/SnapshotStore.ts"
import { duration, wholeNumber } from "../../policy/SessionsConfig.ts"
import { type Aside, identity, inOrder } from "./internal/Aside.ts"
import * as DirectoryLock from "./internal/DirectoryLock.ts"
import { asideOf } from "./internal/fileName.ts"
import { type HeadText, Journal, type Operation, replay } from "./internal/Journal.ts"
import { KeyLocks } from "./internal/KeyLocks.ts"
import { eachOnce, failed, headOf } from "./internal/operations.ts"
import { SnapshotFiles } from "./internal/SnapshotFiles.ts"
import { type Entry, SnapshotIndex } from "./internal/SnapshotIndex.ts"

/**
 * Options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Where the snapshots are. It is created when it is missing, and belongs to one process at a time. */
  readonly directory: string
  /**
   * Whether what was saved survives a crash of the machine, too: each file is forced to the disk, which takes as long as
   * the disk takes. Default: `false`, it survives a crash of the process.
   */
  readonly sync?: boolean | undefined
  /** How many files are read or written at the same time. Default: 16. */
  readonly concurrency?: number | undefined
  /** How long the epoch of a key is remembered of which nothing is kept any more. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
}

/**
 * The directory belongs to another process, or to another Layer of this one.
 *
 * @since 0.1.0
 * @category errors
 */
export class DirectoryInUse extends Schema.TaggedError<DirectoryInUse>()(
  "DirectoryInUse",
  { directory: Schema.String, pid: Schema.Number, host: Schema.String, message: Schema.String }
) {}

/**
 * Keeps snapshots in files. A process that was killed does not keep the directory: the next one takes it over, at once on
 * the same machine, and after a minute on another one that shares the disk.
 *
 * A file that is damaged is set aside when it is read, with an error in the log; it is in `aside`, with its text as the
 * body. It stops nothing else.
 *
 * Fails with `DirectoryInUse` when another process holds the directory, with `InvalidConfig` when an option is out of
 * range, and with `SnapshotStoreError` when the directory cannot be used.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  SnapshotStore,
  DirectoryInUse | InvalidConfig | SnapshotStoreError,
  FileSystem.FileSystem | Path.Path
> => Layer.effect(SnapshotStore, make(options))

const textOf = ({ alarmAt, epoch, expiresAt, format, savedAt, user, version }: Head): HeadText => [
  epoch,
  version,
  format,
  savedAt,
  expiresAt,
  alarmAt,
  user
]

const fromText = (kind: string, id: string, text: HeadText): Head => {
  const [epoch, version, format, savedAt, expiresAt, alarmAt, user] = text
  return { kind, id, epoch, version, format, savedAt, expiresAt, alarmAt, user }
}

/** What the journal says of a key. */
const operationOf = (entry: Entry<Head>): Operation => [
  entry.kind,
  entry.id,
  entry.epoch,
  entry.ended ? 1 : 0,
  entry.touchedAt,
  entry.snapshot === undefined ? null : textOf(entry.snapshot)
]

const apply = (index: SnapshotIndex<Head>, operation: Operation): void => {
  if (operation.length === 1) index.floor = Math.max(index.floor, operation[0])
  else if (operation.length === 2) {
    const entry = index.get({ kind: operation[0], id: operation[1] })
    if (entry !== undefined) index.forget(entry)
  } else {
    const [kind, id, epoch, ended, touchedAt, head] = operation
    index.set({ kind, id }, epoch, ended === 1, head === null ? undefined : fromText(kind, id, head), touchedAt)
  }
}

/** As many as a sweep takes at a time. */
const sweepSize = 500

const asideText = (aside: Aside): string => JSON.stringify(aside)

const make = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<
  SnapshotStore["Service"],
  DirectoryInUse | InvalidConfig | SnapshotStoreError,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const concurrency = yield* wholeNumber("concurrency", options.concurrency ?? 16, 1)
  const epochRetention = yield* duration("epochRetention", options.epochRetention ?? "1 hour")
  const sync = options.sync ?? false
  const directory = path.resolve(options.directory)
  const attempt = <A>(operation: string, effect: Effect.Effect<A, PlatformError>) =>
    Effect.mapError(effect, failed(operation, `the directory ${directory}`))
  const opening = <A, R>(effect: Effect.Effect<A, PlatformError, R>) =>
    Effect.mapError(effect, failed("open", `the directory ${directory}`))

  const asides = path.join(directory, "aside")
  yield* opening(fs.makeDirectory(asides, { recursive: true, mode: 0o700 }))
  const lock = yield* opening(DirectoryLock.acquire(directory))
  if ("holder" in lock) {
    const { host, pid, since } = lock.holder
    const message = `${directory} belongs to the process ${pid} on ${host}, since ${since}`
    return yield* new DirectoryInUse({ directory, pid, host, message })
  }

  const files = new SnapshotFiles({ fs, path, directory: path.join(directory, "snapshots"), sync, concurrency })
  const index = new SnapshotIndex<Head>()
  const locks = new KeyLocks()
  const journalPath = path.join(directory, "journal")
  const journal = new Journal({
    fs,
    path: journalPath,
    sync,
    syncDirectory: files.syncDirectory(directory),
    scope: yield* Effect.scope,
    *everything() {
      yield [index.floor]
      for (const entry of index.entries()) yield operationOf(entry)
    }
  })

  /** Writes a file aside, once. */
  const putAside = (aside: Aside, name = asideOf(identity(aside.snapshot))) => {
    const target = path.join(asides, `${name}.json`)
    return Effect.flatMap(
      fs.exists(target),
      (exists) => exists ? Effect.void : files.replace(target, Buffer.from(asideText(aside)))
    )
  }

  /** Takes a damaged file out of the way. */
  const setDamagedAside = Effect.fnUntraced(function*(file: string, bytes: Uint8Array, why: string, key?: Key) {
    const now = yield* Clock.currentTimeMillis
    const kind = key?.kind ?? path.basename(path.dirname(path.dirname(file)))
    const id = key?.id ?? path.basename(file)
    const epoch = key === undefined ? 0 : index.get(key)?.epoch ?? 0
    const body = Buffer.from(bytes).toString()
    const head = { kind, id, epoch, version: 0, format: 0, savedAt: now, expiresAt: null, alarmAt: null, user: null }
    const snapshot = { ...head, body }
    const reason = `the file ${path.basename(file)} is damaged: ${why}`
    const name = `damaged-${now}-${asideOf(file)}`
    yield* putAside({ snapshot, reason }, name)
    yield* fs.rename(file, path.join(asides, `${name}.raw`))
    yield* Effect.logError(`a snapshot is damaged, it was set aside as ${path.join(asides, name)}.raw`, {
      kind,
      id,
      file,
      why
    })
  })

  /** Reads the file of a key; a damaged one is set aside. To be called by who has locked the key. */
  const read = Effect.fnUntraced(function*(key: Key): Effect.fn.Return<Option.Option<Snapshot>, PlatformError> {
    const found = yield* files.read(key)
    if (found._tag === "Snapshot") return Option.some(found.snapshot)
    if (found._tag === "Damaged") yield* setDamagedAside(found.file, found.bytes, found.why, key)
    return Option.none()
  })

  /** Makes the index say what the file of a key says. */
  const lookAt = (key: Key) =>
    Effect.gen(function*() {
      const snapshot = yield* read(key)
      const entry = index.get(key)
      const now = yield* Clock.currentTimeMillis
      if (Option.isNone(snapshot)) {
        if (entry !== undefined) index.set(key, entry.epoch, entry.ended, undefined, now)
        return
      }
      const head = headOf(snapshot.value)
      const { epoch } = head
      const isHigher = entry === undefined || epoch > entry.epoch
      index.set(key, isHigher ? epoch : entry.epoch, !isHigher && entry.ended, head, now)
    })

  const openIndex = Effect.gen(function*() {
    const exists = yield* fs.exists(journalPath)
    const replayed = exists ? replay(yield* fs.readFile(journalPath)) : undefined
    for (const operation of replayed?.operations ?? []) apply(index, operation)
    if (replayed === undefined || replayed.isDamaged) {
      if (replayed !== undefined) {
        yield* Effect.logWarning("the journal of the snapshots is damaged: all files are read")
      }
      // What the journal knew and has no file any more is gone.
      const known = new Set(index.entries())
      yield* files.forEachFile((found) =>
        Effect.gen(function*() {
          if (found._tag === "Damaged") return yield* setDamagedAside(found.file, found.bytes, found.why)
          const { epoch } = found.snapshot
          const entry = index.get(found.snapshot)
          const isHigher = entry === undefined || epoch > entry.epoch
          const now = yield* Clock.currentTimeMillis
          index.set(
            found.snapshot,
            isHigher ? epoch : entry.epoch,
            !isHigher && entry.ended,
            headOf(found.snapshot),
            now
          )
          if (entry !== undefined) known.delete(entry)
          // Epochs that were only claimed are not known any more.
          index.floor = Math.max(index.floor, epoch)
        })
      )
      for (const entry of known) index.set(entry, entry.epoch, entry.ended, undefined, entry.touchedAt)
    } else {
      yield* Effect.forEach(
        replayed.open.filter((operation) => operation.length === 6),
        Effect.fnUntraced(function*([kind, id]) {
          const key = { kind, id }
          yield* files.removeLeftover(key)
          // What was about to be removed is removed now.
          if (index.get(key)?.snapshot === undefined) yield* files.remove(key)
          else yield* lookAt(key)
        }),
        { concurrency, discard: true }
      )
    }
    yield* journal.rewrite
  })
  yield* opening(openIndex)

  const whileHeld = <A, E>(operation: string, effect: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | SnapshotStoreError> =>
      lock.isLost()
        ? Effect.fail(failed(operation, `${directory}, which another process has taken over,`)(undefined))
        : effect
    )

  /** Journals what keys will be, changes their files, and says so in the index. */
  const change = <A extends Key>(
    all: ReadonlyArray<A>,
    toBe: (one: A, entry: Entry<Head> | undefined) => {
      readonly epoch: number
      readonly ended: boolean
      readonly head: Head | undefined
    },
    changeFile: ((one: A) => Effect.Effect<void, PlatformError>) | undefined,
    now: number
  ): Effect.Effect<void, PlatformError> => {
    if (all.length === 0) return Effect.void
    return Effect.gen(function*() {
      const targets = all.map((one) => ({ one, ...toBe(one, index.get(one)) }))
      const batch = yield* journal.append(
        targets.map(({ ended, epoch, head, one }): Operation => [
          one.kind,
          one.id,
          epoch,
          ended ? 1 : 0,
          now,
          head === undefined ? null : textOf(head)
        ])
      )
      const exits = yield* Effect.forEach(
        targets,
        ({ ended, epoch, head, one }) =>
          Effect.exit(Effect.map(changeFile?.(one) ?? Effect.void, () => index.set(one, epoch, ended, head, now))),
        { concurrency }
      )
      const synced = sync && changeFile !== undefined ? yield* Effect.exit(files.syncShards(all)) : Exit.void
      const failures = targets.filter((_, i) => Exit.isFailure(exits[i]!))
      journal.end(
        batch,
        failures.map(({ one }): Operation => {
          const entry = index.get(one)
          return entry === undefined ? [one.kind, one.id] : operationOf(entry)
        })
      )
      for (const exit of exits) yield* exit
      yield* synced
    })
  }

  const drop = (all: ReadonlyArray<Key>, now: number) =>
    change(
      all,
      (_, entry) => ({ epoch: entry?.epoch ?? 0, ended: entry?.ended ?? false, head: undefined }),
      (key) => files.remove(key),
      now
    )

  const sweepExpired = Effect.fnUntraced(function*(now: number) {
    for (let total = 0;;) {
      const found = index.expired(now, sweepSize)
      if (found.length === 0) return total
      yield* locks.run(
        found,
        Effect.suspend(() => {
          const expired = found.filter(({ snapshot }) => (snapshot?.expiresAt ?? Infinity) < now)
          total += expired.length
          return drop(expired, now)
        })
      )
    }
  })

  const forget = Effect.fnUntraced(function*(before: number) {
    const untouched = index.untouchedSince(before)
    for (let at = 0; at < untouched.length; at += sweepSize) {
      const some = untouched.slice(at, at + sweepSize)
      yield* locks.run(
        some,
        Effect.gen(function*() {
          const still = some.filter((entry) =>
            entry.snapshot === undefined && entry.touchedAt <= before && index.get(entry) === entry
          )
          if (still.length === 0) return
          const floor = Math.max(index.floor, ...still.map(({ epoch }) => epoch))
          const gone = still.map(({ id, kind }): Operation => [kind, id])
          const batch = yield* journal.append([[floor], ...gone])
          for (const entry of still) index.forget(entry)
          journal.end(batch)
        })
      )
    }
  })

  return {
    claim: (key, atLeast) =>
      whileHeld(
        "claim",
        attempt(
          "claim",
          locks.run(
            [key],
            Effect.gen(function*() {
              // A file that the index knows nothing of may have been put there by hand.
              const entry = index.get(key)
              const snapshot = entry === undefined || entry.snapshot !== undefined
                ? yield* read(key)
                : Option.none<Snapshot>()
              const kept = Option.getOrUndefined(snapshot)
              const epoch = Math.max(index.nextEpoch(key, atLeast), (kept?.epoch ?? 0) + 1)
              const now = yield* Clock.currentTimeMillis
              const head = kept === undefined ? undefined : headOf(kept)
              yield* change([key], () => ({ epoch, ended: false, head }), undefined, now)
              return { epoch, snapshot }
            })
          )
        )
      ),

    save: (snapshots) =>
      eachOnce("save", snapshots, () =>
        whileHeld(
          "save",
          attempt(
            "save",
            locks.run(
              snapshots,
              Effect.gen(function*() {
                const now = yield* Clock.currentTimeMillis
                const accepted = snapshots.map((snapshot) => index.accepts(snapshot))
                yield* change(
                  snapshots.filter((_, i) => accepted[i]),
                  (snapshot) => ({ epoch: snapshot.epoch, ended: false, head: headOf(snapshot) }),
                  (snapshot) => files.write(snapshot),
                  now
                )
                return accepted
              })
            )
          )
        )),

    remove: (keys) =>
      eachOnce("remove", keys, () =>
        whileHeld(
          "remove",
          attempt(
            "remove",
            locks.run(
              keys,
              Effect.gen(function*() {
                const now = yield* Clock.currentTimeMillis
                const accepted = keys.map((key) => index.acceptsRemove(key))
                yield* change(
                  keys.filter((_, i) => accepted[i]),
                  ({ epoch }) => ({ epoch, ended: true, head: undefined }),
                  (key) => files.remove(key),
                  now
                )
                return accepted
              })
            )
          )
        )),

    peek: (key) =>
      whileHeld(
        "peek",
        attempt(
          "peek",
          locks.run(
            [key],
            Effect.gen(function*() {
              const snapshot = yield* read(key)
              const isGone = Option.isNone(snapshot) && index.get(key)?.snapshot !== undefined
              if (isGone) yield* drop([key], yield* Clock.currentTimeMillis)
              return snapshot
            })
          )
        )
      ),

    stat: (key) =>
      Effect.sync(() =>
        Option.map(Option.fromUndefinedOr(index.get(key)), ({ epoch, snapshot }) => ({
          epoch,
          head: Option.fromUndefinedOr(snapshot)
        }))
      ),

    setAside: (snapshot, reason) =>
      whileHeld(
        "setAside",
        attempt(
          "setAside",
          locks.run(
            [snapshot],
            Effect.gen(function*() {
              yield* putAside({ snapshot, reason })
              if (sync) yield* files.syncDirectory(asides)
              const kept = index.get(snapshot)?.snapshot
              if (kept?.epoch !== snapshot.epoch || kept.version !== snapshot.version) return
              yield* drop([snapshot], yield* Clock.currentTimeMillis)
            })
          )
        )
      ),

    aside: whileHeld(
      "aside",
      attempt(
        "aside",
        Effect.gen(function*() {
          const names = (yield* fs.readDirectory(asides)).filter((name) => name.endsWith(".json"))
          const all = yield* Effect.forEach(
            names,
            (name) =>
              Effect.map(fs.readFile(path.join(asides, name)), (bytes): ReadonlyArray<Aside> => {
                try {
                  return [JSON.parse(Buffer.from(bytes).toString())]
                } catch {
                  return []
                }
              }),
            { concurrency }
          )
          return all.flat().sort(inOrder)
        })
      )
    ),

    alarms: (kind, until, limit) =>
      Effect.sync(() =>
        index.alarms(kind, until, limit).map(({ id, snapshot }) => ({ kind, id, alarmAt: snapshot!.alarmAt! }))
      ),

    nextAlarm: (kind) => Effect.sync(() => Option.fromNullishOr(index.alarms(kind, Infinity, 1)[0]?.snapshot?.alarmAt)),

    list: (options) => Effect.sync(() => index.list(options)),

    sweep: (now) =>
      whileHeld("sweep", attempt("sweep", Effect.tap(sweepExpired(now), () => forget(now - epochRetention))))
  }
})
