import * as Effect from "effect/Effect"
import {
  type Head,
  type Key,
  type ListOptions,
  type Snapshot,
  SnapshotStoreError
} from "../../../contract/SnapshotStore.ts"
import { escape } from "./text.ts"

/** Turns any failure into the error of the contract. */
export const failed =
  (operation: string, store: string, isOfKey: (cause: unknown) => boolean) => (cause: unknown): SnapshotStoreError =>
    cause instanceof SnapshotStoreError ? cause : new SnapshotStoreError({
      operation,
      message: `${operation}: ${store} failed, try again`,
      cause,
      scope: isOfKey(cause) ? "key" : "store"
    })

/** The store works, but the snapshot under a key is larger than it accepts. */
export const tooLarge = (operation: string, { id, kind }: Key, size: number, limit: number): SnapshotStoreError =>
  new SnapshotStoreError({
    operation,
    message: `${operation}: the snapshot of ${kind}/${id} has ${size} bytes, ${limit} are allowed`,
    cause: undefined,
    scope: "key"
  })

/** An error and its chain of causes. */
export function* causes(error: unknown): Generator<object> {
  for (let cause = error, depth = 0; typeof cause === "object" && cause !== null && depth < 8; depth++) {
    yield cause
    cause = "cause" in cause ? cause.cause : undefined
  }
}

/** Dies when a key is named twice, which is a bug of the caller. Does nothing for an empty array. */
export const eachOnce = <A extends Key, B, E, R>(
  operation: string,
  keys: ReadonlyArray<A>,
  run: (keys: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E, R>
): Effect.Effect<ReadonlyArray<B>, E, R> => {
  if (keys.length === 0) return Effect.succeed([])
  if (keys.length === 1) return run(keys)
  const named = new Set<string>()
  for (const { id, kind } of keys) named.add(`${kind}\n${id}`)
  return named.size === keys.length
    ? run(keys)
    : Effect.die(new Error(`${operation}: a key is named twice in one call`))
}

/** A snapshot without its body. */
export const headOf = (
  { alarmAt, epoch, expiresAt, format, id, kind, savedAt, user, version }: Head | Snapshot
): Head => ({ kind, id, epoch, version, format, savedAt, expiresAt, alarmAt, user })

/** The range of ids to list: after `after`, from `from` on, before `before`. */
export const rangeOf = ({ after = "", prefix = "" }: ListOptions) => {
  const from = escape(prefix)
  // Every character of an id is lower than this one.
  return { after: escape(after), from, before: `${from}\u007f` }
}

/** The largest amount of text to send at once, unless a single snapshot is larger. */
const chunkLength = 4_000_000

/** Runs an operation for at most `most` keys, and a limited amount of text, at a time. */
export const inChunks = <A, B, E, R>(
  all: ReadonlyArray<A>,
  most: number,
  lengthOf: (one: A) => number,
  run: (chunk: ReadonlyArray<A>) => Effect.Effect<ReadonlyArray<B>, E, R>
): Effect.Effect<ReadonlyArray<B>, E, R> => {
  const chunks: Array<Array<A>> = [[]]
  let length = 0
  for (const one of all) {
    const last = chunks[chunks.length - 1]!
    length += lengthOf(one)
    if (last.length > 0 && (last.length === most || length > chunkLength)) {
      chunks.push([one])
      length = lengthOf(one)
    } else last.push(one)
  }
  return chunks.length === 1 ? run(all) : Effect.map(Effect.forEach(chunks, run), (results) => results.flat())
}
