/**
 * All sessions of a program.
 *
 * `Sessions.layer` hosts the kinds that are registered with it (by their `toLayer`) and owns their fibers:
 * closing it ends every session. The service itself is for what concerns sessions of any kind: operators,
 * health checks, starting by the name of a kind. To work with the sessions of one kind, yield its definition.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Session from "../contract/Session.ts"
import type {
  InvalidConfig,
  InvalidMessage,
  LoadError,
  ReachError,
  StartError,
  StartRefused,
  StoreUnavailable,
  UnknownKind
} from "../contract/SessionError.ts"
import { SessionHost } from "../contract/SessionHost.ts"
import type { Any as AnyRef, EndOptions, SessionInfo } from "../contract/SessionRef.ts"
import type { Quarantined, QuarantineKey } from "../contract/SnapshotStore.ts"
import * as Config from "../policy/SessionsConfig.ts"
import { SessionsConfig } from "../policy/SessionsConfig.ts"
import { DeadLetters } from "./DeadLetters.ts"
import { Expiry } from "./Expiry.ts"
import type { Counters } from "./internal/host/Kind.ts"
import { make } from "./internal/host/makeSessions.ts"
import { MessageLimiter } from "./MessageLimiter.ts"
import { SessionEvents } from "./SessionEvents.ts"
import { StartLimiter } from "./StartLimiter.ts"

/**
 * The address of a session as a value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Address {
  readonly kind: string
  readonly id: string
}

/**
 * How many sessions there are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Count {
  readonly count: number
  readonly limit: number
  /** `count` as a percentage of `limit`. */
  readonly utilisation: number
  /** Live sessions by kind. */
  readonly kinds: Readonly<Record<string, number>>
}

/**
 * Numbers for operators.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats extends Count {
  /** Counters of each kind since its Layer was built. */
  readonly totals: Readonly<Record<string, Readonly<Counters>>>
  /** Heap in use now, in bytes; `undefined` where the platform does not say. */
  readonly heapBytes: number | undefined
  /**
   * An estimate of the bytes per session: what the heap grew by since the Layer was built, shared among the
   * sessions. `undefined` without sessions, or where the platform does not say.
   */
  readonly averageBytes: number | undefined
}

/**
 * How the sessions are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  readonly total: number
  readonly healthy: number
  /** Those that pause after a crash. */
  readonly crashed: number
}

/**
 * Options of starting a session by the name of its kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartOptions extends Session.StartOptions {
  /** The kind. Default: the configured `defaultKind`. */
  readonly kind?: string | undefined
  /** The kind's arguments; checked against its schema. */
  readonly args?: unknown
}

/**
 * All sessions of a program.
 *
 * @since 0.1.0
 * @category services
 */
export class Sessions extends Context.Service<Sessions, {
  /** The names of the registered kinds. */
  readonly kinds: Effect.Effect<Array<string>>
  /**
   * Finds or starts a session by the name of its kind. `args` are checked against the kind's schema; a declared
   * error of the kind comes as `StartRefused`.
   */
  readonly start: (
    id: string,
    options?: StartOptions
  ) => Effect.Effect<AnyRef, StartError | StartRefused | UnknownKind | InvalidMessage>
  readonly find: (address: Address) => Effect.Effect<Option.Option<AnyRef>, LoadError>
  readonly get: (address: Address) => Effect.Effect<AnyRef, ReachError>
  /** All live sessions, or those of one kind. */
  readonly list: (kind?: string) => Effect.Effect<Array<AnyRef>>
  /** The addresses that match: a text in which `*` stands for any characters, or a regular expression. */
  readonly match: (pattern: string | RegExp) => Effect.Effect<Array<Address>>
  /** The sessions that belong to a user: the live ones, and those that are in a store only. */
  readonly ofUser: (user: string) => Effect.Effect<Array<AnyRef>, LoadError>
  /** The live sessions that belong to a user: those in the memory of this process. */
  readonly liveOfUser: (user: string) => Effect.Effect<Array<AnyRef>>
  /** What operators see of one session. */
  readonly inspect: (address: Address) => Effect.Effect<SessionInfo, ReachError>
  /** Ends a session, see `SessionRef.end`; `false` when there was none. */
  readonly end: (address: Address, options?: EndOptions) => Effect.Effect<boolean, LoadError>
  /** Ends all sessions that are in memory and gives their number. */
  readonly endAll: (options?: EndOptions) => Effect.Effect<number, LoadError>
  /** Casts a message to the sessions of all kinds that know its tag and whose payload schema it fits. */
  readonly broadcast: (tag: string, payload?: unknown) => Effect.Effect<number>
  readonly count: Effect.Effect<Count>
  readonly stats: Effect.Effect<Stats>
  readonly health: Effect.Effect<Health>
  /** Ends those that have expired, now, and gives their number. */
  readonly sweep: Effect.Effect<number>
  /**
   * The quarantine of the registered kinds: the snapshots that this program, or an earlier one, could not read, with the
   * reason and the date. Use it to look at them, to repair them by hand, and then to discard them.
   */
  readonly quarantined: Effect.Effect<ReadonlyArray<Quarantined>, StoreUnavailable>
  /**
   * Deletes an entry of the quarantine for good: `sessions.discardQuarantined(entry.snapshot)`. `false` when there is no
   * such entry, or no such kind.
   */
  readonly discardQuarantined: (entry: QuarantineKey) => Effect.Effect<boolean, StoreUnavailable>
}>()("effect-sessions/Sessions") {
  /**
   * Hosts sessions with services given from outside: replace any of them by your own. As all constant Layers, it is
   * built once in a program: wrap it in `Layer.fresh` for another host.
   *
   * @since 0.1.0
   */
  static readonly layerNoDeps: Layer.Layer<
    Sessions | SessionHost,
    never,
    SessionsConfig | Expiry | StartLimiter | MessageLimiter | SessionEvents | DeadLetters
  > = Layer.effectContext(
    Effect.map(
      make,
      ({ sessionHost, sessions }) => Context.make(Sessions, sessions).pipe(Context.add(SessionHost, sessionHost))
    )
  )

  /**
   * Hosts sessions, with everything they need. Fails with `InvalidConfig` when a setting is unusable. Each call makes
   * another host: give one Layer to all kinds that are to share limits and settings.
   *
   * @since 0.1.0
   */
  static readonly layer = (options?: Config.Options): Layer.Layer<Provided, InvalidConfig> =>
    withDeps(Layer.effect(SessionsConfig, Config.make(options)))

  /**
   * Hosts sessions with settings from the environment, over the given ones. Their names are in `docs/configuration.md`.
   *
   * @since 0.1.0
   */
  static readonly layerFromEnv = (defaults?: Config.Options): Layer.Layer<Provided, InvalidConfig> =>
    withDeps(Layer.effect(SessionsConfig, Effect.flatMap(Config.fromEnv(defaults), Config.make)))
}

/**
 * What `Sessions.layer` provides.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Provided =
  | Sessions
  | SessionHost
  | SessionsConfig
  | Expiry
  | StartLimiter
  | MessageLimiter
  | SessionEvents
  | DeadLetters

/** All parts are fresh: a program that hosts sessions twice has two hosts, each with its own settings. */
const withDeps = <E>(config: Layer.Layer<SessionsConfig, E>): Layer.Layer<Provided, E> =>
  Layer.fresh(Sessions.layerNoDeps).pipe(
    Layer.provideMerge(Layer.mergeAll(
      Layer.fresh(Expiry.layer),
      Layer.fresh(StartLimiter.layer),
      Layer.fresh(MessageLimiter.layer),
      Layer.fresh(SessionEvents.layer),
      Layer.fresh(DeadLetters.layer)
    )),
    Layer.provideMerge(config)
  )
