/**
 * The kind of session that a group is: its state and its messages.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Session from "../../../contract/Session.ts"
import type { Kind } from "../../Groups.ts"

/**
 * The state of a group: its members by id. `true`: a member until it leaves; `false`: while a Scope holds it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const State = Schema.Struct({ members: Schema.HashMap(Schema.String, Schema.Boolean) })

/**
 * The state of a group.
 *
 * @since 0.1.0
 * @category models
 */
export type State = typeof State.Type

/**
 * The outcome of a broadcast, in numbers of members:
 *
 * - `delivered`: the mailbox of the member accepted it;
 * - `waiting`: it waits for room in the mailbox, or for the member to be loaded from the store;
 * - `missed`: it was refused by the overflow policy of the message, the message rate or a full lane, which are events
 *   (`CommunicationError`, `RateLimitExceeded`); or the member has ended and is removed from the group.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Sent = Schema.Struct({ delivered: Schema.Int, waiting: Schema.Int, missed: Schema.Int })

/**
 * The outcome of a broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export type Sent = typeof Sent.Type

/** One of the members' messages. */
const messageOf = (members: Session.Any) =>
  Schema.Union(
    Array.from(members.protocol.values(), (message) =>
      Schema.Struct({
        tag: Schema.Literal(message._tag),
        payload: (message as Rpc.AnyWithProps).payloadSchema,
        except: Schema.Array(Schema.String)
      }))
  )

/** Defines the kind. */
export const makeKind = <const Name extends string>(name: Name, members: Session.Any) =>
  Session.Service<Kind<Name>>()(name, {
    state: State,
    protocol: [
      // Replies `false` when the group is about to end: its successor takes the member. The owner is the process that sends it.
      Rpc.make("Join", {
        payload: { member: Schema.String, stays: Schema.Boolean, owner: Schema.String },
        success: Schema.Boolean
      }),
      // With `held`, only the membership of Scopes ends. Replies whether the member left.
      Rpc.make("Leave", {
        payload: { member: Schema.String, held: Schema.Boolean, owner: Schema.String },
        success: Schema.Boolean
      }),
      // Renews the lease of another process, whose Scopes hold these members. Replies which of them have left since, or
      // `null` when the group is about to end.
      Rpc.make("Hold", {
        payload: { owner: Schema.String, members: Schema.Array(Schema.String) },
        success: Schema.NullOr(Schema.Array(Schema.String))
      }),
      // The timer of the leases.
      Rpc.make("Lapse"),
      Rpc.make("Members", { success: State.fields.members }),
      Rpc.make("Broadcast", { payload: messageOf(members), success: Sent }),
      // These members have ended.
      Rpc.make("Gone", { payload: Schema.Array(Schema.String) }),
      // The timer of the periodic check.
      Rpc.make("Check"),
      // The timer of a group without members.
      Rpc.make("Retire")
    ]
  })
