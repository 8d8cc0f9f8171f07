/**
 * All sessions of a program.
 *
 * `Sessions.layer` hosts the kinds that are registered with it (by their `toLayer`) and owns their fibers: closing the
 * Layer ends every session.
 *
 * **When to use:** the service works on sessions of any kind, by name: for operators, health checks, and programs that
 * learn the kind at run time. To work with the sessions of one kind, yield its definition, whose methods are typed.
 *
 * ```ts
 * const Live = Carts.pipe(Layer.provideMerge(Sessions.layer({ maxSessions: 500 })))
 *
 * const report = Effect.gen(function*() {
 *   const sessions = yield* Sessions
 *   const { count, limit } = yield* sessions.count
 *   yield* Effect.logInfo(`${count} of ${limit} sessions are live`)
 * })
 * ```
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
 * How many sessions are live.
 *
 * @since 0.1.0
 * @category models
 */
export interface Count {
  /** Live sessions of all kinds. */
  readonly count: number
  /** The configured `maxSessions`. */
  readonly limit: number
  /** `count` as a percentage of `limit`. */
  readonly utilisation: number
  /** Live sessions by kind. */
  readonly kinds: Readonly<Record<string, number>>
}

/**
 * Counts and memory use, for operators.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats extends Count {
  /** Counters of each kind since its Layer was built. */
  readonly totals: Readonly<Record<string, Readonly<Counters>>>
  /** The heap in use, in bytes. `undefined` if the platform does not report it. */
  readonly heapBytes: number | undefined
  /**
   * An estimate of the bytes per session: the growth of the heap since the Layer was built, divided by the number of live
   * sessions. `undefined` if there are none, or if the platform does not report the heap.
   */
  readonly averageBytes: number | undefined
}

/**
 * How many sessions are in order.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  /** Live sessions. */
  readonly total: number
  /** `total` without `crashed`. */
  readonly healthy: number
  /** Sessions that pause after a crash, before supervision resumes or resets them. */
  readonly crashed: number
}

/**
 * Options for starting a session by the name of its kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartOptions extends Session.StartOptions {
  /** The kind. Default: the configured `defaultKind`. */
  readonly kind?: string | undefined
  /** The arguments of the kind, as values. They are checked against its schema. */
  readonly args?: unknown
}

/**
 * All sessions of a program.
 *
 * **Gotchas:** messages and state are untyped here (`SessionRef.Any`). Methods that look at live sessions cover the
 * memory of this process only; each says so.
 *
 * @since 0.1.0
 * @category services
 */
export class Sessions extends Context.Service<Sessions, {
  /** The names of the registered kinds. */
  readonly kinds: Effect.Effect<Array<string>>
  /**
   * Finds a session by the name of its kind, or starts it. Fails with `UnknownKind` if no such kind is registered, with
   * `InvalidMessage` if `args` do not fit the kind's schema, and with `StartRefused` if the start fails with the declared
   * error of the kind.
   */
  readonly start: (
    id: string,
    options?: StartOptions
  ) => Effect.Effect<AnyRef, StartError | StartRefused | UnknownKind | InvalidMessage>
  /** The session at an address; a session that is in the store only is loaded. `None` if there is none. */
  readonly find: (address: Address) => Effect.Effect<Option.Option<AnyRef>, LoadError>
  /** Like `find`, but fails with `SessionNotFound` if there is none. */
  readonly get: (address: Address) => Effect.Effect<AnyRef, ReachError>
  /** All live sessions, or the live sessions of one kind. */
  readonly list: (kind?: string) => Effect.Effect<Array<AnyRef>>
  /**
   * The addresses of the live sessions whose id matches a regular expression, or a text in which `*` stands for any
   * characters.
   */
  readonly match: (pattern: string | RegExp) => Effect.Effect<Array<Address>>
  /** All sessions that belong to a user: the live ones, and those that are in a store only. */
  readonly ofUser: (user: string) => Effect.Effect<Array<AnyRef>, LoadError>
  /** The live sessions that belong to a user, that is, those in memory: of this process, or of any node of a cluster. */
  readonly liveOfUser: (user: string) => Effect.Effect<Array<AnyRef>>
  /** What operators see of one session. */
  readonly inspect: (address: Address) => Effect.Effect<SessionInfo, ReachError>
  /** Ends a session, as `SessionRef.end` does. `false` if there was none. */
  readonly end: (address: Address, options?: EndOptions) => Effect.Effect<boolean, LoadError>
  /** Ends all live sessions and gives their number. */
  readonly endAll: (options?: EndOptions) => Effect.Effect<number, LoadError>
  /**
   * Casts a message to the live sessions of every kind that has this tag and whose payload schema accepts the payload.
   * Gives the number of sessions that accepted the message at once.
   */
  readonly broadcast: (tag: string, payload?: unknown) => Effect.Effect<number>
  /** How many sessions are live, and how many may be. */
  readonly count: Effect.Effect<Count>
  /** Counts, counters and memory use. */
  readonly stats: Effect.Effect<Stats>
  /** How many sessions recover from a crash. Visits every live session. */
  readonly health: Effect.Effect<Health>
  /** Ends all expired sessions now, without waiting for the next sweep, and gives their number. */
  readonly sweep: Effect.Effect<number>
  /**
   * The quarantine of the registered kinds: the snapshots that this program, or an earlier version of it, could not read,
   * with reason and date. Use it to inspect them, to repair them by hand, and to discard them afterwards.
   */
  readonly quarantined: Effect.Effect<ReadonlyArray<Quarantined>, StoreUnavailable>
  /**
   * Deletes an entry of the quarantine for good: `sessions.discardQuarantined(entry.snapshot)`. `false` if there is no
   * such entry or no such kind.
   */
  readonly discardQuarantined: (entry: QuarantineKey) => Effect.Effect<boolean, StoreUnavailable>
}>()("effect-sessions/Sessions") {
  /**
   * Hosts sessions with services that you provide. Use it to replace a service, such as the `StartLimiter` or the
   * `DeadLetters`, by your own. Like every constant Layer, it is built once per program: wrap it in `Layer.fresh` for a
   * second host.
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
   * Hosts sessions, with the default services. Fails with `InvalidConfig` if a setting is not valid.
   *
   * **Gotchas:** each call makes another host. Provide the same Layer value to all kinds that are to share limits and
   * settings.
   *
   * @since 0.1.0
   */
  static readonly layer = (options?: Config.Options): Layer.Layer<Provided, InvalidConfig> =>
    withDeps(Layer.effect(SessionsConfig, Config.make(options)))

  /**
   * Like `layer`, with settings from the environment, which override the given `defaults`. The names of the variables are
   * in `docs/configuration.md`.
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

/** All parts are fresh, so that a program that builds two hosts has two, each with its own settings. */
const withDeps = <E>(config: Layer.Layer<SessionsConfig, E>): Layer.Layer<Provided, E> =>
  layerWith(config, StartLimiter.layer)

/**
 * A host with this configuration and this limiter of starts: for hosts that share their limits with others.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = <E>(
  config: Layer.Layer<SessionsConfig, E>,
  startLimiter: Layer.Layer<StartLimiter, never, SessionsConfig>
): Layer.Layer<Provided, E> =>
  Layer.fresh(Sessions.layerNoDeps).pipe(
    Layer.provideMerge(Layer.mergeAll(
      Layer.fresh(Expiry.layer),
      Layer.fresh(startLimiter),
      Layer.fresh(MessageLimiter.layer),
      Layer.fresh(SessionEvents.layer),
      Layer.fresh(DeadLetters.layer)
    )),
    Layer.provideMerge(config)
  )
