/**
 * Groups of sessions: rooms, teams, those who look at the same page.
 *
 * The members of a group are sessions of one kind, and what they get is one of that kind's own messages, typed by its
 * protocol. A group is itself a session, whose id is the group's name: it starts with its first member, and messages to it
 * are handled in order, so that all members see the broadcasts of a group in the same order, and those of one sender in
 * the order in which they were sent.
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
 * A broadcast is cast to each member by that message's own `KindOptions.overflow`. Where its policy is to wait, a member
 * whose mailbox is full holds up nobody: what comes for it waits in a lane of its own, in order, whatever its policy, for
 * as long as something waits there; lanes are bounded, and shared by all groups of the kind. What waits and does not arrive
 * after all is a dead letter.
 *
 * A session is a member until it leaves or has ended. An end is noticed by the next broadcast, by `members`, or by a check
 * now and then; one that is started again under its id before that is a member still. A member that is in the store only
 * is one too: the broadcast loads it.
 *
 * A group has no idle timeout while it has members: `idleTimeout` is how long it stays without any. It counts as a session
 * for `maxSessions`, not for the rate of starts. With `snapshots` members are members again after a restart of the server,
 * except those that a Scope of the old process held.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { KindOptions } from "../contract/KindOptions.ts"
import * as Session from "../contract/Session.ts"
import type { CallError, InvalidConfig, SessionNotFound, StartError } from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import type { Message, PayloadArg, SessionRef, Tag } from "../contract/SessionRef.ts"
import type { Sessions } from "../runtime/Sessions.ts"
import { make } from "./internal/groups/service.ts"

/**
 * The state of a group: its members by id. `true`: until it leaves; `false`: as long as a Scope holds it.
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
 * What became of a broadcast, as numbers of members:
 *
 * - `delivered`: their mailboxes accepted it;
 * - `waiting`: it waits for room in the mailbox, or for the member to be loaded from the store;
 * - `missed`: it was refused, by the policy of the message, the rate of messages or a full lane, which are events
 *   (`CommunicationError`, `RateLimitExceeded`); or the member has ended, and is one no more.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Sent = Schema.Struct({ delivered: Schema.Int, waiting: Schema.Int, missed: Schema.Int })

/**
 * What became of a broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export type Sent = typeof Sent.Type

/**
 * Options of one broadcast.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastOptions {
  /** Sessions that do not get it, by id: mostly the sender. They count nowhere. */
  readonly except?: ReadonlyArray<string> | undefined
}

const Join = Rpc.make("Join", {
  payload: { member: Schema.String, stays: Schema.Boolean },
  success: Schema.Boolean
})
const Leave = Rpc.make("Leave", {
  payload: { member: Schema.String, held: Schema.Boolean },
  success: Schema.Boolean
})
const Members = Rpc.make("Members", { success: State.fields.members })
const Gone = Rpc.make("Gone", { payload: Schema.Array(Schema.String) })
const Check = Rpc.make("Check")
const Retire = Rpc.make("Retire")

/** One of the members' messages, with its name. */
const broadcastOf = (members: Session.Any) => {
  const messages = Array.from(members.protocol.values(), (message) =>
    Schema.Struct({
      tag: Schema.Literal(message._tag),
      payload: (message as Rpc.AnyWithProps).payloadSchema,
      except: Schema.Array(Schema.String)
    }))
  return Rpc.make("Broadcast", {
    payload: Schema.Union(messages) as unknown as Schema.Codec<
      { readonly tag: string; readonly payload: unknown; readonly except: ReadonlyArray<string> }
    >,
    success: Sent
  })
}

/**
 * The messages of a group's session. They are sent by the service; what uses the session itself watches its state.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol =
  | typeof Join
  | typeof Leave
  | typeof Members
  | typeof Gone
  | typeof Check
  | typeof Retire
  | ReturnType<typeof broadcastOf>

/**
 * A kind that can have groups.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyKind = Session.Any & Context.Key<any, any>

/**
 * Names the sessions of groups in the context: what `Rooms.kind` is the key of.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface Kind<in out Name extends string> {
  readonly "~effect-sessions/Groups/Kind": Name
}

/**
 * What the operations of a group can fail with: it cannot be started or loaded, or it does not answer.
 *
 * @since 0.1.0
 * @category models
 */
export type GroupError = StartError | Exclude<CallError, SessionNotFound>

/**
 * The groups of a kind: what yielding a definition gives. A group that does not exist is one without members.
 *
 * @since 0.1.0
 * @category models
 */
export interface Groups<in out P extends Rpc.Any> {
  /**
   * Makes a session a member until it leaves or ends. Fails with `SessionNotFound` when there is no such session. Joining
   * again changes nothing.
   */
  join(group: string, member: string): Effect.Effect<void, GroupError | SessionNotFound>

  /**
   * Makes a session a member for as long as the Scope lives, such as that of a socket. It leaves when the last Scope that
   * holds it closes, unless it has joined besides.
   */
  joinScoped(group: string, member: string): Effect.Effect<void, GroupError | SessionNotFound, Scope.Scope>

  /** Ends a membership, whoever holds it. `false` when there was none. */
  leave(group: string, member: string): Effect.Effect<boolean, GroupError>

  /** The members that exist, in no order. */
  members(group: string): Effect.Effect<ReadonlyArray<string>, GroupError>

  /** Is it a member? It may have ended. */
  has(group: string, member: string): Effect.Effect<boolean, GroupError>

  /** How many members there are, without a look at each: some may have ended. */
  size(group: string): Effect.Effect<number, GroupError>

  /** The session of a group, started if need be: to watch it, and for live views. */
  group(group: string): Effect.Effect<SessionRef<State, Protocol>, StartError>

  /**
   * Sends a message to all members. When it returns, each of them has accepted it, or it waits for the member, or was
   * missed by it. Those who join or leave later do not matter.
   */
  broadcast<const T extends Tag<P>>(
    group: string,
    tag: T,
    ...args: [...payload: PayloadArg<Message<P, T>>, options?: BroadcastOptions]
  ): Effect.Effect<Sent, GroupError>

  /** Sends a message to all live sessions of a user: all devices. They need not be in a group. */
  broadcastToUser<const T extends Tag<P>>(
    user: string,
    tag: T,
    ...args: [...payload: PayloadArg<Message<P, T>>, options?: BroadcastOptions]
  ): Effect.Effect<Sent>

  /** Sends a message to all live sessions of the kind. They need not be in a group. */
  broadcastToAll<const T extends Tag<P>>(
    tag: T,
    ...args: [...payload: PayloadArg<Message<P, T>>, options?: BroadcastOptions]
  ): Effect.Effect<Sent>
}

/**
 * A definition of groups: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<in out Self, Name extends string, M extends AnyKind>
  extends Context.ServiceClass<Self, `effect-sessions/groups/${Name}`, Groups<Session.Protocol<M>>>
{
  /** The kind of the groups' own sessions: to watch them, and for live views. */
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
 * Any definition of groups.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyDefinition = Definition<any, any, any>

/**
 * Defines the groups of a kind. A malformed name is a defect of the program and throws at once.
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
  const kind = Session.Service<Kind<Name>>()(name, {
    state: State,
    protocol: [Join, Leave, Members, Gone, Check, Retire, broadcastOf(members)]
  })
  return Object.assign(Context.Service<Self, never>()(`effect-sessions/groups/${name}`), { kind, members }) as never
}

/**
 * Options of groups; the others are those of their kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<KindOptions<Tag<Protocol>>, "limitStarts"> {
  /** How long a group stays that has no members. Default: 1 minute. */
  readonly idleTimeout?: Duration.Input | undefined
  /** Ends groups this long after their start, members or not. Default: never, whatever the configuration says. */
  readonly absoluteTimeout?: Duration.Input | undefined
  /** How many messages may wait for one member whose mailbox is full. Default: 1,000. */
  readonly laneCapacity?: number | undefined
  /** How often a group looks whether its members still exist; `"Infinity"`: never. Default: 10 minutes. */
  readonly checkEvery?: Duration.Input | undefined
}

/**
 * Registers the groups. Their members' kind must be there; when that keeps its sessions in a `SnapshotStore`, provide the
 * store here as well, so that members which are in the store only need not be loaded to see that they exist.
 *
 * When the Layer closes, what waits for members has the configured `shutdownGrace`; what is left then becomes dead letters.
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
> => Layer.effectContext(make(definition as AnyDefinition, options ?? {})) as never
