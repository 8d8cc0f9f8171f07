/**
 * The changes of an inbox: pure functions.
 */
import { Contents, type InboxState, type Item } from "./Contents.ts"
import type { Settings } from "./options.ts"

type Bounds = Pick<Settings, "capacity" | "whenFull">

/** A notification that is pushed. */
export interface Arrival {
  readonly kind: string
  readonly payload: unknown
  readonly key: string | null
  readonly expiresAt: number | null
  /** Does it replace one with the same key? */
  readonly replaces: boolean
}

export interface Outcome {
  readonly state: Contents
  readonly id: number
  readonly isNew: boolean
}

/** How many ids an incarnation can give per millisecond of its life before they reach those of the next incarnation. */
const idsPerMillisecond = 1_000

/** Epochs grow with the clock, so an inbox that starts again gives ids that it never gave before. */
export const emptyInbox = (epoch: number): Contents => Contents.empty(epoch * idsPerMillisecond)

export const isExpired = ({ expiresAt }: Item, now: number): boolean => expiresAt !== null && expiresAt <= now

/** Removes those that have expired. */
export const fresh = (state: InboxState, now: number): Contents => {
  const contents = Contents.of(state)
  return contents.alarmAt === null || now < contents.alarmAt
    ? contents
    : contents.remove((item) => isExpired(item, now))
}

/** When the next notification expires. */
export const firstExpiry = ({ notifications }: InboxState): number | null => {
  let first = Infinity
  for (const { expiresAt } of notifications) if (expiresAt !== null && expiresAt < first) first = expiresAt
  return first === Infinity ? null : first
}

/** Adds a notification; `undefined` when the inbox is full and refuses it. */
export const push = (
  given: InboxState,
  { expiresAt, key, kind, payload, replaces }: Arrival,
  now: number,
  { capacity, whenFull }: Bounds
): Outcome | undefined => {
  const state = fresh(given, now)
  let goes = key === null ? -1 : state.findLast((item) => item.key === key)
  if (goes >= 0 && !replaces) return { state, id: state.at(goes).id, isNew: false }
  if (goes < 0 && state.size >= capacity) {
    if (whenFull === "reject") return undefined
    goes = toDrop(state, whenFull)
  }
  const id = state.lastId + 1
  const at = Math.max(now, state.lastAt)
  return { state: state.push({ id, kind, at, readAt: null, key, expiresAt, payload }, goes), id, isNew: true }
}

/** Fits stored contents into a capacity that was reduced since. */
export const fit = (given: InboxState, { capacity, whenFull }: Bounds): Contents => {
  let state = Contents.of(given)
  if (whenFull === "reject") return state
  while (state.size > capacity) {
    const drops = state.at(toDrop(state, whenFull))
    state = state.remove((item) => item === drops)
  }
  return state
}

/** The place of the notification that makes room for another one. */
const toDrop = (state: Contents, whenFull: "dropOldest" | "dropRead"): number =>
  whenFull === "dropOldest" || state.unread === state.size ? 0 : state.findFirst(({ readAt }) => readAt !== null)
