/**
 * The handlers of the endpoints about other people in the shop.
 */
import { DateTime, Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { Inboxes, type Notification } from "./Inboxes.ts"
import { Senders } from "./Senders.ts"
import { ShopApi } from "./ShopApi.ts"
import * as ShopError from "./ShopError.ts"
import { inOrder, shop, Shoppers } from "./Shoppers.ts"
import { loggedIn, visit } from "./Visitor.ts"

const shown = ({ at, id, kind, payload, readAt }: Notification) => ({
  from: null,
  ...payload,
  id,
  kind,
  at: DateTime.makeUnsafe(at),
  readAt: readAt === null ? null : DateTime.makeUnsafe(readAt)
})

export const PeopleHandlers = HttpApiBuilder.group(
  ShopApi,
  "people",
  Effect.fn(function*(handlers) {
    const inboxes = yield* Inboxes
    const senders = yield* Senders
    const shoppers = yield* Shoppers

    return handlers.handleAll({
      presence: Effect.fn("presence")(function*() {
        return inOrder(yield* shoppers.list(shop)).map(({ devices, key, name }) => ({
          key,
          name,
          devices: devices.map(({ agent, since }) => ({ agent, since: DateTime.makeUnsafe(since) }))
        }))
      }, Effect.orDie),
      push: Effect.fn("push")(
        function*({ payload: { kind, text, user } }) {
          const sender = yield* (yield* visit).info
          yield* senders.admit(sender.user ?? sender.id)
          const { id } = yield* Effect.catch(
            inboxes.push(user, kind, { from: sender.user ?? null, text }),
            ShopError.fromInbox
          )
          return { id }
        },
        Effect.catchTag("SessionNotFound", ShopError.fromCall),
        ShopError.orUnavailable
      ),
      notifications: Effect.fn("notifications")(function*() {
        const { user } = yield* loggedIn
        const notifications = yield* Effect.catch(inboxes.list(user), ShopError.fromInbox)
        return {
          unread: notifications.filter(({ readAt }) => readAt === null).length,
          notifications: notifications.map(shown)
        }
      }),
      read: Effect.fn("read")(function*({ payload: { ids } }) {
        const { user } = yield* loggedIn
        const read = yield* Effect.catch(inboxes.read(user, ids), ShopError.fromInbox)
        return { read, unread: yield* Effect.catch(inboxes.unread(user), ShopError.fromInbox) }
      })
    })
  })
)
