/**
 * The kind of session that an inbox is: its state and its messages, with the schemas of its notifications.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Session from "../../../contract/Session.ts"
import type { Kinds, Sessions } from "../../Inbox.ts"
import { InboxFull, InvalidNotification } from "../../InboxError.ts"

/**
 * The reply to a push. When `isNew` is `false`, the inbox had a notification with the same key, and still has it: `id` is
 * the id of that one.
 *
 * @since 0.1.0
 * @category models
 */
export const Pushed = Schema.Struct({ id: Schema.Int, isNew: Schema.Boolean })

/**
 * The reply to a push.
 *
 * @since 0.1.0
 * @category models
 */
export type Pushed = typeof Pushed.Type

const Ids = Schema.Struct({ ids: Schema.Array(Schema.Int) })

/** Defines the kind, and the schema of a notification of any kind. */
export const makeKind = <const Name extends string>(name: Name, kinds: Kinds) => {
  const names = Object.keys(kinds)
  if (names.length === 0) throw new TypeError(`inbox ${name} has no kinds of notifications`)
  const filter = { kinds: Schema.optional(Schema.Array(Schema.Literals(names))) }
  const each = <S extends Schema.Top>(make: (kind: string, payload: Schema.Top) => S) =>
    Schema.Union(Object.entries(kinds).map(([kind, payload]) => make(kind, payload)))
  const Notification = each((kind, payload) =>
    Schema.Struct({
      id: Schema.Int,
      kind: Schema.Literal(kind),
      at: Schema.Finite,
      readAt: Schema.NullOr(Schema.Finite),
      key: Schema.NullOr(Schema.String),
      expiresAt: Schema.NullOr(Schema.Finite),
      payload
    })
  )
  const Push = each((kind, payload) =>
    Schema.Struct({
      kind: Schema.Literal(kind),
      payload,
      key: Schema.optionalKey(Schema.String),
      expireAfter: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
      onDuplicate: Schema.optionalKey(Schema.Literals(["keep", "replace"]))
    })
  )
  const kind = Session.Service<Sessions<Name>>()(name, {
    state: Schema.Struct({
      lastId: Schema.Int,
      unread: Schema.Int,
      alarmAt: Schema.NullOr(Schema.Finite),
      notifications: Schema.Array(Notification)
    }),
    protocol: [
      Rpc.make("Push", {
        payload: Push,
        success: Pushed,
        error: Schema.Union([InboxFull, InvalidNotification])
      }),
      Rpc.make("List", {
        payload: Schema.Struct({
          ...filter,
          unread: Schema.optional(Schema.Boolean),
          before: Schema.optional(Schema.Int),
          limit: Schema.optional(Schema.Int)
        }),
        success: Schema.Array(Notification)
      }),
      Rpc.make("Unread", { payload: Schema.Struct(filter), success: Schema.Int }),
      Rpc.make("Read", { payload: Ids, success: Schema.Int }),
      Rpc.make("ReadUpTo", { payload: Schema.Struct({ ...filter, id: Schema.Int }), success: Schema.Int }),
      Rpc.make("ReadAll", { payload: Schema.Struct(filter), success: Schema.Int }),
      Rpc.make("Remove", { payload: Ids, success: Schema.Int }),
      Rpc.make("Clear", {
        payload: Schema.Struct({ ...filter, read: Schema.optional(Schema.Boolean) }),
        success: Schema.Int
      }),
      // The alarm of the first notification that expires.
      Rpc.make("Expire")
    ]
  })
  return { kind, Notification }
}
