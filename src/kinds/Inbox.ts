/**
 * Notifications for users, whether they are online or not.
 *
 * An inbox is a session: one for each user, whose id is the user's. Notifications are of kinds, each with a schema of its
 * own; they are read, removed, replaced by key, dropped when there are too many, and expire. Who subscribes gets those
 * that are pending, then each new one.
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
 * With `snapshots`, inboxes are kept in the `SnapshotStore`: they outlive the process, and those that nobody uses leave
 * memory until something is pushed or asked for, or something in them expires. Without, they are in memory, all of them,
 * and lost with the process. Those in memory count as sessions: `maxSessions` must leave room for them, or a push to one
 * more fails with `SessionLimitReached`.
 *
 * It does not reach users elsewhere, by mail or through push services: the event `Notification` says when to do that.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import type { KindOptions, SnapshotOptions } from "../contract/KindOptions.ts"
import * as Session from "../contract/Session.ts"
import {
  type CallError,
  InvalidConfig,
  type InvalidSessionId,
  type SessionNotFound,
  type SessionsClosed,
  type StartError
} from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import * as SessionsConfig from "../policy/SessionsConfig.ts"
import { InboxFull, InvalidNotification } from "./InboxError.ts"
import { type InboxSettings, type KindRules, makeBehavior } from "./internal/inbox/behavior.ts"
import { makeInboxes } from "./internal/inbox/service.ts"

// ---------------------------------------------------------------------------------------------------------
// what is in an inbox
// ---------------------------------------------------------------------------------------------------------

/**
 * The kinds of notifications of an inbox: the schema of the payload of each, by name.
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
 * A notification, of any of the kinds or of some.
 *
 * @since 0.1.0
 * @category models
 */
export type Notification<K extends Kinds, N extends KindName<K> = KindName<K>> = {
  readonly [Name in N]: {
    /** Counts up within an inbox, and never comes again: who has seen one has seen those with smaller ids. */
    readonly id: number
    readonly kind: Name
    /** When it was pushed, in milliseconds since 1970; not before the one that came before it. */
    readonly at: number
    /** When it was read, in milliseconds since 1970; `null` while it is unread. */
    readonly readAt: number | null
    /** See `PushOptions.key`. */
    readonly key: string | null
    /** When it is gone, in milliseconds since 1970; `null`: it stays. */
    readonly expiresAt: number | null
    readonly payload: K[Name]["Type"]
  }
}[N]

/**
 * The state of an inbox's session: what views of it are made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface State<K extends Kinds> {
  /** The last id that was given. */
  readonly lastId: number
  /** How many notifications are unread. */
  readonly unread: number
  /** When it looks for what has expired, in milliseconds since 1970. */
  readonly alarmAt: number | null
  /** Oldest first. */
  readonly notifications: ReadonlyArray<Notification<K>>
}

/**
 * What a push answers. `isNew` is `false` when a notification with the same key was there already; it stays as it is,
 * and `id` is its id.
 *
 * @since 0.1.0
 * @category models
 */
export const Pushed = Schema.Struct({ id: Schema.Int, isNew: Schema.Boolean })

/**
 * What a push answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Pushed = typeof Pushed.Type

// ---------------------------------------------------------------------------------------------------------
// what is done with it
// ---------------------------------------------------------------------------------------------------------

/**
 * What a push does when a notification with its key is there: `"keep"` leaves that one, `"replace"` takes it out and puts
 * the new one at the end, unread and with an id of its own.
 *
 * @since 0.1.0
 * @category models
 */
export type OnDuplicate = "keep" | "replace"

/**
 * Options of one push.
 *
 * @since 0.1.0
 * @category models
 */
export interface PushOptions {
  /** There is at most one notification with a key in an inbox. Default: none, as many as are pushed. */
  readonly key?: string | undefined
  /** How long it stays, at least a millisecond; `"Infinity"`: for ever. Default: that of its kind, or of the inbox. */
  readonly expireAfter?: Duration.Input | undefined
  /** Default: that of its kind, or of the inbox. */
  readonly onDuplicate?: OnDuplicate | undefined
}

/**
 * Which kinds are meant. Default: all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Filter<out N extends string> {
  readonly kinds?: ReadonlyArray<N> | undefined
}

/**
 * Which notifications are listed. Default: all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Query<out N extends string> extends Filter<N> {
  /** Only those that are unread. */
  readonly unread?: boolean | undefined
  /** Only those with a smaller id: the next page begins before the last of the one before. */
  readonly before?: number | undefined
  /** At most so many, the newest. */
  readonly limit?: number | undefined
}

/**
 * Which notifications are removed. Default: all.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClearOptions<out N extends string> extends Filter<N> {
  /** Only those that are read. */
  readonly read?: boolean | undefined
}

/**
 * Where a subscription begins, and with which kinds.
 *
 * @since 0.1.0
 * @category models
 */
export interface SubscribeOptions<out N extends string> extends Filter<N> {
  /**
   * Begins with what came after the notification with this id, read or not: for a reader that comes back. Default: with
   * all that are unread.
   */
  readonly after?: number | undefined
}

/**
 * The payload and the options of a push: no payload is needed when it is void.
 *
 * @since 0.1.0
 * @category utility types
 */
export type PushArgs<Payload> = void extends Payload ? [payload?: Payload, options?: PushOptions]
  : [payload: Payload, options?: PushOptions]

/**
 * What a push can fail with. The user's inbox is started or loaded for it, so there is always one.
 *
 * @since 0.1.0
 * @category errors
 */
export type PushError = StartError | AskError | InboxFull | InvalidNotification

/**
 * What asking an inbox can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type AskError = InvalidSessionId | Exclude<CallError, SessionNotFound>

/**
 * What following an inbox can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type FollowError = Exclude<StartError, SessionsClosed>

/**
 * The inboxes of all users: what yielding a definition gives. A user is named by a `SessionId`. A user who never got
 * anything has an empty inbox, which takes no memory. Kinds that the definition lacks, in untyped code, are a defect.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inboxes<in out K extends Kinds> {
  /**
   * Puts a notification into the inbox of a user, online or not, and waits until it is there: with `snapshots` and
   * `save: "everyChange"`, until it is written. The payload is checked against the schema of its kind.
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
   * `push` for callers outside Effect, into an inbox that is in memory: `true` when its mailbox accepted the
   * notification. It neither starts nor loads one. What the inbox then refuses is told by a `CommunicationError` event.
   */
  pushUnsafe<const N extends KindName<K>>(user: string, kind: N, ...args: PushArgs<K[N]["Type"]>): boolean

  /** The notifications of a user, newest first. */
  list<const N extends KindName<K> = KindName<K>>(
    user: string,
    query?: Query<N>
  ): Effect.Effect<ReadonlyArray<Notification<K, N>>, AskError>

  /** How many are unread. */
  unread(user: string, filter?: Filter<KindName<K>>): Effect.Effect<number, AskError>

  /** Marks these as read and gives how many of them were unread. Ids that are not there, or not any more, are no error. */
  read(user: string, ids: Iterable<number>): Effect.Effect<number, AskError>

  /** Marks this one and those before it as read and gives how many of them were unread. */
  readUpTo(user: string, id: number, filter?: Filter<KindName<K>>): Effect.Effect<number, AskError>

  /** Marks all as read and gives how many were unread. */
  readAll(user: string, filter?: Filter<KindName<K>>): Effect.Effect<number, AskError>

  /** Removes these and gives how many of them were there. */
  remove(user: string, ids: Iterable<number>): Effect.Effect<number, AskError>

  /** Removes all, or some, and gives how many they were. */
  clear(user: string, options?: ClearOptions<KindName<K>>): Effect.Effect<number, AskError>

  /**
   * The notifications that are pending, oldest first, then each new one: none is missed and none comes twice. A reader
   * that is slow gets what is still in the inbox, so it may miss what was dropped, removed or replaced, or has expired.
   *
   * It goes on when the inbox's session is reset, ends, or is started anew, and ends with the server. It keeps the inbox
   * in memory. Fails when the inbox cannot be opened at first.
   */
  subscribe<const N extends KindName<K> = KindName<K>>(
    user: string,
    options?: SubscribeOptions<N>
  ): Stream.Stream<Notification<K, N>, FollowError>

  /** How many are unread: now, and then whenever that has changed. It goes on as long as `subscribe`. */
  unreadCounts(user: string, filter?: Filter<KindName<K>>): Stream.Stream<number, FollowError>

  /** The session of a user's inbox, found, loaded or started: for live views, and to let clients in. */
  open(user: string): Effect.Effect<Ref<K>, StartError>
}

// ---------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------

/**
 * A push, as a message.
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
 * The messages of an inbox: what its methods send, and what clients may send where a `Live` definition lets them. Whoever
 * may send one may do so for the whole inbox.
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
  | Rpc.Rpc<"Read", typeof Ids, typeof Schema.Int>
  | Rpc.Rpc<"ReadUpTo", Schema.Codec<Filter<KindName<K>> & { readonly id: number }, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"ReadAll", Schema.Codec<Filter<KindName<K>>, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"Remove", typeof Ids, typeof Schema.Int>
  | Rpc.Rpc<"Clear", Schema.Codec<ClearOptions<KindName<K>>, unknown>, typeof Schema.Int>
  | Rpc.Rpc<"Expire">

const Ids = Schema.Struct({ ids: Schema.Array(Schema.Int) })

/**
 * The ref of an inbox.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Ref<K extends Kinds> = SessionRef<State<K>, Protocol<K>>

/**
 * Identifies the sessions of an inbox in a program's services.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sessions<Name extends string> {
  readonly inbox: Name
}

/**
 * A definition of an inbox: the class that `Service` makes. The service is the inboxes of all users.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<in out Self, Name extends string, in out K extends Kinds>
  extends Context.ServiceClass<Self, `effect-sessions/inbox/${Name}`, Inboxes<K>>
{
  readonly kinds: K
  /** The kind of session of which each user has one: for `Live` definitions, and for `Sessions`. */
  readonly kind: Session.Definition<
    Sessions<Name>,
    Name,
    Schema.Codec<State<K>, unknown>,
    Protocol<K>,
    typeof Schema.Void,
    typeof Schema.Never
  >
  /** A notification of any kind: for views, and for APIs. */
  readonly Notification: Schema.Codec<Notification<K>, unknown>
}

/**
 * Defines an inbox and its kinds of notifications. Give it a Layer with `layer`. An inbox without kinds is a defect of
 * the program and throws at once, as does a malformed name.
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
  const names = Object.keys(kinds)
  if (names.length === 0) throw new TypeError(`inbox ${name} has no kinds of notifications`)
  const OnDuplicate = Schema.Literals(["keep", "replace"])
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
      onDuplicate: Schema.optionalKey(OnDuplicate)
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
      Rpc.make("Expire")
    ]
  })
  return Object.assign(Context.Service<Self, never>()(`effect-sessions/inbox/${name}`), {
    kinds,
    kind,
    Notification
  }) as never
}

// ---------------------------------------------------------------------------------------------------------
// the Layer
// ---------------------------------------------------------------------------------------------------------

/**
 * What a full inbox does with a notification:
 *
 * - `"dropRead"`: the oldest one that is read makes room for it; when all are unread, the oldest;
 * - `"dropOldest"`: the oldest one makes room for it;
 * - `"reject"`: its sender gets `InboxFull`.
 *
 * @since 0.1.0
 * @category models
 */
export type WhenFull = "dropRead" | "dropOldest" | "reject"

/**
 * How long notifications stay, and what happens to duplicates.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rules {
  /** How long a notification stays. Default: for ever. */
  readonly expireAfter?: Duration.Input | undefined
  /** What a push does when a notification with its key is there. Default: `"keep"`. */
  readonly onDuplicate?: OnDuplicate | undefined
}

/**
 * Options of an inbox: those of its sessions, with other defaults. Inboxes do not expire (`idleTimeout` and
 * `absoluteTimeout` are `"Infinity"`: an inbox that expired would be gone from the store, too), hibernate after a minute,
 * and, when they are kept, leave memory five minutes later. Their starts are not counted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<K extends Kinds> extends KindOptions<Protocol<K>["_tag"]>, Rules {
  /**
   * How many notifications an inbox holds. Default: 100. Looking at an inbox after a change copies its list, and so
   * does marking as read: for thousands, keep an archive in a database.
   */
  readonly capacity?: number | undefined
  /** Default: `"dropRead"`. */
  readonly whenFull?: WhenFull | undefined
  /** Rules for notifications of some kinds, over those of the inbox. */
  readonly kinds?: { readonly [N in KindName<K>]?: Rules } | undefined
}

/**
 * Provides the inboxes of a definition, and their sessions. Fails with `InvalidConfig` when an option is not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, const Name extends string, K extends Kinds>(
  definition: Definition<Self, Name, K>,
  options: Options<K> = {}
): Layer.Layer<Self | Sessions<Name>, InvalidConfig, SessionHost> => {
  const { hibernateAfter, snapshots } = options
  const sessions = definition.kind.toLayer(
    Effect.flatMap(
      checkOptions(definition.kind.kind, Object.keys(definition.kinds), options),
      (settings) => makeBehavior(definition, settings)
    ) as never,
    {
      idleTimeout: "Infinity",
      absoluteTimeout: "Infinity",
      hibernateAfter: "1 minute",
      limitStarts: false,
      ...defined(options),
      snapshots: snapshots === undefined ? undefined : withPassivation(snapshots, hibernateAfter)
    }
  ) as Layer.Layer<Sessions<Name>, InvalidConfig, SessionHost>
  const inboxes = Layer.effect(
    definition as Context.Key<Self, any>,
    Effect.gen(function*() {
      const names = new Set(Object.keys(definition.kinds))
      return makeInboxes((yield* definition.kind) as never, names, yield* Clock.Clock)
    })
  )
  return Layer.provideMerge(inboxes, sessions)
}

/** What is `undefined` is not given. */
const defined = <A extends object>(options: A): A =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as A

/** Inboxes that are kept leave memory, unless they never hibernate. */
const withPassivation = (
  snapshots: SnapshotOptions,
  hibernateAfter: Duration.Input | undefined
): SnapshotOptions => {
  const hibernates = hibernateAfter === undefined ||
    Duration.fromInput(hibernateAfter).pipe((duration) => duration._tag === "Some" && Duration.isFinite(duration.value))
  return hibernates ? { passivateAfter: "5 minutes", ...defined(snapshots) } : snapshots
}

const checkOptions = <K extends Kinds>(
  inbox: string,
  names: ReadonlyArray<string>,
  options: Options<K>
): Effect.Effect<InboxSettings, InvalidConfig> =>
  Effect.gen(function*() {
    const { capacity = 100, kinds = {}, whenFull = "dropRead" } = options
    const given: Readonly<Record<string, Rules | undefined>> = kinds
    for (const name of Object.keys(given)) {
      if (!names.includes(name)) {
        return yield* invalid(`${inbox}.kinds.${name}`, "names notifications that the inbox lacks")
      }
    }
    yield* oneOf(`${inbox}.whenFull`, whenFull, ["dropRead", "dropOldest", "reject"])
    const own = yield* checkRules(inbox, options, { expireAfter: null, replaces: false })
    const rules = new Map<string, KindRules>()
    for (const name of names) {
      rules.set(name, yield* checkRules(`${inbox}.kinds.${name}`, given[name] ?? {}, own))
    }
    return { capacity: yield* SessionsConfig.wholeNumber(`${inbox}.capacity`, capacity, 1), whenFull, rules }
  })

const checkRules = (
  setting: string,
  { expireAfter, onDuplicate }: Rules,
  otherwise: KindRules
): Effect.Effect<KindRules, InvalidConfig> =>
  Effect.gen(function*() {
    yield* oneOf(`${setting}.onDuplicate`, onDuplicate ?? "keep", ["keep", "replace"])
    const lasts = expireAfter === undefined
      ? otherwise.expireAfter
      : yield* SessionsConfig.duration(`${setting}.expireAfter`, expireAfter, { infinite: true })
    return {
      expireAfter: lasts === Infinity ? null : lasts,
      replaces: onDuplicate === undefined ? otherwise.replaces : onDuplicate === "replace"
    }
  })

const oneOf = (setting: string, value: string, values: ReadonlyArray<string>): Effect.Effect<void, InvalidConfig> =>
  values.includes(value) ? Effect.void : invalid(setting, `must be one of ${values.join(", ")}, got ${String(value)}`)

const invalid = (setting: string, why: string): Effect.Effect<never, InvalidConfig> =>
  Effect.fail(new InvalidConfig({ setting, message: `${setting} ${why}` }))
