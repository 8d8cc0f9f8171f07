/**
 * What becomes of an inbox. Pure.
 */
import { Contents, type InboxState, type Item } from "./Contents.ts"

export interface Bounds {
  readonly capacity: number
  readonly whenFull: "dropOldest" | "dropRead" | "reject"
}

/** What is pushed. */
export interface Arrival {
  readonly kind: string
  readonly payload: unknown
  readonly key: string | null
  readonly expiresAt: number | null
  /** Does it take the place of one with the same key? */
  readonly replaces: boolean
}

export interface Outcome {
  readonly state: Contents
  readonly id: number
  readonly isNew: boolean
}

/** How many ids an incarnation can give in a millisecond of its life before they would reach those of the next one. */
const idsPerMillisecond = 1_000

/** Epochs grow with the clock, so that an inbox that begins anew gives ids that it has never given. */
export const emptyInbox = (epoch: number): Contents => Contents.empty(epoch * idsPerMillisecond)

export const isExpired = ({ expiresAt }: Item, now: number): boolean => expiresAt !== null && expiresAt <= now

/** Without those that have expired. */
export const fresh = (state: InboxState, now: number): Contents => {
  const contents = Contents.of(state)
  return contents.alarmAt === null || now < contents.alarmAt
    ? contents
    : contents.remove((item) => isExpired(item, now))
}

/** When the first of the notifications expires. */
export const firstExpiry = ({ notifications }: InboxState): number | null => {
  let first = Infinity
  for (const { expiresAt } of notifications) if (expiresAt !== null && expiresAt < first) first = expiresAt
  return first === Infinity ? null : first
}

/** With a notification more; `undefined` when there is no room for it. */
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

/** What was kept when there was room for more of it. */
export const fit = (given: InboxState, { capacity, whenFull }: Bounds): Contents => {
  let state = Contents.of(given)
  if (whenFull === "reject") return state
  while (state.size > capacity) {
    const drops = state.at(toDrop(state, whenFull))
    state = state.remove((item) => item === drops)
  }
  return state
}

/** Which one makes room. */
const toDrop = (state: Contents, whenFull: "dropOldest" | "dropRead"): number =>
  whenFull === "dropOldest" || state.unread === state.size ? 0 : state.findFirst(({ readAt }) => readAt !== null)
