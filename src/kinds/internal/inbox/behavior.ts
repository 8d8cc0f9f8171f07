/**
 * How an inbox handles its messages. Handlers are pure, except a push that must set the alarm to an earlier time.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Session from "../../../contract/Session.ts"
import { SessionEvents } from "../../../runtime/SessionEvents.ts"
import type { AnyDefinition, Filter, Kinds, Protocol, Pushed, PushRequest, Query } from "../../Inbox.ts"
import { InboxFull, InvalidNotification } from "../../InboxError.ts"
import { makeValueCheck, type ValueCheck } from "../valueCheck.ts"
import { Contents, type InboxState, type Item } from "./Contents.ts"
import type { KindRules, Settings } from "./options.ts"
import { emptyInbox, firstExpiry, fit, fresh, isExpired, type Outcome, push } from "./state.ts"

type Self = Session.Self<Protocol<Kinds>>

interface NotificationKind {
  readonly rules: KindRules
  readonly check: ValueCheck
}

type Answer<Reply> = readonly [state: InboxState, reply: Reply]

export const matches = ({ kinds }: Filter<string>, { kind }: Item): boolean =>
  kinds === undefined || kinds.includes(kind)

/** How many are unread. Expired ones do not count, even when the alarm is late. */
export const unreadCount = (state: InboxState, filter: Filter<string>, now: number): number => {
  const { notifications, unread } = fresh(state, now)
  if (filter.kinds === undefined) return unread
  let count = 0
  for (const item of notifications) if (item.readAt === null && matches(filter, item)) count++
  return count
}

export const makeBehavior = ({ kind: { behavior, kind: inbox }, kinds }: AnyDefinition, settings: Settings) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const now = () => clock.currentTimeMillisUnsafe()
    const events = Option.getOrUndefined(yield* Effect.serviceOption(SessionEvents))
    const known = new Map(
      Object.entries(kinds).map(([kind, schema]): [string, NotificationKind] => [kind, {
        rules: settings.rules.get(kind)!,
        check: makeValueCheck(schema, { json: true })
      }])
    )

    const ringAt = (self: Self, at: number, time: number): Effect.Effect<unknown> =>
      self.after(Math.max(0, at - time), "Expire", undefined, { key: "expire" })

    const pushed = (
      { payload: request, self, state }: Session.Turn<InboxState, PushRequest<Kinds>, Protocol<Kinds>>
    ): Answer<Pushed> | Effect.Effect<Answer<Pushed>, InboxFull | InvalidNotification> => {
      const { expireAfter, key = null, kind, onDuplicate, payload } = request
      const type = known.get(kind)
      if (type === undefined || !type.check.fits(payload)) return refuse(kind, type, payload)
      if (key !== null && typeof key !== "string") return refuse(kind, type, payload, "its key is not a string")
      const { rules } = type
      // The time of this message: the session was active last when it took it.
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

    /** Sets the alarm when the notification expires before it; mostly it does not. */
    const accepted = (
      self: Self,
      { id, isNew, state }: Outcome,
      lasts: number | null,
      time: number
    ): Answer<Pushed> | Effect.Effect<Answer<Pushed>> => {
      const reply = { id, isNew }
      const { alarmAt } = state
      if (!isNew || lasts === null || (alarmAt !== null && alarmAt <= time + lasts)) return [state, reply]
      const at = time + lasts
      return Effect.as(ringAt(self, at, time), [state.withAlarm(at), reply] as const)
    }

    const refuse = (
      notification: string,
      type: NotificationKind | undefined,
      payload: unknown,
      reason?: string
    ): Effect.Effect<never, InvalidNotification> =>
      Effect.suspend(() => {
        const why = type === undefined
          ? `the inbox ${inbox} has no such kind (known: ${Array.from(known.keys()).join(", ")})`
          : reason ?? type.check.explain(payload)
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

    return behavior({
      init: ({ self }) => emptyInbox(self.epoch),
      restore: ({ state }) => fit(state, settings),
      handlers: {
        Push: pushed,
        List: ({ payload, state }) => [state, list(Contents.of(state), payload, now())],
        Unread: ({ payload, state }) => [state, unreadCount(state, payload, now())],
        Read: ({ payload: { ids }, state }) => {
          const meant = new Set(ids)
          return read(state, ({ id }) => meant.has(id))
        },
        ReadUpTo: ({ payload: { id, ...filter }, state }) =>
          read(state, (item) => item.id <= id && matches(filter, item)),
        ReadAll: ({ payload: filter, state }) => read(state, (item) => matches(filter, item)),
        Remove: ({ payload: { ids }, state }) => {
          const meant = new Set(ids)
          return remove(state, ({ id }) => meant.has(id))
        },
        Clear: ({ payload: { read, ...filter }, state }) =>
          remove(state, (item) => (read !== true || item.readAt !== null) && matches(filter, item)),
        Expire: ({ self, state }) => {
          const time = now()
          const left = fresh(state, time)
          const alarmAt = firstExpiry(left)
          const next = left.withAlarm(alarmAt)
          return alarmAt === null ? [next] : Effect.as(ringAt(self, alarmAt, time), [next] as const)
        }
      }
    })
  })

/** A notification stays for at least a millisecond. */
const lifetime = (millis: number | null): number | null =>
  millis === null || millis === Infinity ? null : millis >= 1 ? millis : 1

const list = (state: Contents, query: Query<string>, now: number): ReadonlyArray<Item> => {
  const { before = Infinity, limit = Infinity, unread } = query
  const found: Array<Item> = []
  for (let place = state.size - 1; place >= 0 && found.length < limit; place--) {
    const item = state.at(place)
    if (item.id >= before || isExpired(item, now) || (unread === true && item.readAt !== null)) continue
    if (matches(query, item)) found.push(item)
  }
  return found
}
