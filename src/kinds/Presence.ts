/**
 * Who is present: keys (users, mostly) in topics (rooms, pages, documents), each with its devices and what is known of
 * them.
 *
 * A key is tracked for as long as a Scope lives, so that a closed socket leaves by itself; a short grace hides reloads.
 * A topic is an ordinary session, which lives with the first who needs it, is watched and shown in live views as any
 * other. It is told by each process that tracks in it that the process is still there (a lease), so that those of a process
 * that vanished leave; and a topic that lost what it knew is told all of it again.
 *
 * A topic belongs to its process, and is never kept in a store: who is present is only true while somebody says so. Several
 * processes each have the topics of those whom they track, whatever they share otherwise, and after a restart a topic fills
 * again as its clients come back.
 *
 * ```ts
 * class Shoppers extends Presence.Service<Shoppers>()("Shoppers", {
 *   meta: Schema.Struct({ name: Schema.String })
 * }) {}
 * const ShoppersLayer = Presence.layer(Shoppers, { grace: "5 seconds" })
 *
 * const shoppers = yield* Shoppers
 * const ada = yield* shoppers.track("shop", "ada", { name: "Ada" }, { device: "phone" })
 * yield* ada.update({ name: "Ada L." })
 * shoppers.changes("shop") // a List of all, then each Join, Update and Leave
 * ```
 *
 * Each change costs the same, however many are present: to the topic, and to each of those who follow it. Only lists
 * cost as much as they have entries.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as HashMap from "effect/HashMap"
import type * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type { KindOptions } from "../contract/KindOptions.ts"
import type * as Session from "../contract/Session.ts"
import type {
  CallError,
  InvalidConfig,
  InvalidSessionId,
  StartError,
  StartRateExceeded
} from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import { makeKind } from "./internal/presence/definition.ts"
import * as Lists from "./internal/presence/lists.ts"
import { makeLayer } from "./internal/presence/service.ts"
import type { InvalidPresence } from "./PresenceError.ts"

export { InvalidPresence } from "./PresenceError.ts"

// ---------------------------------------------------------------------------------------------------------
// who is present
// ---------------------------------------------------------------------------------------------------------

/**
 * One device of a key that is present.
 *
 * @since 0.1.0
 * @category models
 */
export interface Device<out Meta> {
  readonly device: string
  /** When it came, in milliseconds since 1970. Neither a reload within the grace nor a restart of the topic changes it. */
  readonly since: number
  readonly meta: Meta
}

/**
 * A key that is present, with its devices, the oldest first: there is one at least.
 *
 * @since 0.1.0
 * @category models
 */
export interface Present<out Meta> {
  readonly key: string
  readonly devices: ReadonlyArray<Device<Meta>>
}

/**
 * All that are present, in no particular order: what `changes` begins with, and gives again when the reader may have
 * missed something. It replaces what came before.
 *
 * @since 0.1.0
 * @category events
 */
export interface List<out Meta> {
  readonly _tag: "List"
  readonly present: ReadonlyArray<Present<Meta>>
}

/**
 * A device came.
 *
 * @since 0.1.0
 * @category events
 */
export interface Join<out Meta> extends Device<Meta> {
  readonly _tag: "Join"
  readonly key: string
  /** Was the key absent before? */
  readonly first: boolean
}

/**
 * What is known of a device has changed.
 *
 * @since 0.1.0
 * @category events
 */
export interface Update<out Meta> extends Device<Meta> {
  readonly _tag: "Update"
  readonly key: string
}

/**
 * A device has gone.
 *
 * @since 0.1.0
 * @category events
 */
export interface Leave<out Meta> extends Device<Meta> {
  readonly _tag: "Leave"
  readonly key: string
  /** Is the key gone with it? */
  readonly last: boolean
}

/**
 * One step from who was present to who is.
 *
 * @since 0.1.0
 * @category events
 */
export type Change<Meta> = Join<Meta> | Update<Meta> | Leave<Meta>

/**
 * What those who follow a topic are told.
 *
 * @since 0.1.0
 * @category events
 */
export type Event<Meta> = List<Meta> | Change<Meta>

/**
 * Keeps up with the events of a topic: who is present after one of them. Begin with `HashMap.empty()`.
 *
 * ```ts
 * shoppers.changes("shop").pipe(Stream.scan(() => HashMap.empty(), Presence.apply))
 * ```
 *
 * @since 0.1.0
 * @category operations
 */
export const apply: <Meta>(
  present: HashMap.HashMap<string, Present<Meta>>,
  event: Event<Meta>
) => HashMap.HashMap<string, Present<Meta>> = Lists.apply

// ---------------------------------------------------------------------------------------------------------
// the state of a topic
// ---------------------------------------------------------------------------------------------------------

/**
 * The devices of a key as a topic has them: by name, or the only one itself, which most keys have.
 *
 * @since 0.1.0
 * @category models
 */
export type Devices<Meta> = Device<Meta> | HashMap.HashMap<string, Device<Meta>>

/**
 * The state of a topic, as live views and watchers see it. Read it with `list`, `get` and `count`.
 *
 * @since 0.1.0
 * @category models
 */
export interface State<out Meta> {
  /** The devices of each key. */
  readonly present: HashMap.HashMap<string, Devices<Meta>>
  /** The steps from the state before to this one. */
  readonly changes: ReadonlyArray<Change<Meta>>
}

/**
 * All that are present, in no particular order. Costs as much as there are.
 *
 * @since 0.1.0
 * @category selectors
 */
export const list: <Meta>(state: State<Meta>) => ReadonlyArray<Present<Meta>> = Lists.list

/**
 * One key, if it is present.
 *
 * @since 0.1.0
 * @category selectors
 */
export const get: <Meta>(state: State<Meta>, key: string) => Option.Option<Present<Meta>> = Lists.get

/**
 * How many keys are present. Costs the same however many there are.
 *
 * @since 0.1.0
 * @category selectors
 */
export const count: <Meta>(state: State<Meta>) => number = Lists.count

// ---------------------------------------------------------------------------------------------------------
// tracking
// ---------------------------------------------------------------------------------------------------------

/**
 * What reaching a topic can fail with: its id is malformed, or its session cannot be started or loaded.
 *
 * @since 0.1.0
 * @category errors
 */
export type TopicError = Exclude<StartError, StartRateExceeded>

/**
 * What `track` can fail with. Nothing is tracked then, so trying again is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export type TrackError = InvalidPresence | TopicError | CallError

/**
 * A key that is tracked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracked<in Meta> {
  readonly topic: string
  readonly key: string
  readonly device: string

  /**
   * Replaces what is known of the device. It cannot fail: while the topic cannot be reached, the newest is kept and told
   * when it can. Does nothing after it left. What does not fit the schema, in untyped code, is a defect.
   */
  update(meta: Meta): Effect.Effect<void>

  /**
   * Leaves now, without the grace, and before the Scope closes. Like `update` it cannot fail. A device that is tracked
   * elsewhere too stays.
   */
  readonly leave: Effect.Effect<void>
}

/**
 * Options of one tracking.
 *
 * @since 0.1.0
 * @category models
 */
export interface TrackOptions {
  /**
   * Names the device among those of its key. Tracking one name again (two tabs of a browser, the page after a reload) is
   * the same device, which leaves with the last. Default: a name of its own, so that a reload is another device.
   */
  readonly device?: string | undefined
}

/**
 * Options of following a topic.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChangesOptions {
  /**
   * How many changes may wait for a slow reader. Those beyond are dropped for a fresh `List`. Default: 1,024.
   */
  readonly bufferSize?: number | undefined
}

/**
 * Tracks keys in topics: what yielding a definition gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracker<in out Meta> {
  /**
   * A key is present in a topic for as long as the Scope lives, and for the grace after it. Returns when the topic has
   * it; interrupting it, or its failure, leaves nothing behind.
   *
   * From then on it stays present whatever happens to the topic: one that crashed, expired, was ended or lost it is told
   * again.
   */
  track(
    topic: string,
    key: string,
    meta: Meta,
    options?: TrackOptions
  ): Effect.Effect<Tracked<Meta>, TrackError, Scope.Scope>

  /** All that are present, in no particular order; none when nothing is live under this topic. */
  list(topic: string): Effect.Effect<ReadonlyArray<Present<Meta>>, InvalidSessionId>

  /** One key, if it is present. */
  get(topic: string, key: string): Effect.Effect<Option.Option<Present<Meta>>, InvalidSessionId>

  /** How many keys are present. Costs the same however many there are. */
  count(topic: string): Effect.Effect<number, InvalidSessionId>

  /**
   * First a `List` of all, then each `Join`, `Update` and `Leave`, in order. The topic is started if need be, and lives
   * for as long as it is followed.
   *
   * None is missed: when the reader was too slow, or when the topic had to begin anew, another `List` replaces what came
   * before. The stream ends with the server. It fails only when the topic cannot be reached at its beginning.
   */
  changes(topic: string, options?: ChangesOptions): Stream.Stream<Event<Meta>, TopicError>

  /** The session of a topic, started if need be: for live views. */
  topic(topic: string): Effect.Effect<SessionRef<State<Meta>, Protocol>, TopicError>
}

// ---------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------

/**
 * What a tracker tells a topic of one of its trackings.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracking {
  /** Names it among those of its tracker. */
  readonly id: number
  readonly key: string
  readonly device: string
  readonly meta: unknown
  /** Grows with each change that the tracker makes to any of its trackings. */
  readonly revision: number
  /** Since when the device is there, as far as the tracker knows: a topic that began anew goes on with it. */
  readonly since: number | null
}

/**
 * The messages with which trackers tell topics. They are not for clients: do not expose them in live views.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol =
  | Rpc.Rpc<"Track", Schema.Codec<{ readonly owner: string; readonly tracking: Tracking }, any>, Schema.Number>
  | Rpc.Rpc<
    "Untrack",
    Schema.Codec<{ readonly owner: string; readonly id: number; readonly grace: boolean }, any>
  >
  | Rpc.Rpc<
    "Renew",
    Schema.Codec<{ readonly owner: string; readonly count: number; readonly digest: number }, any>,
    Schema.Boolean
  >
  | Rpc.Rpc<
    "Sync",
    Schema.Codec<
      { readonly owner: string; readonly trackings: ReadonlyArray<Tracking>; readonly grace: boolean },
      any
    >
  >
  | Rpc.Rpc<"Tick", Schema.Void>

/**
 * Options of presence, and of the sessions of its topics.
 *
 * A topic that nobody is present in and nobody follows expires after `idleTimeout`, which must be longer than the lease
 * and the grace. Default: 5 minutes, or twice the longer of them. Starting topics does not count towards the limit of
 * starts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<KindOptions<Protocol["_tag"]>, "limitStarts" | "snapshots"> {
  /**
   * How long a device stays present after its last Scope closed, so that a reload is not seen. Default: 5 seconds. 0: it
   * leaves at once.
   */
  readonly grace?: Duration.Input | undefined
  /**
   * How long the devices of a process stay present when it does not say that it is there, which it does three times in
   * that time: once for each topic, not for each key. At least 1 second.
   * Default: 30 seconds.
   */
  readonly lease?: Duration.Input | undefined
}

/**
 * Stands for the sessions of the topics, which the Layer of a definition provides too.
 *
 * @since 0.1.0
 * @category utility types
 */
export interface Topics<in out Self> {
  readonly "~effect-sessions/Presence/Topics": (self: Self) => Self
}

/**
 * The schema of the state of a topic.
 *
 * @since 0.1.0
 * @category utility types
 */
export type StateSchema<Meta extends Schema.Top> = Schema.Codec<
  State<Meta["Type"]>,
  unknown,
  Meta["DecodingServices"],
  Meta["EncodingServices"]
>

/**
 * The kind of session that topics are.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Kind<Self, Name extends string, Meta extends Schema.Top> = Session.Definition<
  Topics<Self>,
  Name,
  StateSchema<Meta>,
  Protocol,
  Schema.Void,
  Schema.Never
>

/**
 * The schema of one key that is present.
 *
 * @since 0.1.0
 * @category utility types
 */
export type PresentSchema<Meta extends Schema.Top> = Schema.Struct<{
  readonly key: Schema.String
  readonly devices: Schema.$Array<
    Schema.Struct<{ readonly device: Schema.String; readonly since: Schema.Number; readonly meta: Meta }>
  >
}>

/**
 * A definition: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<in out Self, Name extends string, Meta extends Schema.Top>
  extends Context.ServiceClass<Self, `effect-sessions/presence/${Name}`, Tracker<Meta["Type"]>>
{
  /** The kind of its topics, for live views: their sessions are named as the topics. */
  readonly kind: Kind<Self, Name, Meta>
  /** The schema of one key that is present, for views and for HTTP. */
  readonly present: PresentSchema<Meta>
  /** The schema of what is known of each device. */
  readonly meta: Meta
}

/**
 * Defines a presence, and gives it a Layer with `layer`: its name, which is that of a kind of session too, and the schema of what is known of each device.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<const Name extends string, Meta extends Schema.Top>(
  name: Name,
  options: { readonly meta: Meta }
): Definition<Self, Name, Meta> => {
  const { kind, present } = makeKind<Topics<Self>>()(name, options.meta)
  const definition = Context.Service<Self, Tracker<Meta["Type"]>>()(`effect-sessions/presence/${name}`)
  return Object.assign(definition, { kind, present, meta: options.meta }) as never
}

/**
 * Registers the kind of the topics, and provides the tracker of this process. Fails with `InvalidConfig` when an option is
 * not usable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, Name extends string, Meta extends Schema.Top>(
  definition: Definition<Self, Name, Meta>,
  options: Options = {}
): Layer.Layer<Self | Topics<Self>, InvalidConfig, SessionHost> =>
  makeLayer(definition as Context.Key<Self, Tracker<any>>, definition.kind as never, definition.meta, options)
