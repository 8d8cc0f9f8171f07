/**
 * Groups of sessions: rooms, teams, visitors of the same page.
 *
 * The members of a group are sessions of one kind, and a broadcast to them is one of that kind's own messages, typed by its
 * protocol. A group is itself a session whose id is the group's name. It handles messages in order, so all members get the
 * broadcasts of a group in the same order, and those of one sender in the order in which they were sent.
 *
 * **When to use.** To send a message to many live sessions. To show who is there use `Presence`; to reach users who may be
 * offline use `Inbox`.
 *
 * ```ts
 * class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Visit }) {}
 * const RoomsLayer = Groups.layer(Rooms)
 *
 * const rooms = yield* Rooms
 * yield* rooms.join("lobby", visit.id)
 * const { delivered, missed } = yield* rooms.broadcast("lobby", "Notify", "hello")
 * ```
 *
 * **Delivery.** A broadcast is cast to each member, subject to the overflow policy of the message. When that policy is to
 * wait, a member with a full mailbox delays nobody else: messages to it wait in its own lane, in order, until its mailbox has
 * room. Lanes are bounded and shared by all groups of the kind. A message that waited and could not be delivered becomes a
 * dead letter.
 *
 * **Membership.** A session is a member until it leaves or ends. The group notices an end at its next broadcast, when
 * `members` is called, or at its periodic check. A session that is started again under the same id before that is still a
 * member. A member that is in the store only stays a member: a broadcast loads it.
 *
 * **Lifetime.** A group starts with its first member and does not expire while it has members; `idleTimeout` is how long it
 * stays without any. It counts towards `maxSessions`, not towards the start rate. With `snapshots`, members are members again
 * after a restart of the server, except those that joined with `joinScoped`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { KindOptions } from "../contract/KindOptions.ts"
import type * as Session from "../contract/Session.ts"
import type { CallError, InvalidConfig, SessionNotFound, StartError } from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import type { Message, PayloadArg, SessionRef, Tag } from "../contract/SessionRef.ts"
import type { Sessions } from "../runtime/Sessions.ts"
import { makeKind, Sent, State } from "./internal/groups/definition.ts"
import { makeLayer } from "./internal/groups/service.ts"

export { Sent, State }

/**
 * Options of a broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastOptions {
  /** Ids of sessions that do not get it, such as the sender. They do not count in `Sent`. */
  readonly except?: ReadonlyArray<string> | undefined
}

/**
 * The messages of a group. The service sends them; they are not for clients: do not expose them in live views.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol =
  | Rpc.Rpc<
    "Join",
    Schema.Codec<{ readonly member: string; readonly stays: boolean; readonly owner: string }, any>,
    Schema.Boolean
  >
  | Rpc.Rpc<
    "Leave",
    Schema.Codec<{ readonly member: string; readonly held: boolean; readonly owner: string }, any>,
    Schema.Boolean
  >
  | Rpc.Rpc<
    "Hold",
    Schema.Codec<{ readonly owner: string; readonly members: ReadonlyArray<string> }, any>,
    Schema.Codec<ReadonlyArray<string> | null>
  >
  | Rpc.Rpc<"Lapse", Schema.Void>
  | Rpc.Rpc<"Members", Schema.Void, Schema.Codec<State["members"], any>>
  | Rpc.Rpc<"Gone", Schema.Codec<ReadonlyArray<string>, any>>
  | Rpc.Rpc<"Check", Schema.Void>
  | Rpc.Rpc<"Retire", Schema.Void>
  | Rpc.Rpc<
    "Broadcast",
    Schema.Codec<{ readonly tag: string; readonly payload: unknown; readonly except: ReadonlyArray<string> }, any>,
    typeof Sent
  >

/**
 * A kind whose sessions can be members.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyKind = Session.Any & Context.Key<any, any>

/**
 * Identifies the sessions of the groups in the context; the Layer of a definition provides them too.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface Kind<in out Name extends string> {
  readonly "~effect-sessions/Groups/Kind": Name
}

/**
 * Why an operation on a group fails: the group cannot be started or loaded, or does not answer.
 *
 * @since 0.1.0
 * @category errors
 */
export type GroupError = StartError | Exclude<CallError, SessionNotFound>

/**
 * The service of a definition: its groups. A group that does not exist is a group without members.
 *
 * @since 0.1.0
 * @category models
 */
export interface Groups<in out P extends Rpc.Any> {
  /**
   * Makes a session a member until it leaves or ends. Fails with `SessionNotFound` when there is no such session. Does
   * nothing when it is a member already.
   */
  join(group: string, member: string): Effect.Effect<void, GroupError | SessionNotFound>

  /**
   * Makes a session a member until the Scope closes, such as that of a socket. It leaves when the last such Scope closes,
   * unless it joined with `join`, too.
   */
  joinScoped(group: string, member: string): Effect.Effect<void, GroupError | SessionNotFound, Scope.Scope>

  /** Ends a membership, however it began. `false` when there was none. */
  leave(group: string, member: string): Effect.Effect<boolean, GroupError>

  /** The members that exist, in no particular order. Looks up each of them. */
  members(group: string): Effect.Effect<ReadonlyArray<string>, GroupError>

  /** `true` for a member, even one that has ended since the last check. */
  has(group: string, member: string): Effect.Effect<boolean, GroupError>

  /** The number of members, including those that have ended since the last check. */
  size(group: string): Effect.Effect<number, GroupError>

  /** The session of a group, started if needed: to watch it, and for live views. */
  group(group: string): Effect.Effect<SessionRef<State, Protocol>, StartError>

  /**
   * Sends a message to all present members. When it returns, the message is delivered to, waits for, or was missed by each of
   * them: `Sent` has the numbers.
   */
  broadcast<const T extends Tag<P>>(
    group: string,
    tag: T,
    ...args: [...payload: PayloadArg<Message<P, T>>, options?: BroadcastOptions]
  ): Effect.Effect<Sent, GroupError>

  /** Sends a message to all live sessions of the kind that belong to a user, in groups or not. */
  broadcastToUser<const T extends Tag<P>>(
    user: string,
    tag: T,
    ...args: [...payload: PayloadArg<Message<P, T>>, options?: BroadcastOptions]
  ): Effect.Effect<Sent>

  /** Sends a message to all live sessions of the kind, in groups or not. */
  broadcastToAll<const T extends Tag<P>>(
    tag: T,
    ...args: [...payload: PayloadArg<Message<P, T>>, options?: BroadcastOptions]
  ): Effect.Effect<Sent>
}

/**
 * A definition: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<in out Self, Name extends string, M extends AnyKind>
  extends Context.ServiceClass<Self, `effect-sessions/groups/${Name}`, Groups<Session.Protocol<M>>>
{
  /** The kind of session that a group is, for live views. The id of a session is the group's name. */
  readonly kind: Session.Definition<
    Kind<Name>,
    Name,
    typeof State,
    Protocol,
    typeof Schema.Void,
    typeof Schema.Never
  >
  /** The kind of the members. */
  readonly members: M
}

/**
 * Any definition, whatever its members.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyDefinition = Definition<any, any, any>

/**
 * Defines groups: their name, which also names the kind of their sessions, and the kind of their members. Give it a Layer
 * with `layer`. A malformed name is a defect of the program and throws at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<const Name extends string, M extends AnyKind>(
  name: Name,
  options: { readonly members: M }
): Definition<Self, Name, M> => {
  const { members } = options
  const definition = Context.Service<Self, never>()(`effect-sessions/groups/${name}`)
  return Object.assign(definition, { kind: makeKind(name, members), members }) as never
}

/**
 * Options of groups, and of their sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<KindOptions<Tag<Protocol>>, "limitStarts"> {
  /** How long a group without members stays. Default: 1 minute. */
  readonly idleTimeout?: Duration.Input | undefined
  /** Ends a group this long after its start, with or without members. Default: never, whatever the configuration says. */
  readonly absoluteTimeout?: Duration.Input | undefined
  /** How many messages may wait for one member with a full mailbox. Default: 1,000. */
  readonly laneCapacity?: number | undefined
  /** How often a group checks that its members still exist; `"Infinity"`: never. Default: 10 minutes. */
  readonly checkEvery?: Duration.Input | undefined
  /**
   * On a cluster, how long members that joined with `joinScoped` on another node stay when that node does not renew its
   * lease. It renews each lease, one per group, three times within this time. At least 1 second. Default: 30 seconds.
   */
  readonly lease?: Duration.Input | undefined
}

/**
 * Registers the kind of the groups, and provides the service. Fails with `InvalidConfig` when an option is not usable.
 *
 * Requires the kind of the members. When that kind has `snapshots`, provide the `SnapshotStore` here as well: then a check
 * of members that are in the store only does not load them.
 *
 * When the Layer closes, waiting messages have the configured `shutdownGrace` to be delivered; the rest becomes dead letters.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, Name extends string, M extends AnyKind>(
  definition: Definition<Self, Name, M>,
  options?: Options
): Layer.Layer<
  Self | Kind<Name>,
  InvalidConfig,
  SessionHost | Sessions | Context.Service.Identifier<M>
> => makeLayer(definition as AnyDefinition, options ?? {}) as never
