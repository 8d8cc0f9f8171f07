/**
 * Who is present: keys (users, mostly) in topics (rooms, pages, documents), each with its devices and a `meta` per device.
 *
 * A device is present for as long as a Scope is open, such as that of a socket, and for a short grace after it, which
 * hides reloads.
 *
 * **When to use.** For lists of who is online, who looks at a page, who types. Not for facts that must survive a restart:
 * presence is never stored. For messages to those who are present use `Groups`.
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
 * **Details.** A topic is an ordinary session. It starts with its first tracking or reader, can be watched and shown in
 * live views, and expires when nobody needs it. Each process that tracks in a topic renews a lease with it. When a process
 * vanishes, its devices leave with its lease. When a topic loses its state, each process sends its trackings again.
 *
 * **Cost.** A change costs the same however many are present, for the topic and for each reader. Only lists cost as much
 * as they have entries.
 *
 * **Gotchas.** On a cluster, a topic is on one node, and all nodes track and read in it. Without a cluster, two processes
 * have two topics of the same name, each with its own trackings, whatever store they share. After a restart a topic is empty
 * until its clients come back. `list`, `get` and `count` of a topic on another node cost as much as it has entries.
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

// ---------------------------------------------------------------------------------------------------------
// who is present
// ---------------------------------------------------------------------------------------------------------

/**
 * A device of a key that is present.
 *
 * @since 0.1.0
 * @category models
 */
export interface Device<out Meta> {
  readonly device: string
  /** When it came, in milliseconds since 1970. A reload within the grace, or a restart of the topic, does not change it. */
  readonly since: number
  readonly meta: Meta
}

/**
 * A key that is present, with its devices, the oldest first. There is at least one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Present<out Meta> {
  readonly key: string
  readonly devices: ReadonlyArray<Device<Meta>>
}

/**
 * All keys that are present, in no particular order. `changes` begins with a `List` and sends another one when the reader
 * may have missed changes. It replaces everything before it.
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
  /** `true` when the key was absent before. */
  readonly first: boolean
}

/**
 * The `meta` of a device changed.
 *
 * @since 0.1.0
 * @category events
 */
export interface Update<out Meta> extends Device<Meta> {
  readonly _tag: "Update"
  readonly key: string
}

/**
 * A device left.
 *
 * @since 0.1.0
 * @category events
 */
export interface Leave<out Meta> extends Device<Meta> {
  readonly _tag: "Leave"
  readonly key: string
  /** `true` when the key is absent from now on. */
  readonly last: boolean
}

/**
 * One change of who is present.
 *
 * @since 0.1.0
 * @category events
 */
export type Change<Meta> = Join<Meta> | Update<Meta> | Leave<Meta>

/**
 * What readers of a topic get.
 *
 * @since 0.1.0
 * @category events
 */
export type Event<Meta> = List<Meta> | Change<Meta>

/**
 * Applies an event to a map of who is present. Start with `HashMap.empty()`.
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
 * The devices of a key in the state of a topic: the device itself when there is one, a map by name when there are more.
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
  /** The changes from the previous state to this one. */
  readonly changes: ReadonlyArray<Change<Meta>>
}

/**
 * All keys that are present, in no particular order. The cost grows with their number.
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
 * How many keys are present. The cost does not grow with their number.
 *
 * @since 0.1.0
 * @category selectors
 */
export const count: <Meta>(state: State<Meta>) => number = Lists.count

// ---------------------------------------------------------------------------------------------------------
// tracking
// ---------------------------------------------------------------------------------------------------------

/**
 * Why a topic cannot be reached: its id is malformed, or its session cannot be started.
 *
 * @since 0.1.0
 * @category errors
 */
export type TopicError = Exclude<StartError, StartRateExceeded>

/**
 * Why `track` fails. Nothing is tracked then, so it is safe to try again.
 *
 * @since 0.1.0
 * @category errors
 */
export type TrackError = InvalidPresence | TopicError | CallError

/**
 * A device that is tracked.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracked<in Meta> {
  readonly topic: string
  readonly key: string
  readonly device: string

  /**
   * Replaces the `meta` of the device. Cannot fail: while the topic cannot be reached, the newest `meta` waits and is sent
   * later. Does nothing after the device left. A `meta` that does not fit the schema, from untyped code, is a defect.
   */
  update(meta: Meta): Effect.Effect<void>

  /**
   * Leaves now, without the grace, before the Scope closes. Cannot fail, like `update`. The device stays present when
   * another Scope tracks it too.
   */
  readonly leave: Effect.Effect<void>
}

/**
 * Options of `track`.
 *
 * @since 0.1.0
 * @category models
 */
export interface TrackOptions {
  /**
   * The device's name among the devices of its key, 1 to 256 characters. Two Scopes that track the same name (two tabs of
   * a browser, a page before and after a reload) track one device, which leaves with the last of them. Default: a unique
   * name, so that a reload is another device.
   */
  readonly device?: string | undefined
}

/**
 * Options of `changes`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ChangesOptions {
  /** How many changes may wait for a slow reader. Beyond that a new `List` replaces them. Default: 1,024. */
  readonly bufferSize?: number | undefined
}

/**
 * The service of a presence: tracks keys in topics.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracker<in out Meta> {
  /**
   * Makes a key present in a topic until the Scope closes, and for the grace after that. Returns when the topic has it.
   * When it fails or is interrupted, nothing stays behind.
   *
   * The device stays present whatever happens to the topic: when the topic's session crashes, expires or is ended, the
   * tracking is sent again.
   */
  track(
    topic: string,
    key: string,
    meta: Meta,
    options?: TrackOptions
  ): Effect.Effect<Tracked<Meta>, TrackError, Scope.Scope>

  /** All keys that are present, in no particular order. Does not start the topic; empty when it is not live. */
  list(topic: string): Effect.Effect<ReadonlyArray<Present<Meta>>, InvalidSessionId>

  /** One key, if it is present. Does not start the topic. */
  get(topic: string, key: string): Effect.Effect<Option.Option<Present<Meta>>, InvalidSessionId>

  /** How many keys are present. Does not start the topic. The cost does not grow with their number. */
  count(topic: string): Effect.Effect<number, InvalidSessionId>

  /**
   * A `List` of all, then each `Join`, `Update` and `Leave`, in order. Starts the topic if needed and keeps it live.
   *
   * No change is missed: when the reader was too slow, or the topic restarted, another `List` replaces everything before
   * it. The stream ends when the server shuts down. It fails only when the topic cannot be reached at first.
   */
  changes(topic: string, options?: ChangesOptions): Stream.Stream<Event<Meta>, TopicError>

  /** The session of a topic, started if needed: for live views. */
  topic(topic: string): Effect.Effect<SessionRef<State<Meta>, Protocol>, TopicError>
}

// ---------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------

/**
 * A tracking, as a tracker sends it to a topic.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracking {
  /** Unique among the trackings of its tracker. */
  readonly id: number
  readonly key: string
  readonly device: string
  readonly meta: unknown
  /** Grows with each change that the tracker makes to any of its trackings. */
  readonly revision: number
  /** The device's `since`, if the tracker knows it: a topic that restarted continues with it. */
  readonly since: number | null
}

/**
 * The messages that trackers send to topics. They are not for clients: do not expose them in live views.
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
 * Options of a presence, and of the sessions of its topics.
 *
 * `idleTimeout` is how long a topic stays live when nobody is present and nobody follows it. It must be longer than the
 * lease and the grace. Default: 5 minutes, or twice the longer of the two. Starts of topics do not count towards the start
 * rate.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<KindOptions<Protocol["_tag"]>, "limitStarts" | "snapshots"> {
  /**
   * How long a device stays present after its last Scope closed, so that a reload goes unnoticed. 0: it leaves at once.
   * Default: 5 seconds.
   */
  readonly grace?: Duration.Input | undefined
  /**
   * How long the devices of a process stay present when the process does not renew its lease. It renews each lease, one
   * per topic, three times within this time. At least 1 second. Default: 30 seconds.
   */
  readonly lease?: Duration.Input | undefined
}

/**
 * Identifies the sessions of the topics in the context; the Layer of a definition provides them too.
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
 * The kind of session that a topic is.
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
 * The schema of a key that is present.
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
  /** The kind of its topics, for live views. The id of a session is the name of its topic. */
  readonly kind: Kind<Self, Name, Meta>
  /** The schema of a key that is present, for views and for HTTP. */
  readonly present: PresentSchema<Meta>
  /** The schema of the `meta` of each device. */
  readonly meta: Meta
}

/**
 * Defines a presence: its name, which also names the kind of its topics, and the schema of the `meta` of each device.
 * Give it a Layer with `layer`. A malformed name is a defect of the program and throws at once.
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
 * Registers the kind of the topics, and provides the service. Fails with `InvalidConfig` when an option is not usable.
 * When the Layer closes, all devices that it tracked leave, after the grace.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Self, Name extends string, Meta extends Schema.Top>(
  definition: Definition<Self, Name, Meta>,
  options: Options = {}
): Layer.Layer<Self | Topics<Self>, InvalidConfig, SessionHost> =>
  makeLayer(definition as Context.Key<Self, Tracker<any>>, definition.kind as never, definition.meta, options)
