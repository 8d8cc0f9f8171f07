/**
 * The settings of the sessions of a program.
 *
 * Settings come from code, from a preset, or from the environment. They are checked when the Layer is built: a value that
 * is not valid fails with `InvalidConfig`, whose message names the setting and says what it may be.
 *
 * ```ts
 * Sessions.layer({ maxSessions: 500, idleTimeout: "30 minutes" })
 * Sessions.layer(SessionsConfig.production)
 * Sessions.layerFromEnv(SessionsConfig.production)
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Rate } from "../contract/KindOptions.ts"
import { InvalidConfig } from "../contract/SessionError.ts"

/**
 * Settings as a program gives them. Every setting has a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The most live sessions of all kinds. A start beyond it fails with `SessionLimitReached`. Default: 10,000. */
  readonly maxSessions?: number | undefined
  /**
   * Starts allowed within a sliding window; a start beyond it fails with `StartRateExceeded`. Default: 100 in 1 minute.
   * `false`: no limit.
   */
  readonly startRate?: Rate | false | undefined
  /** Starts allowed from one client address. Default: no limit. */
  readonly startRatePerAddress?: Rate | false | undefined
  /** A session without activity for this long expires. Default: 1 hour. `"Infinity"`: never. */
  readonly idleTimeout?: Duration.Input | undefined
  /** A session expires this long after its start, active or not. Default: `"Infinity"`, never. */
  readonly absoluteTimeout?: Duration.Input | undefined
  /** The time between two sweeps, which end expired sessions that have no watchers. Default: 60 seconds. */
  readonly sweepInterval?: Duration.Input | undefined
  /** How long `call` waits for an answer. Default: 5 seconds. */
  readonly callTimeout?: Duration.Input | undefined
  /** How long `init`, `restore` or `afterStart` may take. Default: 30 seconds. `"Infinity"`: no limit. */
  readonly startTimeout?: Duration.Input | undefined
  /** How many messages may wait in one mailbox. Default: 1,000. */
  readonly mailboxCapacity?: number | undefined
  /** Messages that one session may receive within a sliding window. Default: no limit. */
  readonly messageRate?: Rate | false | undefined
  /**
   * How long the end of a session may take: draining its mailbox, then the end hook and the release of its resources.
   * Default: 10 seconds.
   */
  readonly shutdownGrace?: Duration.Input | undefined
  /** The kind that `Sessions.start` uses if none is named. Default: `"Bag"`. */
  readonly defaultKind?: string | undefined
}

/**
 * The checked settings of a host. Durations are in milliseconds; see `Options` for what each means.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionsConfig extends Context.Service<SessionsConfig, {
  readonly maxSessions: number
  readonly startRate: { readonly limit: number; readonly window: number } | undefined
  readonly startRatePerAddress: { readonly limit: number; readonly window: number } | undefined
  readonly idleTimeout: number
  readonly absoluteTimeout: number
  readonly sweepInterval: number
  readonly callTimeout: number
  readonly startTimeout: number
  readonly mailboxCapacity: number
  readonly messageRate: { readonly limit: number; readonly window: number } | undefined
  readonly shutdownGrace: number
  readonly defaultKind: string
}>()("effect-sessions/SessionsConfig") {}

/**
 * For development: 10,000 sessions, 1,000 starts a minute, 300 of them from one client address.
 *
 * @since 0.1.0
 * @category presets
 */
export const development: Options = {
  maxSessions: 10_000,
  startRate: { limit: 1_000, window: "1 minute" },
  startRatePerAddress: { limit: 300, window: "1 minute" }
}

/**
 * For production: 50,000 sessions, 500 starts a minute, 60 of them from one client address.
 *
 * **Gotchas:** behind a proxy, all clients share the proxy's address unless it forwards theirs: see `ClientAddress`.
 *
 * @since 0.1.0
 * @category presets
 */
export const production: Options = {
  maxSessions: 50_000,
  startRate: { limit: 500, window: "1 minute" },
  startRatePerAddress: { limit: 60, window: "1 minute" }
}

/**
 * For high traffic: 100,000 sessions, 2,000 starts a minute, 120 of them from one client address.
 *
 * **Gotchas:** behind a proxy, all clients share the proxy's address unless it forwards theirs: see `ClientAddress`.
 *
 * @since 0.1.0
 * @category presets
 */
export const highTraffic: Options = {
  maxSessions: 100_000,
  startRate: { limit: 2_000, window: "1 minute" },
  startRatePerAddress: { limit: 120, window: "1 minute" }
}

const presets: Readonly<Record<string, Options>> = { development, production, "high-traffic": highTraffic }

const invalid = (setting: string, expected: string, got: unknown): InvalidConfig =>
  new InvalidConfig({ setting, message: `${setting} must be ${expected}, got ${show(got)}` })

const show = (value: unknown): string =>
  typeof value === "string" || (typeof value === "object" && value !== null) ? JSON.stringify(value) : String(value)

/**
 * Checks that a setting is a whole number of at least `least`. Fails with `InvalidConfig`.
 *
 * @since 0.1.0
 * @category checks
 */
export const wholeNumber = (setting: string, value: number, least: number): Effect.Effect<number, InvalidConfig> =>
  Number.isSafeInteger(value) && value >= least
    ? Effect.succeed(value)
    : Effect.fail(invalid(setting, `a whole number of at least ${least}`, value))

/**
 * Checks that a setting is a duration longer than zero, and gives its milliseconds. Fails with `InvalidConfig`.
 *
 * @since 0.1.0
 * @category checks
 */
export const duration = (
  setting: string,
  value: Duration.Input,
  options?: { readonly infinite?: boolean | undefined }
): Effect.Effect<number, InvalidConfig> => {
  const parsed = Option.map(Duration.fromInput(value), Duration.toMillis)
  const infinite = options?.infinite === true
  return Option.isSome(parsed) && parsed.value > 0 && (infinite || Number.isFinite(parsed.value))
    ? Effect.succeed(parsed.value)
    : Effect.fail(
      invalid(setting, `a duration longer than zero, such as "30 minutes"${infinite ? ` or "Infinity"` : ""}`, value)
    )
}

/**
 * Checks a rate, and gives its window in milliseconds; `undefined` for no limit. Fails with `InvalidConfig`.
 *
 * @since 0.1.0
 * @category checks
 */
export const rate = (
  setting: string,
  value: Rate | false | undefined
): Effect.Effect<{ readonly limit: number; readonly window: number } | undefined, InvalidConfig> =>
  value === undefined || value === false
    ? Effect.undefined
    : Effect.all({
      limit: wholeNumber(`${setting}.limit`, value.limit, 1),
      window: duration(`${setting}.window`, value.window)
    })

/**
 * Checks settings and fills in the defaults. Fails with `InvalidConfig` for the first setting that is not valid.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<SessionsConfig["Service"], InvalidConfig> =>
  Effect.all({
    maxSessions: wholeNumber("maxSessions", options.maxSessions ?? 10_000, 1),
    startRate: rate("startRate", options.startRate ?? { limit: 100, window: "1 minute" }),
    startRatePerAddress: rate("startRatePerAddress", options.startRatePerAddress),
    idleTimeout: duration("idleTimeout", options.idleTimeout ?? "1 hour", { infinite: true }),
    absoluteTimeout: duration("absoluteTimeout", options.absoluteTimeout ?? "Infinity", { infinite: true }),
    sweepInterval: duration("sweepInterval", options.sweepInterval ?? "60 seconds"),
    callTimeout: duration("callTimeout", options.callTimeout ?? "5 seconds"),
    startTimeout: duration("startTimeout", options.startTimeout ?? "30 seconds", { infinite: true }),
    mailboxCapacity: wholeNumber("mailboxCapacity", options.mailboxCapacity ?? 1_000, 1),
    messageRate: rate("messageRate", options.messageRate),
    shutdownGrace: duration("shutdownGrace", options.shutdownGrace ?? "10 seconds"),
    defaultKind: options.defaultKind === ""
      ? Effect.fail(invalid("defaultKind", "the name of a kind", ""))
      : Effect.succeed(options.defaultKind ?? "Bag")
  })

const setting = <A>(
  name: string,
  expected: string,
  parse: (text: string) => A | undefined
): Effect.Effect<A | undefined, InvalidConfig> =>
  Effect.flatMap(
    Effect.mapError(
      Config.option(Config.String(name)),
      () => new InvalidConfig({ setting: name, message: `${name} could not be read` })
    ),
    (found) => {
      if (Option.isNone(found)) return Effect.undefined
      const value = parse(found.value.trim())
      return value === undefined ? Effect.fail(invalid(name, expected, found.value)) : Effect.succeed(value)
    }
  )

const count = (name: string) =>
  setting(name, "a whole number of at least 1", (text) => {
    const value = Number(text)
    return /^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1 ? value : undefined
  })

const time = (name: string, infinite = false) =>
  setting(
    name,
    `a duration longer than zero, such as "30 minutes"${infinite ? ` or "Infinity"` : ""}`,
    (text) => {
      const parsed = Duration.fromInput(text as Duration.Input)
      if (Option.isNone(parsed)) return undefined
      const millis = Duration.toMillis(parsed.value)
      return millis > 0 && (infinite || Number.isFinite(millis)) ? parsed.value : undefined
    }
  )

const perMinute = (name: string) =>
  Effect.map(
    setting(name, `a whole number of at least 1 (a minute), or "off"`, (text) => {
      if (text === "off") return false as const
      const value = Number(text)
      return /^\d+$/.test(text) && Number.isSafeInteger(value) && value >= 1 ? value : undefined
    }),
    (limit): Rate | false | undefined => typeof limit === "number" ? { limit, window: "1 minute" } : limit
  )

/**
 * Reads settings from the environment (or from the current `ConfigProvider`). `SESSIONS_PRESET` overrides the given
 * defaults, and single variables override the preset. The names of the variables are in `docs/configuration.md`. Fails
 * with `InvalidConfig` for a value that is not valid.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromEnv = (defaults: Options = {}): Effect.Effect<Options, InvalidConfig> =>
  Effect.gen(function*() {
    const preset = yield* setting(
      "SESSIONS_PRESET",
      `one of ${Object.keys(presets).join(", ")}`,
      (name) => Object.hasOwn(presets, name) ? presets[name] : undefined
    )
    const read = yield* Effect.all({
      maxSessions: count("SESSIONS_MAX"),
      startRate: perMinute("SESSIONS_RATE_LIMIT"),
      startRatePerAddress: perMinute("SESSIONS_RATE_LIMIT_PER_ADDRESS"),
      idleTimeout: time("SESSIONS_TTL", true),
      absoluteTimeout: time("SESSIONS_ABSOLUTE_TTL", true),
      sweepInterval: time("SESSIONS_SWEEP_INTERVAL"),
      callTimeout: time("SESSIONS_CALL_TIMEOUT"),
      startTimeout: time("SESSIONS_START_TIMEOUT", true),
      mailboxCapacity: count("SESSIONS_MAILBOX_CAPACITY"),
      messageRate: perMinute("SESSIONS_MESSAGE_RATE"),
      shutdownGrace: time("SESSIONS_SHUTDOWN_GRACE"),
      defaultKind: setting("SESSIONS_DEFAULT_KIND", "the name of a kind", (text) => text === "" ? undefined : text)
    })
    const given = Object.fromEntries(Object.entries(read).filter(([, value]) => value !== undefined))
    return { ...defaults, ...preset, ...given }
  })
