/**
 * Notifications for users, online or not.
 *
 * Each user has an inbox: a session whose id is the user's. Notifications are typed by kind, each with a schema of its own.
 * They are read, removed, replaced by key, dropped when there are too many, and expire.
 *
 * **When to use.** For what a user must see later, too: messages, alerts, results of jobs. For what only matters to those who
 * are here now use `Groups`. An inbox holds the latest notifications, not an archive: keep that in a database. It does not
 * reach users by mail or push services; the event `Notification` is the place to do that.
 *
 * ```ts
 * class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
 *   kinds: {
 *     message: Schema.Struct({ from: Schema.String, text: Schema.String }),
 *     stock: Schema.Struct({ sku: Schema.String, left: Schema.Int })
 *   }
 * }) {}
 * const InboxesLayer = Inbox.layer(Inboxes, { expireAfter: "30 days", snapshots: {} })
 *
 * const inboxes = yield* Inboxes
 * yield* inboxes.push("ada", "message", { from: "bob", text: "hi" })
 * const bell = inboxes.unreadCounts("ada")
 * ```
 *
 * **Details.** With `snapshots`, inboxes are stored: they outlive the process, and unused ones leave memory until they are
 * needed or something in them expires. Without, all inboxes are in memory and are lost with the process.
 *
 * **Gotchas.** Inboxes in memory count as sessions: when `maxSessions` is reached, a push to one more fails with
 * `SessionLimitReached`. By default a push creates the inbox of its user, whoever that is: when clients name the recipient,
 * use `create: "onOpen"`, or check that the user exists. Payloads are not copied: do not change one after it was pushed.
 * Stored inboxes that have a notification of a kind which the definition no longer has cannot be read: a migration removes
 * such notifications.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { KindOptions } from "../contract/KindOptions.ts"
import type * as Session from "../contract/Session.ts"
import type {
  CallError,
  InvalidConfig,
  InvalidSessionId,
  SessionNotFound,
  SessionsClosed,
  StartError
} from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import type { InboxFull, InvalidNotification } from "./InboxError.ts"
import { makeKind, Pushed } from "./internal/inbox/definition.ts"
import { makeLayer } from "./internal/inbox/service.ts"

export { Pushed }

// ---------------------------------------------------------------------------------------------------------
// what is in an inbox
// ---------------------------------------------------------------------------------------------------------

/**
 * The kinds of notifications of an inbox: by name, the schema of the payload.
 *
 * @since 0.1.0
 * @category models
 */
export interface Kinds {
  readonly [kind: string]: Schema.Top
}

/**
 * The names of the kinds.
 *
 * @since 0.1.0
 * @category utility types
 */
export type KindName<K extends Kinds> = keyof K & string

/**
 * A notification: of any kind of the inbox, or of the kinds `N`.
 *
 * @since 0.1.0
 * @category models
 */
export type Notification<K extends Kinds, N extends KindName<K> = KindName<K>> = {
  readonly [Name in N]: {
    /** Grows within an inbox and is never reused: whoever has seen one id has seen all smaller ones. */
    readonly id: number
    readonly kind: Name
    /** When it was pushed, in milliseconds since 1970; never less than that of the notification before it. */
    readonly at: number
    /** When it was read, in milliseconds since 1970; `null` while it is unread. */
    readonly readAt: number | null
    /** See `PushOptions.key`. */
    readonly key: string | null
    /** When it expires, in milliseconds since 1970; `null`: never. */
    readonly expiresAt: number | null
    readonly payload: K[Name]["Type"]
  }
}[N]

/**
 * The state of an inbox's session, from which views select.
 *
 * @since 0.1.0
 * @category models
 */
export interface State<K extends Kinds> {
  /** The last id that was given. */
  readonly lastId: number
  /** How many notifications are unread. */
  readonly unread: number
  /** When it next removes what has expired, in milliseconds since 1970; not after the first notification expires. */
  readonly alarmAt: number | null
  /** Oldest first. */
  readonly notifications: ReadonlyArray<Notification<K>>
}

// ---------------------------------------------------------------------------------------------------------
// operations
// ---------------------------------------------------------------------------------------------------------

/**
 * What a push does when the inbox has a notification with the same key: `"keep"` leaves that one in place; `"replace"` removes
 * it and adds the new one at the end, unread and with a new id.
 *
 * @since 0.1.0
 * @category models
 */
export type OnDuplicate = "keep" | "replace"

/**
 * Options of a push.
 *
 * @since 0.1.0
 * @category models
 */
export interface PushOptions {
  /** An inbox has at most one notification per key. Default: no key. */
  readonly key?: string | undefined
  /** How long it stays, at least 1 millisecond; `"Infinity"`: for ever. Default: that of its kind, else of the inbox. */
  readonly expireAfter?: Duration.Input | undefined
  /** Default: that of its kind, else of the inbox. */
  readonly onDuplicate?: OnDuplicate | undefined
}

/**
 * Selects notifications by kind. Default: all kinds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Filter<out N extends string> {
  readonly kinds?: ReadonlyArray<N> | undefined
}

/**
 * Selects the notifications of `list`. Default: all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Query<out N extends string> extends Filter<N> {
  /** Only those that are unread. */
  readonly unread?: boolean | undefined
  /** Only smaller ids: for the next page, the last id of the page before. */
  readonly before?: number | undefined
  /** The newest, at most this many. */
  readonly limit?: number | undefined
}

/**
 * Selects the notifications that `clear` removes. Default: all.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClearOptions<out N extends string> extends Filter<N> {
  /** Only those that are read. */
  readonly read?: boolean | undefined
}

/**
 * Where a subscription starts, and which kinds it has.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubscribeOptions<out N extends string> extends Filter<N> {
  /**
   * Starts with the notifications after this id, read or unread: for a reader that comes back. Default: with all that are
   * unread.
   */
  readonly after?: number | undefined
}

/**
 * The arguments of a push after its kind: the payload, optional when it is void, and options.
 *
 * @since 0.1.0
 * @category utility types
 */
export type PushArgs<Payload> = void extends Payload ? [payload?: Payload, options?: PushOptions]
  : [payload: Payload, options?: PushOptions]

/**
 * Why a push fails. `SessionNotFound`: the user has no inbox, and pushes do not create it (`Options.create`).
 *
 * @since 0.1.0
 * @category errors
 */
export type PushError = StartError | CallError | InboxFull | InvalidNotification

/**
 * Why an operation on an inbox fails.
 *
 * @since 0.1.0
 * @category errors
 */
export type AskError = InvalidSessionId | Exclude<CallError, SessionNotFound>

/**
 * Why a subscription fails.
 *
 * @since 0.1.0
 * @category errors
 */
export type FollowError = Exclude<StartError, SessionsClosed>

/**
 * The service of an inbox: the inboxes of all users. A user is named by a `SessionId`. To read and change the inbox of a user
 * who never got a notification is no error; it is empty. A kind that the definition does not have, from untyped code, is
 * a defect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inboxes<in out K extends Kinds> {
  /**
   * Pushes a notification to a user, online or not, and waits until the inbox has it: with `snapshots` and
   * `save: "everyChange"`, until it is written. Checks the payload against the schema of its kind.
   */
  push<const N extends KindName<K>>(
    user: string,
    kind: N,
    ...args: PushArgs<K[N]["Type"]>
  ): Effect.Effect<Pushed, PushError>

  /** Pushes to many users at once and gives a result for each. */
  pushAll<const N extends KindName<K>>(
    users: Iterable<string>,
    kind: N,
    ...args: PushArgs<K[N]["Type"]>
  ): Effect.Effect<Map<string, Result.Result<Pushed, PushError>>>

  /**
   * `push` for code outside Effect, into an inbox that is in memory: `true` when its mailbox accepted the notification.
   * Neither starts nor loads an inbox. When the inbox refuses it later, a `CommunicationError` event says so.
   */
  pushUnsafe<const N extends KindName<K>>(user: string, kind: N, ...args: PushArgs<K[N]["Type"]>): boolean

  /** The notifications of a user, newest first. */
  list<const N extends KindName<K> = KindName<K>>(
    user: string,
    query?: Query<N>
  ): Effect.Effect<ReadonlyArray<Notification<K, N>>, AskError>

  /** The number of unread notifications. */
  unread(user: string, filter?: Filter<KindName<K>>): Effect.Effect<number, AskError>

  /** Marks these ids as read; gives how many of them were unread. Unknown ids are ignored. */
  read(user: string, ids: Iterable<number>): Effect.Effect<number, AskError>

  /** Marks this id and all smaller ones as read; gives how many of them were unread. */
  readUpTo(user: string, id: number, filter?: Filter<KindName<K>>): Effect.Effect<number, AskError>

  /** Marks all as read; gives how many were unread. */
  readAll(user: string, filter?: Filter<KindName<K>>): Effect.Effect<number, AskError>

  /** Removes these ids; gives how many of them the inbox had. */
  remove(user: string, ids: Iterable<number>): Effect.Effect<number, AskError>

  /** Removes all notifications, or some; gives how many. */
  clear(user: string, options?: ClearOptions<KindName<K>>): Effect.Effect<number, AskError>

  /**
   * The pending notifications, oldest first, then each new one. None is missed and none comes twice. A slow reader gets what
   * the inbox still has: what was dropped, removed, replaced or has expired meanwhile does not come.
   *
   * The stream survives resets, ends and restarts of the inbox's session, keeps the inbox in memory, and ends when the server
   * shuts down. It creates the inbox, and fails when the inbox cannot be opened at first.
   */
  subscribe<const N extends KindName<K> = KindName<K>>(
    user: string,
    options?: SubscribeOptions<N>
  ): Stream.Stream<Notification<K, N>, FollowError>

  /** The number of unread notifications, now and whenever it changes. Lives as long as `subscribe`. */
  unreadCounts(user: string, filter?: Filter<KindName<K>>): Stream.Stream<number, FollowError>

  /** The session of a user's inbox, found, loaded or created: for live views, and to let clients in. */
  open(user: string): Effect.Effect<Ref<K>, StartError>
}

// ---------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------

/**
 * The message of a push.
 *
 * @since 0.1.0
 * @category models
 */
export type PushRequest<K extends Kinds> = {
  readonly [N in KindName<K>]: {
    readonly kind: N
    readonly payload: K[N]["Type"]
    readonly key?: string
    /** In milliseconds; `null`: never. */
    readonly expireAfter?: number | null
    readonly onDuplicate?: OnDuplicate
  }
}[KindName<K>]

/**
 * The messages of an inbox. The service sends them; clients may send those that a `Live` definition exposes. Whoever may send
 * a message may do so for all notifications of the inbox.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol<K extends Kinds> =
  | Rpc.Rpc<
    "Push",
    Schema.Codec<PushRequest<K>, unknown>,
    typeof Pushed,
    Schema.Union<readonly [typeof InboxFull, typeof InvalidNotification]>
  >
  | Rpc.Rpc<"List", Schema.Codec<Query<KindName<K>>, unknown>, Schema.Codec<ReadonlyArray<Notification<K>>, unknown>>
  | Rpc.Rpc<"Unread", Schema.Codec<Filter<KindName<K>>, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"Read", Schema.Codec<Ids, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"ReadUpTo", Schema.Codec<Filter<KindName<K>> & { readonly id: number }, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"ReadAll", Schema.Codec<Filter<KindName<K>>, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"Remove", Schema.Codec<Ids, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"Clear", Schema.Codec<ClearOptions<KindName<K>>, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"Expire">

interface Ids {
  readonly ids: ReadonlyArray<number>
}

/**
 * The ref of an inbox.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Ref<K extends Kinds> = SessionRef<State<K>, Protocol<K>>

/**
 * Identifies the sessions of the inboxes in the context; the Layer of a definition provides them too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sessions<Name extends string> {
  readonly inbox: Name
}

/**
 * A definition: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<in out Self, Name extends string, in out K extends Kinds>
  extends Context.ServiceClass<Self, `effect-sessions/inbox/${Name}`, Inboxes<K>>
{
  readonly kinds: K
  /** The kind of session that an inbox is, for live views. The id of a session is the user's. */
  readonly kind: Session.Definition<
    Sessions<Name>,
    Name,
    Schema.Codec<State<K>, unknown>,
    Protocol<K>,
    typeof Schema.Void,
    typeof Schema.Never
  >
  /** The schema of a notification of any kind, for views and for HTTP. */
  readonly Notification: Schema.Codec<Notification<K>, unknown>
}

/**
 * Any definition, whatever its kinds.
 *
 * @since 0.1.0
 * @category utility types
 */
export type AnyDefinition = Definition<any, any, Kinds>

/**
 * Defines an inbox: its name, which also names the kind of its sessions, and its kinds of notifications. Give it a Layer
 * with `layer`. An inbox without kinds, or a malformed name, is a defect of the program and throws at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<const Name extends string, const K extends Kinds>(
  name: Name,
  options: { readonly kinds: K }
): Definition<Self, Name, K> => {
  const { kinds } = options
  const { kind, Notification } = makeKind(name, kinds)
  const definition = Context.Service<Self, Inboxes<K>>()(`effect-sessions/inbox/${name}`)
  return Object.assign(definition, { kinds, kind, Notification }) as never
}

// ---------------------------------------------------------------------------------------------------------
// the Layer
// ---------------------------------------------------------------------------------------------------------

/**
 * What a full inbox does with another notification:
 *
 * - `"dropRead"`: drops the oldest that is read, or the oldest when all are unread;
 * - `"dropOldest"`: drops the oldest;
 * - `"reject"`: the push fails with `InboxFull`.
 *
 * @since 0.1.0
 * @category models
 */
export type WhenFull = "dropRead" | "dropOldest" | "reject"

/**
 * What creates the inbox of a user:
 *
 * - `"onPush"`: a push does, and so does what `"onOpen"` says. Every user can be pushed to.
 * - `"onOpen"`: only `open`, `subscribe` and `unreadCounts` do, as when a user logs in for the first time. A push to a user
 *   without an inbox fails with `SessionNotFound`, so senders cannot create inboxes by making up names.
 *
 * @since 0.1.0
 * @category models
 */
export type Create = "onPush" | "onOpen"

/**
 * How long notifications stay, and what happens to duplicates.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rules {
  /** How long a notification stays. Default: for ever. */
  readonly expireAfter?: Duration.Input | undefined
  /** What a push does when the inbox has a notification with its key. Default: `"keep"`. */
  readonly onDuplicate?: OnDuplicate | undefined
}

/**
 * Options of an inbox, and of its sessions, with other defaults than other kinds have. Inboxes do not expire (`idleTimeout` and
 * `absoluteTimeout` are `"Infinity"`: an inbox that expires is deleted from the store, too). They hibernate after 1 minute and,
 * when stored, leave memory 5 minutes later. Their starts do not count towards the start rate.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<K extends Kinds> extends KindOptions<Protocol<K>["_tag"]>, Rules {
  /**
   * How many notifications an inbox holds. Default: 100. To read an inbox after a change copies its list, and so does marking
   * as read: with thousands that is slow.
   */
  readonly capacity?: number | undefined
  /** What happens to a push into a full inbox. Default: `"dropRead"`. */
  readonly whenFull?: WhenFull | undefined
  /** What creates the inbox of a user. Default: `"onPush"`. */
  readonly create?: Create | undefined
  /** Rules for some kinds of notifications, which take precedence over those of the inbox. */
  readonly kinds?: { readonly [N in KindName<K>]?: Rules } | undefined
}

/**
 * Registers the kind of the inboxes, and provides the service. Fails with `InvalidConfig` when an option is not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, const Name extends string, K extends Kinds>(
  definition: Definition<Self, Name, K>,
  options: Options<K> = {}
): Layer.Layer<Self | Sessions<Name>, InvalidConfig, SessionHost> => makeLayer(definition as never, options as never)
