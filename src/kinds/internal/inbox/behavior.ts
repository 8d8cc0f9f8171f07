/**
 * How an inbox handles its messages. All are pure, but for a push that needs the alarm to ring earlier than it would.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Session from "../../../contract/Session.ts"
import { SessionEvents } from "../../../runtime/SessionEvents.ts"
import { InboxFull, InvalidNotification } from "../../InboxError.ts"
import { makeValueCheck, type ValueCheck } from "../valueCheck.ts"
import { Contents, type InboxState, type Item } from "./Contents.ts"
import { type Bounds, emptyInbox, firstExpiry, fit, fresh, isExpired, type Outcome, push } from "./state.ts"

/** The rules of one kind of notification. */
export interface KindRules {
  /** In milliseconds; `null`: never. */
  readonly expireAfter: number | null
  readonly replaces: boolean
}

export interface InboxSettings extends Bounds {
  readonly rules: ReadonlyMap<string, KindRules>
}

/** A push, as a message. */
export interface PushRequest {
  readonly kind: string
  readonly payload: unknown
  readonly key?: string
  /** In milliseconds; `null`: never. */
  readonly expireAfter?: number | null
  readonly onDuplicate?: "keep" | "replace"
}

/** Which notifications are meant. */
export interface Filter {
  readonly kinds?: ReadonlyArray<string> | undefined
}

export interface ListRequest extends Filter {
  readonly unread?: boolean | undefined
  readonly before?: number | undefined
  readonly limit?: number | undefined
}

export interface ClearRequest extends Filter {
  readonly read?: boolean | undefined
}

type Turn<Payload> = Session.Turn<InboxState, Payload, any>

type Answer<Reply> = readonly [state: InboxState, reply: Reply]

interface Definition {
  readonly kind: { readonly kind: string }
  readonly kinds: Readonly<Record<string, Schema.Top>>
}

export const matches = ({ kinds }: Filter, { kind }: Item): boolean => kinds === undefined || kinds.includes(kind)

/** How many are unread, the expired ones left out even when the alarm is late. */
export const unreadCount = (state: InboxState, filter: Filter, now: number): number => {
  const { notifications, unread } = fresh(state, now)
  if (filter.kinds === undefined) return unread
  let count = 0
  for (const item of notifications) if (item.readAt === null && matches(filter, item)) count++
  return count
}

export const makeBehavior = ({ kind: { kind: inbox }, kinds }: Definition, settings: InboxSettings) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const events = Option.getOrUndefined(yield* Effect.serviceOption(SessionEvents))
    const known = new Map(
      Object.entries(kinds).map(([kind, schema]) => [kind, new Type(schema, settings.rules.get(kind)!)])
    )

    const ringAt = (self: Session.Self, at: number, time: number): Effect.Effect<unknown> =>
      self.after(Math.max(0, at - time), "Expire", undefined, { key: "expire" })

    const pushed = (
      { payload: request, self, state }: Turn<PushRequest>
    ): Answer<PushReply> | Effect.Effect<Answer<PushReply>, InboxFull | InvalidNotification> => {
      const { expireAfter, key = null, kind, onDuplicate, payload } = request
      const type = known.get(kind)
      if (type === undefined || !type.fits(payload)) return refuse(kind, type, payload)
      const { rules } = type
      // When it was told last to do something, which is this.
      const time = self.lastActiveAt
      const lasts = expireAfter === undefined ? rules.expireAfter : lifetime(expireAfter)
      const outcome = push(
        state,
        {
          kind,
          payload,
          key,
          expiresAt: lasts === null ? null : time + lasts,
          replaces: onDuplicate === undefined ? rules.replaces : onDuplicate === "replace"
        },
        time,
        settings
      )
      if (outcome === undefined) return Effect.suspend(() => InboxFull.of(inbox, self.id, settings.capacity))
      if (events?.active === true) {
        const { id: notificationId, isNew } = outcome
        events.publish({
          _tag: "Notification",
          kind: inbox,
          id: self.id,
          at: time,
          notification: kind,
          notificationId,
          isNew
        })
      }
      return accepted(self, outcome, lasts, time)
    }

    /** Sees to it that the alarm rings in time, which it mostly does already. */
    const accepted = (
      self: Session.Self,
      { id, isNew, state }: Outcome,
      lasts: number | null,
      time: number
    ): Answer<PushReply> | Effect.Effect<Answer<PushReply>> => {
      const reply = { id, isNew }
      const { alarmAt } = state
      if (!isNew || lasts === null || (alarmAt !== null && alarmAt <= time + lasts)) return [state, reply]
      const at = time + lasts
      return Effect.as(ringAt(self, at, time), [state.withAlarm(at), reply] as const)
    }

    const refuse = (
      notification: string,
      type: Type | undefined,
      payload: unknown
    ): Effect.Effect<never, InvalidNotification> =>
      Effect.suspend(() => {
        const why = type === undefined
          ? `the inbox ${inbox} has no such notifications (known: ${Array.from(known.keys()).join(", ")})`
          : type.explain(payload)
        return Effect.fail(
          new InvalidNotification({ notification, message: `the notification ${notification} does not fit: ${why}` })
        )
      })

    const read = (state: InboxState, match: (item: Item) => boolean): Answer<number> => {
      const time = now()
      const before = fresh(state, time)
      const after = before.read(time, match)
      return [after, before.unread - after.unread]
    }

    const remove = (state: InboxState, gone: (item: Item) => boolean): Answer<number> => {
      const before = fresh(state, now())
      const after = before.remove(gone)
      return [after, before.size - after.size]
    }

    return {
      init: ({ self }: Session.Start<void, any>) => emptyInbox(self.epoch),
      restore: ({ state }: Session.Restore<InboxState, any>) => fit(state, settings),
      handlers: {
        Push: pushed,
        List: ({ payload, state }: Turn<ListRequest>): Answer<ReadonlyArray<Item>> => [
          state,
          list(Contents.of(state), payload, now())
        ],
        Unread: ({ payload, state }: Turn<Filter>): Answer<number> => [state, unreadCount(state, payload, now())],
        Read: ({ payload: { ids }, state }: Turn<{ readonly ids: ReadonlyArray<number> }>) => {
          const meant = new Set(ids)
          return read(state, ({ id }) => meant.has(id))
        },
        ReadUpTo: ({ payload: { id, ...filter }, state }: Turn<Filter & { readonly id: number }>) =>
          read(state, (item) => item.id <= id && matches(filter, item)),
        ReadAll: ({ payload: filter, state }: Turn<Filter>) => read(state, (item) => matches(filter, item)),
        Remove: ({ payload: { ids }, state }: Turn<{ readonly ids: ReadonlyArray<number> }>) => {
          const meant = new Set(ids)
          return remove(state, ({ id }) => meant.has(id))
        },
        Clear: ({ payload: { read, ...filter }, state }: Turn<ClearRequest>) =>
          remove(state, (item) => (read !== true || item.readAt !== null) && matches(filter, item)),
        Expire: ({ self, state }: Turn<void>) => {
          const time = now()
          const left = fresh(state, time)
          const alarmAt = firstExpiry(left)
          const next = left.withAlarm(alarmAt)
          return alarmAt === null ? [next] as const : Effect.as(ringAt(self, alarmAt, time), [next] as const)
        }
      }
    }
  })

/** A kind of notification. */
class Type {
  readonly rules: KindRules
  private readonly check: ValueCheck
  /** The last one that was found to fit: what goes to many users is checked once. */
  private last: unknown = unchecked

  constructor(schema: Schema.Top, rules: KindRules) {
    this.rules = rules
    this.check = makeValueCheck(schema, { json: true })
  }

  fits(payload: unknown): boolean {
    if (payload === this.last) return true
    if (!this.check.fits(payload)) return false
    this.last = payload
    return true
  }

  explain(payload: unknown): string {
    return this.check.explain(payload)
  }
}

const unchecked = Symbol()

interface PushReply {
  readonly id: number
  readonly isNew: boolean
}

/** A notification lasts a millisecond at least. */
const lifetime = (millis: number | null): number | null =>
  millis === null || millis === Infinity ? null : millis >= 1 ? millis : 1

const list = (state: Contents, request: ListRequest, now: number): ReadonlyArray<Item> => {
  const { before = Infinity, limit = Infinity, unread } = request
  const found: Array<Item> = []
  for (let place = state.size - 1; place >= 0 && found.length < limit; place--) {
    const item = state.at(place)
    if (item.id >= before || isExpired(item, now) || (unread === true && item.readAt !== null)) continue
    if (matches(request, item)) found.push(item)
  }
  return found
}
