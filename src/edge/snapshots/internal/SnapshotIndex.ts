import type { Head, Key, ListOptions } from "../../../contract/SnapshotStore.ts"
import { DueQueue } from "./DueQueue.ts"
import { rangeOf } from "./operations.ts"

/** What the index knows of a key. */
export interface Entry<S extends Head> extends Key {
  /** The highest epoch that was claimed, written or removed. */
  epoch: number
  /** The highest term under which it was claimed. */
  term: number
  /** Whether the epoch was ended by a remove. */
  ended: boolean
  /** When the key was last claimed, written or removed, in milliseconds since 1970. */
  touchedAt: number
  snapshot: S | undefined
}

interface Kind<S extends Head> {
  readonly entries: Map<string, Entry<S>>
  readonly alarms: DueQueue<Entry<S>>
  /** The entries whose snapshot belongs to a user. */
  readonly users: Map<string, Set<Entry<S>>>
  /** The ids in order, without those that were added since, if they were asked for lately. */
  sorted: ReadonlyArray<string> | undefined
  /** The ids that were added since. */
  added: Array<string>
}

const isBefore = (one: Key, other: Key): boolean => one.id === other.id ? one.kind < other.kind : one.id < other.id

/** The ids of two sorted arrays, in order and each once. */
const merged = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): Array<string> => {
  const all: Array<string> = []
  for (let i = 0, j = 0; i < one.length || j < other.length;) {
    const isOnes = j >= other.length || (i < one.length && one[i]! <= other[j]!)
    const id = isOnes ? one[i++]! : other[j++]!
    if (all.length === 0 || all[all.length - 1] !== id) all.push(id)
  }
  return all
}

/** The position of the first text in a sorted array that is not lower than this one. */
const positionOf = (sorted: ReadonlyArray<string>, text: string): number => {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (sorted[middle]! < text) low = middle + 1
    else high = middle
  }
  return low
}

/** Records to which user a snapshot belongs. */
const assign = <S extends Head>({ users }: Kind<S>, entry: Entry<S>, from: string | null, to: string | null): void => {
  if (from === to) return
  if (from !== null) {
    const entries = users.get(from)
    if (entries?.delete(entry) === true && entries.size === 0) users.delete(from)
  }
  if (to === null) return
  const entries = users.get(to)
  if (entries === undefined) users.set(to, new Set([entry]))
  else entries.add(entry)
}

const idsOf = <S extends Head>({ users }: Kind<S>, user: string): Array<string> =>
  Array.from(users.get(user) ?? [], ({ id }) => id).sort()

/** The rules of `SnapshotStore`, in memory: who may write, what is due, what is stored. */
export class SnapshotIndex<S extends Head> {
  private readonly kinds = new Map<string, Kind<S>>()
  private readonly expiries = new DueQueue<Entry<S>>((entry) => entry.snapshot?.expiresAt ?? null, isBefore)
  /** The entries without a snapshot, in the order in which they were touched. */
  private readonly empty = new Set<Entry<S>>()
  /** The highest epoch of all keys that were forgotten. */
  floor = 0

  get(key: Key): Entry<S> | undefined {
    return this.kinds.get(key.kind)?.entries.get(key.id)
  }

  *entries(): Generator<Entry<S>> {
    for (const { entries } of this.kinds.values()) yield* entries.values()
  }

  /** The epoch that a claim gives. */
  nextEpoch(key: Key, atLeast: number): number {
    return Math.max(atLeast, (this.get(key)?.epoch ?? 0) + 1, this.floor + 1)
  }

  /** May this be written? */
  accepts(snapshot: Head): boolean {
    const entry = this.get(snapshot)
    if (entry === undefined || snapshot.epoch > entry.epoch) return true
    if (snapshot.epoch < entry.epoch || entry.ended) return false
    const stored = entry.snapshot
    return stored === undefined || stored.epoch < snapshot.epoch || stored.version <= snapshot.version
  }

  /** May the snapshot under this key be removed? */
  acceptsRemove(key: Key & { readonly epoch: number }): boolean {
    return key.epoch >= (this.get(key)?.epoch ?? 0)
  }

  /** Gives a key this epoch and this snapshot, and this term if it is higher. */
  set(key: Key, epoch: number, ended: boolean, snapshot: S | undefined, now: number, term = 0): void {
    const kind = this.kindOf(key.kind)
    let entry = kind.entries.get(key.id)
    if (entry === undefined) {
      entry = { kind: key.kind, id: key.id, epoch, term, ended, touchedAt: now, snapshot: undefined }
      kind.entries.set(key.id, entry)
    }
    if (entry.snapshot === undefined && snapshot !== undefined) this.noteId(kind, key.id)
    assign(kind, entry, entry.snapshot?.user ?? null, snapshot?.user ?? null)
    entry.epoch = epoch
    entry.term = Math.max(entry.term, term)
    entry.ended = ended
    entry.touchedAt = now
    entry.snapshot = snapshot
    this.empty.delete(entry)
    if (snapshot === undefined) this.empty.add(entry)
    this.expiries.update(entry)
    kind.alarms.update(entry)
  }

  alarms(kind: string, until: number, limit: number): Array<Entry<S>> {
    return this.kinds.get(kind)?.alarms.due(until, limit) ?? []
  }

  list(options: ListOptions): Array<S> {
    const kind = this.kinds.get(options.kind)
    if (kind === undefined) return []
    const { after, before, from } = rangeOf(options)
    const ids = options.user === undefined ? this.sorted(kind) : idsOf(kind, options.user)
    const page: Array<S> = []
    for (let at = positionOf(ids, after > from ? after : from); at < ids.length && page.length < options.limit; at++) {
      const id = ids[at]!
      if (id >= before) break
      const snapshot = kind.entries.get(id)?.snapshot
      if (snapshot !== undefined && id !== after) page.push(snapshot)
    }
    return page
  }

  private sorted(kind: Kind<S>): ReadonlyArray<string> {
    kind.sorted = kind.sorted === undefined
      ? Array.from(kind.entries.keys()).sort()
      : kind.added.length > 0
      ? merged(kind.sorted, kind.added.sort())
      : kind.sorted
    kind.added = []
    return kind.sorted
  }

  /** At most `limit` entries that have expired before this time. */
  expired(now: number, limit: number): Array<Entry<S>> {
    return this.expiries.due(now, limit).filter((entry) => entry.snapshot!.expiresAt! < now)
  }

  /** The entries without a snapshot that were not touched since this time. */
  untouchedSince(time: number): Array<Entry<S>> {
    const found: Array<Entry<S>> = []
    for (const entry of this.empty) {
      if (entry.touchedAt > time) break
      found.push(entry)
    }
    return found
  }

  forget(entry: Entry<S>): void {
    this.floor = Math.max(this.floor, entry.epoch)
    this.empty.delete(entry)
    const kind = this.kinds.get(entry.kind)
    kind?.entries.delete(entry.id)
    if (kind?.entries.size === 0) this.kinds.delete(entry.kind)
  }

  private kindOf(name: string): Kind<S> {
    let kind = this.kinds.get(name)
    if (kind === undefined) {
      const alarms = new DueQueue<Entry<S>>((entry) => entry.snapshot?.alarmAt ?? null, isBefore)
      kind = { entries: new Map(), alarms, users: new Map(), sorted: undefined, added: [] }
      this.kinds.set(name, kind)
    }
    return kind
  }

  /** When many ids were added, sorting all again is cheaper than merging. */
  private noteId(kind: Kind<S>, id: string): void {
    if (kind.sorted === undefined) return
    kind.added.push(id)
    if (kind.added.length <= 1024 + kind.entries.size / 8) return
    kind.sorted = undefined
    kind.added = []
  }
}
