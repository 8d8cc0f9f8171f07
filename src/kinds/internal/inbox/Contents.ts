/**
 * The contents of an inbox: an immutable value.
 *
 * With an array, each push would copy all notifications. Instead the contents before and after a push share one array that
 * only grows at its end, and each knows which slice of it is its own: a push costs the same whatever the inbox holds. The
 * array is copied, without what was dropped from its front, when that exceeds half of what is left.
 */
import type { Kinds, Notification, State } from "../../Inbox.ts"

/** A notification, whatever its kind. */
export type Item = Notification<Kinds>

/** The state of an inbox, whatever its kinds. */
export type InboxState = State<Kinds>

/** How many dropped notifications a short array may have in front. */
const slack = 8

export class Contents implements InboxState {
  readonly lastId: number
  readonly unread: number
  readonly alarmAt: number | null
  /** When the newest was pushed. */
  readonly lastAt: number
  /** Shared with the contents before and after; what is after `end` belongs to others. */
  private readonly shared: Array<Item>
  private readonly start: number
  private readonly end: number
  private listed: ReadonlyArray<Item> | undefined = undefined

  private constructor(
    lastId: number,
    unread: number,
    alarmAt: number | null,
    lastAt: number,
    shared: Array<Item>,
    start: number,
    end: number
  ) {
    this.lastId = lastId
    this.unread = unread
    this.alarmAt = alarmAt
    this.lastAt = lastAt
    this.shared = shared
    this.start = start
    this.end = end
  }

  static empty(lastId: number): Contents {
    return new Contents(lastId, 0, null, 0, [], 0, 0)
  }

  static of(state: InboxState): Contents {
    if (state instanceof Contents) return state
    const { alarmAt, lastId, notifications, unread } = state
    const lastAt = notifications.at(-1)?.at ?? 0
    return new Contents(lastId, unread, alarmAt, lastAt, notifications.slice(), 0, notifications.length)
  }

  get notifications(): ReadonlyArray<Item> {
    return this.listed ??= this.shared.slice(this.start, this.end)
  }

  get size(): number {
    return this.end - this.start
  }

  /** The notification at a place, counted from the oldest. */
  at(place: number): Item {
    return this.shared[this.start + place]!
  }

  /** The newest place whose notification satisfies the predicate; -1 when there is none. */
  findLast(holds: (item: Item) => boolean): number {
    for (let place = this.size - 1; place >= 0; place--) if (holds(this.at(place))) return place
    return -1
  }

  /** The oldest place whose notification satisfies the predicate; -1 when there is none. */
  findFirst(holds: (item: Item) => boolean): number {
    for (let place = 0; place < this.size; place++) if (holds(this.at(place))) return place
    return -1
  }

  /** Adds an unread notification. The one at the place `goes` is removed, unless that is -1. */
  push(comes: Item, goes: number): Contents {
    if (goes > 0) return this.remove((item) => item === this.at(goes)).push(comes, -1)
    const { alarmAt, end, shared } = this
    const { at, id } = comes
    // Reads the oldest only where needed: it is cold memory.
    const dropsUnread = goes === 0 && (this.unread === this.size || this.at(0).readAt === null)
    const unread = dropsUnread ? this.unread : this.unread + 1
    const start = this.start + goes + 1
    // Copies when other contents went on from here already, or when too much was dropped from the front.
    if (shared.length !== end || start > slack + (end - start) / 2) {
      const own = shared.slice(start, end)
      own.push(comes)
      return new Contents(id, unread, alarmAt, at, own, 0, own.length)
    }
    shared.push(comes)
    return new Contents(id, unread, alarmAt, at, shared, start, end + 1)
  }

  /** Removes those that are `gone`; the same object when there are none. */
  remove(gone: (item: Item) => boolean): Contents {
    const { alarmAt, lastAt, lastId, notifications } = this
    const left = notifications.filter((item) => !gone(item))
    return left.length === notifications.length
      ? this
      : new Contents(lastId, unreadOf(left), alarmAt, lastAt, left, 0, left.length)
  }

  /** Marks those that match as read; the same object when none of them was unread. */
  read(readAt: number, matches: (item: Item) => boolean): Contents {
    const { alarmAt, lastAt, lastId, unread } = this
    if (unread === 0) return this
    const items = this.notifications.map((item) =>
      item.readAt === null && matches(item) ? { ...item, readAt: Math.max(readAt, item.at) } : item
    )
    const left = unreadOf(items)
    return left === unread ? this : new Contents(lastId, left, alarmAt, lastAt, items, 0, items.length)
  }

  withAlarm(alarmAt: number | null): Contents {
    const { end, lastAt, lastId, shared, start, unread } = this
    return alarmAt === this.alarmAt ? this : new Contents(lastId, unread, alarmAt, lastAt, shared, start, end)
  }

  toJSON(): InboxState {
    const { alarmAt, lastId, notifications, unread } = this
    return { lastId, unread, alarmAt, notifications }
  }
}

const unreadOf = (items: ReadonlyArray<Item>): number => {
  let count = 0
  for (const { readAt } of items) if (readAt === null) count++
  return count
}
