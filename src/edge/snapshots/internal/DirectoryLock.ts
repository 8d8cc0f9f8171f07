import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"

const Holder = Schema.Struct({
  pid: Schema.Number,
  host: Schema.String,
  /** When the process was started, in whatever way the system tells it; it tells apart processes of the same number. */
  started: Schema.String,
  since: Schema.String
})
const HolderText = Schema.fromJsonString(Holder)
const decodeHolder = Schema.decodeUnknownOption(HolderText)

/** Who holds a directory. */
export type Holder = typeof Holder.Type

/** How often a holder shows that it lives, for processes of other machines. */
const beat = 5_000
/** One of another machine that did not for so long is taken for dead. */
const deadAfter = 60_000

const prefix = "lock-"
const suffix = ".json"

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // It exists, and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** Linux tells when a process was started; elsewhere its number must do. */
const startOf = (fs: FileSystem.FileSystem, pid: number): Effect.Effect<string> =>
  Effect.orElseSucceed(
    Effect.map(
      fs.readFileString(`/proc/${pid}/stat`),
      (stat) => stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""
    ),
    () => ""
  )

/**
 * Holds a directory until the scope closes, or gives who does.
 *
 * Each process that wants it puts a file of its own there, and then looks for those of others: of two that come at the
 * same time, at least one sees the other. Files of processes that are dead are taken away.
 */
export const acquire = Effect.fnUntraced(function*(directory: string): Effect.fn.Return<
  { readonly holder: Holder } | { readonly isLost: () => boolean },
  PlatformError,
  FileSystem.FileSystem | Path.Path | Scope.Scope
> {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const token = randomBytes(12).toString("hex")
  const name = `${prefix}${token}${suffix}`
  const mine = path.join(directory, name)
  const now = yield* Clock.currentTimeMillis
  const me: Holder = {
    pid: process.pid,
    host: hostname(),
    started: yield* startOf(fs, process.pid),
    since: DateTime.formatIso(DateTime.makeUnsafe(now))
  }
  yield* fs.writeFileString(`${mine}.tmp`, JSON.stringify(me))
  yield* Effect.acquireRelease(
    fs.rename(`${mine}.tmp`, mine),
    () => Effect.ignore(fs.remove(mine, { force: true }))
  )

  const livingAt = Effect.fnUntraced(function*(other: string) {
    const text = yield* Effect.option(fs.readFileString(other))
    if (Option.isNone(text)) return Option.none<Holder>()
    const holder = decodeHolder(text.value)
    const lives = Option.isNone(holder)
      ? false
      : holder.value.host === me.host
      ? isAlive(holder.value.pid) && ["", holder.value.started].includes(yield* startOf(fs, holder.value.pid))
      : yield* Effect.match(fs.stat(other), {
        onFailure: () => false,
        onSuccess: ({ mtime }) => Option.isSome(mtime) && now - mtime.value.getTime() < deadAfter
      })
    if (lives) return holder
    yield* Effect.ignore(fs.remove(other, { force: true }))
    return Option.none<Holder>()
  })

  for (let attempt = 0;; attempt++) {
    const others = (yield* fs.readDirectory(directory)).filter((file) =>
      file.startsWith(prefix) && file.endsWith(suffix) && file !== name
    )
    let found: { readonly file: string; readonly holder: Holder } | undefined
    for (const file of others) {
      const holder = yield* livingAt(path.join(directory, file))
      if (Option.isSome(holder)) found = { file, holder: holder.value }
    }
    if (found === undefined) break
    // When two came at the same time, the first by name waits for the other to give up.
    if (found.file < name || attempt === 10) {
      yield* Effect.ignore(fs.remove(mine, { force: true }))
      return { holder: found.holder }
    }
    yield* Effect.sleep(50)
  }

  let lost = false
  yield* Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => fs.utimes(mine, now / 1000, now / 1000)),
    Effect.catchTag("PlatformError", (error) =>
      Effect.sync(() => {
        if (error.reason._tag === "NotFound") lost = true
      })),
    Effect.repeat(Schedule.spaced(beat)),
    Effect.forkScoped
  )
  return { isLost: () => lost }
})
