import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Layer } from "effect"
import { SessionError, Sessions, SessionsConfig } from "effect-sessions"

const withEnv = (env: Record<string, string>) =>
  Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env, preserveEmptyStrings: true })))

/** The settings that this environment leads to, over the given ones. */
const fromEnv = (env: Record<string, string>, defaults?: SessionsConfig.Options) =>
  Effect.flatMap(SessionsConfig.fromEnv(defaults), SessionsConfig.make).pipe(withEnv(env))

const minute = 60_000

const defaults: SessionsConfig.SessionsConfig["Service"] = {
  maxSessions: 10_000,
  startRate: { limit: 100, window: minute },
  startRatePerAddress: undefined,
  idleTimeout: 60 * minute,
  absoluteTimeout: Infinity,
  sweepInterval: minute,
  callTimeout: 5_000,
  startTimeout: 30_000,
  mailboxCapacity: 1_000,
  messageRate: undefined,
  shutdownGrace: 10_000,
  defaultKind: "Bag"
}

describe("the settings of sessions", () => {
  it.effect("have the documented defaults", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* SessionsConfig.make(), defaults)
      assert.deepStrictEqual(yield* SessionsConfig.make({}), defaults)
      assert.deepStrictEqual(yield* SessionsConfig.make({ maxSessions: undefined, idleTimeout: undefined }), defaults)
    }))

  it.effect("come from code, in any form of a duration", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* SessionsConfig.make({
          maxSessions: 1,
          startRate: { limit: 1, window: "1 second" },
          startRatePerAddress: { limit: 5, window: [2, 0] },
          idleTimeout: Duration.minutes(30),
          absoluteTimeout: "1 day",
          sweepInterval: 500,
          callTimeout: 1_000_000_000n,
          startTimeout: "2 seconds",
          mailboxCapacity: 1,
          messageRate: { limit: 20, window: { seconds: 1 } },
          shutdownGrace: "1 second",
          defaultKind: "Cart"
        }),
        {
          maxSessions: 1,
          startRate: { limit: 1, window: 1_000 },
          startRatePerAddress: { limit: 5, window: 2_000 },
          idleTimeout: 30 * minute,
          absoluteTimeout: 24 * 60 * minute,
          sweepInterval: 500,
          callTimeout: 1_000,
          startTimeout: 2_000,
          mailboxCapacity: 1,
          messageRate: { limit: 20, window: 1_000 },
          shutdownGrace: 1_000,
          defaultKind: "Cart"
        }
      )
    }))

  it.effect("can switch limits off", () =>
    Effect.gen(function*() {
      const config = yield* SessionsConfig.make({
        startRate: false,
        startRatePerAddress: false,
        messageRate: false,
        idleTimeout: "Infinity"
      })
      assert.isUndefined(config.startRate)
      assert.isUndefined(config.startRatePerAddress)
      assert.isUndefined(config.messageRate)
      assert.strictEqual(config.idleTimeout, Infinity)
    }))

  it.effect("have presets for development, production and high traffic", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* SessionsConfig.make(SessionsConfig.development), {
        ...defaults,
        maxSessions: 10_000,
        startRate: { limit: 1_000, window: minute },
        startRatePerAddress: { limit: 300, window: minute }
      })
      assert.deepStrictEqual(yield* SessionsConfig.make(SessionsConfig.production), {
        ...defaults,
        maxSessions: 50_000,
        startRate: { limit: 500, window: minute },
        startRatePerAddress: { limit: 60, window: minute }
      })
      assert.deepStrictEqual(yield* SessionsConfig.make(SessionsConfig.highTraffic), {
        ...defaults,
        maxSessions: 100_000,
        startRate: { limit: 2_000, window: minute },
        startRatePerAddress: { limit: 120, window: minute }
      })
    }))

  interface Invalid {
    readonly setting: string
    readonly value: unknown
    readonly options: SessionsConfig.Options
  }
  const counts = [0, -1, 1.5, NaN, Infinity]
  const bounded = [0, -1, NaN, "0 millis", "-1 minutes", "Infinity", "-Infinity"] as const
  const unbounded = bounded.filter((value) => value !== "Infinity")
  const rates = ["startRate", "startRatePerAddress", "messageRate"] as const
  const invalid: ReadonlyArray<Invalid> = [
    ...counts.flatMap((value): Array<Invalid> => [
      { setting: "maxSessions", value, options: { maxSessions: value } },
      { setting: "mailboxCapacity", value, options: { mailboxCapacity: value } },
      ...rates.map((rate) => ({
        setting: `${rate}.limit`,
        value,
        options: { [rate]: { limit: value, window: "1 minute" } }
      }))
    ]),
    ...unbounded.flatMap((value): Array<Invalid> => [
      { setting: "idleTimeout", value, options: { idleTimeout: value } },
      { setting: "absoluteTimeout", value, options: { absoluteTimeout: value } }
    ]),
    ...bounded.flatMap((value): Array<Invalid> => [
      { setting: "sweepInterval", value, options: { sweepInterval: value } },
      { setting: "callTimeout", value, options: { callTimeout: value } },
      { setting: "shutdownGrace", value, options: { shutdownGrace: value } },
      ...rates.map((rate) => ({ setting: `${rate}.window`, value, options: { [rate]: { limit: 1, window: value } } }))
    ])
  ]

  it.effect.each(invalid)("refuse $setting of $value", ({ options, setting }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(SessionsConfig.make(options))
      assert.instanceOf(error, SessionError.InvalidConfig)
      assert.strictEqual(error.setting, setting)
      assert.isTrue(error.message.startsWith(`${setting} must be a`), error.message)
      assert.notInclude(error.message, "\n")
    }))

  it.effect("fail the Layer of the sessions when one is not usable", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(Sessions.layer({ maxSessions: 0 }))))
      assert.strictEqual(error.message, "maxSessions must be a whole number of at least 1, got 0")
    }))
})

describe("the settings from the environment", () => {
  it.effect("are the defaults when nothing is set", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* fromEnv({}), defaults)
      assert.deepStrictEqual(yield* fromEnv({ SESSIONS: "x", SESSIONS_: "x", PATH: "x" }), defaults)
    }))

  const good: ReadonlyArray<readonly [string, string, Partial<typeof defaults>]> = [
    ["SESSIONS_MAX", "500", { maxSessions: 500 }],
    ["SESSIONS_MAX", " 500 ", { maxSessions: 500 }],
    ["SESSIONS_RATE_LIMIT", "7", { startRate: { limit: 7, window: minute } }],
    ["SESSIONS_RATE_LIMIT", "off", { startRate: undefined }],
    ["SESSIONS_RATE_LIMIT_PER_ADDRESS", "3", { startRatePerAddress: { limit: 3, window: minute } }],
    ["SESSIONS_RATE_LIMIT_PER_ADDRESS", "off", { startRatePerAddress: undefined }],
    ["SESSIONS_TTL", "30 minutes", { idleTimeout: 30 * minute }],
    ["SESSIONS_TTL", "1.5 hours", { idleTimeout: 90 * minute }],
    ["SESSIONS_TTL", "Infinity", { idleTimeout: Infinity }],
    ["SESSIONS_ABSOLUTE_TTL", "1 day", { absoluteTimeout: 1_440 * minute }],
    ["SESSIONS_ABSOLUTE_TTL", "Infinity", { absoluteTimeout: Infinity }],
    ["SESSIONS_SWEEP_INTERVAL", "5 seconds", { sweepInterval: 5_000 }],
    ["SESSIONS_CALL_TIMEOUT", "250 millis", { callTimeout: 250 }],
    ["SESSIONS_START_TIMEOUT", "2 seconds", { startTimeout: 2_000 }],
    ["SESSIONS_MAILBOX_CAPACITY", "10", { mailboxCapacity: 10 }],
    ["SESSIONS_MESSAGE_RATE", "600", { messageRate: { limit: 600, window: minute } }],
    ["SESSIONS_MESSAGE_RATE", "off", { messageRate: undefined }],
    ["SESSIONS_SHUTDOWN_GRACE", "30 seconds", { shutdownGrace: 30_000 }],
    ["SESSIONS_DEFAULT_KIND", "Cart", { defaultKind: "Cart" }],
    ["SESSIONS_PRESET", "development", {
      startRate: { limit: 1_000, window: minute },
      startRatePerAddress: { limit: 300, window: minute }
    }],
    ["SESSIONS_PRESET", "production", {
      maxSessions: 50_000,
      startRate: { limit: 500, window: minute },
      startRatePerAddress: { limit: 60, window: minute }
    }],
    ["SESSIONS_PRESET", "high-traffic", {
      maxSessions: 100_000,
      startRate: { limit: 2_000, window: minute },
      startRatePerAddress: { limit: 120, window: minute }
    }]
  ]

  it.effect.each(good)("take %s=%j", ([name, value, expected]) =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* fromEnv({ [name]: value }), { ...defaults, ...expected })
    }))

  const badCounts = ["0", "-1", "1.5", "1e3", "0x10", "ten", "", " ", "Infinity", "NaN", "99999999999999999999"]
  const badTimes = ["0 seconds", "-1 minutes", "30", "half an hour", "30 parsecs", "", "-Infinity", "NaN seconds"]
  const bad: ReadonlyArray<readonly [string, string]> = [
    ...["SESSIONS_MAX", "SESSIONS_MAILBOX_CAPACITY"].flatMap((name) =>
      [...badCounts, "off"].map((value) => [name, value] as const)
    ),
    ...["SESSIONS_RATE_LIMIT", "SESSIONS_RATE_LIMIT_PER_ADDRESS", "SESSIONS_MESSAGE_RATE"].flatMap((name) =>
      [...badCounts, "OFF", "100/minute"].map((value) => [name, value] as const)
    ),
    ...["SESSIONS_TTL", "SESSIONS_ABSOLUTE_TTL"].flatMap((name) => badTimes.map((value) => [name, value] as const)),
    ...["SESSIONS_SWEEP_INTERVAL", "SESSIONS_CALL_TIMEOUT", "SESSIONS_SHUTDOWN_GRACE"].flatMap((name) =>
      [...badTimes, "Infinity"].map((value) => [name, value] as const)
    ),
    ["SESSIONS_DEFAULT_KIND", ""],
    ["SESSIONS_DEFAULT_KIND", "  "],
    ["SESSIONS_PRESET", ""],
    ["SESSIONS_PRESET", "staging"],
    ["SESSIONS_PRESET", "constructor"],
    ["SESSIONS_PRESET", "__proto__"]
  ]

  it.effect.each(bad)("refuse %s=%j with one line that names it", ([name, value]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(fromEnv({ [name]: value }))
      assert.instanceOf(error, SessionError.InvalidConfig)
      assert.strictEqual(error.setting, name)
      assert.isTrue(error.message.startsWith(`${name} must be `), error.message)
      assert.isTrue(error.message.endsWith(`, got "${value}"`), error.message)
      assert.notInclude(error.message, "\n")
    }))

  it.effect("list the presets when the given one is unknown", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(fromEnv({ SESSIONS_PRESET: "staging" }))
      assert.include(error.message, "development, production, high-traffic")
    }))

  it.effect("go over the preset, which goes over those from code", () =>
    Effect.gen(function*() {
      const code: SessionsConfig.Options = {
        maxSessions: 1,
        startRate: { limit: 1, window: "1 second" },
        callTimeout: "1 second"
      }
      assert.deepStrictEqual(yield* fromEnv({}, code), {
        ...defaults,
        maxSessions: 1,
        startRate: { limit: 1, window: 1_000 },
        callTimeout: 1_000
      })
      assert.deepStrictEqual(yield* fromEnv({ SESSIONS_PRESET: "production", SESSIONS_MAX: "77" }, code), {
        ...defaults,
        maxSessions: 77,
        startRate: { limit: 500, window: minute },
        startRatePerAddress: { limit: 60, window: minute },
        callTimeout: 1_000
      })
      assert.isUndefined((yield* fromEnv({ SESSIONS_RATE_LIMIT: "off", SESSIONS_PRESET: "production" })).startRate)
    }))

  it.effect("reach the sessions through layerFromEnv", () =>
    Effect.gen(function*() {
      const { limit } = yield* (yield* Sessions).count
      assert.strictEqual(limit, 42)
      assert.strictEqual((yield* SessionsConfig.SessionsConfig).callTimeout, 1_000)
    }).pipe(
      Effect.provide(Sessions.layerFromEnv({ callTimeout: "1 second", maxSessions: 7 })),
      withEnv({ SESSIONS_MAX: "42" })
    ))

  it.effect("fail layerFromEnv when it is built, not when it is used", () =>
    Effect.gen(function*() {
      const layer = Sessions.layerFromEnv()
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error.message, "SESSIONS_MAX must be a whole number of at least 1, got \"many\"")
    }).pipe(withEnv({ SESSIONS_MAX: "many" })))
})

describe("what a message quotes", () => {
  it.effect("is what was given, on one line", () =>
    Effect.gen(function*() {
      const got = (options: SessionsConfig.Options) =>
        Effect.map(Effect.flip(SessionsConfig.make(options)), ({ message }) => message.split(", got ")[1])
      assert.strictEqual(yield* got({ maxSessions: NaN }), "NaN")
      assert.strictEqual(yield* got({ maxSessions: Infinity }), "Infinity")
      assert.strictEqual(yield* got({ idleTimeout: 0n }), "0")
      assert.strictEqual(yield* got({ idleTimeout: "1\n2" as never }), "\"1\\n2\"")
      assert.strictEqual(yield* got({ defaultKind: "" }), "\"\"")
    }))
})
