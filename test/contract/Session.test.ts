import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { type KindOptions, Session, SessionError, Sessions, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

const define = (name: string, protocol: ReadonlyArray<Rpc.Any> = [Rpc.make("Ping")]) =>
  Session.Service<never>()(name, { state: Schema.Int, protocol })

class Kind extends Session.Service<Kind>()("Kind", { state: Schema.Int, protocol: [Rpc.make("Ping")] }) {}
const behavior = Kind.behavior({ init: () => 0, handlers: { Ping: ({ state }) => [state] } })

const build = <A, E>(kind: Layer.Layer<A, E, Layer.Success<ReturnType<typeof Sessions.layer>>>) =>
  Effect.scoped(Effect.asVoid(Layer.build(TestSessions.layer(kind))))

describe("the definition of a kind", () => {
  it.each(["Cart", "a", "cart-2", "cart_2", "C".repeat(64)])("takes the name %j", (name) => {
    assert.strictEqual(define(name).kind, name)
  })

  it.each(["", "2cart", "-cart", "_cart", "my cart", "cart/2", "cart.2", "cart\n", "Wägen", "C".repeat(65)])(
    "refuses the name %j and says what a name may be",
    (name) => {
      assert.throws(() => define(name), TypeError, /is not a name for a kind of session: it starts with a letter/)
      assert.throws(() => define(name), TypeError, `"${name}"`)
    }
  )

  it("refuses a message that is defined twice and names it", () => {
    assert.throws(
      () => define("Cart", [Rpc.make("Add"), Rpc.make("Clear"), Rpc.make("Add", { payload: Schema.Int })]),
      TypeError,
      "session kind Cart: the message Add is defined twice"
    )
  })

  it("refuses a streaming message and says what to do instead", () => {
    assert.throws(
      () => define("Cart", [Rpc.make("Follow", { success: Schema.Int, stream: true })]),
      TypeError,
      "session kind Cart: the message Follow streams; watch the state instead"
    )
  })

  it("shows its contract: name, schemas and messages, and has defaults for those left out", () => {
    const Add = Rpc.make("Add", { payload: Schema.Int })
    const state = Schema.Struct({ n: Schema.Int })
    class Full extends Session.Service<Full>()("Full", {
      state,
      protocol: [Add, Rpc.make("Clear")],
      args: Schema.String,
      error: Schema.Literal("full")
    }) {}
    assert.strictEqual(Full.kind, "Full")
    assert.strictEqual(Full.key, "effect-sessions/kind/Full")
    assert.strictEqual(Full.state, state)
    assert.strictEqual(Full.protocol.get("Add"), Add)
    assert.deepStrictEqual(Array.from(Full.protocol.keys()), ["Add", "Clear"])
    assert.isTrue(Schema.is(Full.args)("text"))
    assert.isTrue(Schema.is(Full.error)("full"))
    assert.isTrue(Schema.is(Kind.args)(undefined))
    assert.isFalse(Schema.is(Kind.error)("full"))
  })

  it.effect("provides its sessions under its own class", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      assert.strictEqual(kinds.kind, "Kind")
      assert.deepStrictEqual(yield* (yield* Sessions).kinds, ["Kind"])
    }).pipe(Effect.provide(TestSessions.layer(Kind.toLayer(behavior)))))

  it.effect("takes a behavior that an Effect makes, and fails as that does", () =>
    Effect.gen(function*() {
      yield* build(Kind.toLayer(Effect.succeed(behavior)))
      const error = yield* Effect.flip(build(Kind.toLayer(Effect.fail("no stock"))))
      assert.strictEqual(error, "no stock")
    }))
})

describe("the registration of a kind", () => {
  it.effect("fails for a second kind of the same name", () =>
    Effect.gen(function*() {
      class Twin extends Session.Service<Twin>()("Kind", { state: Schema.Int, protocol: [] }) {}
      const error = yield* Effect.flip(build(Layer.mergeAll(
        Kind.toLayer(behavior),
        Twin.toLayer(Twin.behavior({ init: () => 0, handlers: {} }))
      )))
      assert.instanceOf(error, SessionError.InvalidConfig)
      assert.include(error.message, "\"Kind\"")
      assert.include(error.message, "registered already")
    }))

  it.effect("leaves the first kind of that name as it was", () =>
    Effect.gen(function*() {
      const kinds = yield* Kind
      const ref = yield* kinds.start("a")
      const host = yield* Effect.context<Layer.Success<ReturnType<typeof Sessions.layer>>>()
      const twin = Effect.provide(Effect.scoped(Layer.build(Kind.toLayer(behavior))), host)
      assert.instanceOf(yield* Effect.flip(twin), SessionError.InvalidConfig)
      assert.isTrue(yield* ref.isLive)
      yield* ref.call("Ping")
      yield* kinds.start("b")
      assert.deepStrictEqual(yield* (yield* Sessions).kinds, ["Kind"])
    }).pipe(Effect.provide(TestSessions.layer(Kind.toLayer(behavior)))))

  it.effect("can be repeated once the first is over", () =>
    Effect.gen(function*() {
      const sessions = yield* Sessions
      const host = yield* Effect.context<Layer.Success<ReturnType<typeof Sessions.layer>>>()
      for (let i = 0; i < 2; i++) {
        yield* Effect.gen(function*() {
          yield* (yield* Kind).start("a")
          assert.deepStrictEqual(yield* sessions.kinds, ["Kind"])
        }).pipe(Effect.provide(Layer.provide(Kind.toLayer(behavior), Layer.succeedContext(host))))
        assert.deepStrictEqual(yield* sessions.kinds, [])
        assert.strictEqual((yield* sessions.count).count, 0)
      }
    }).pipe(Effect.provide(TestSessions.layer(Layer.empty))))

  type Options = KindOptions.KindOptions<"Ping">

  const counts: ReadonlyArray<number> = [0, -1, 1.5, NaN, Infinity]
  const bounded = [0, -1, NaN, "0 seconds", "-5 seconds", "Infinity", "-Infinity"] as const
  const unbounded = bounded.filter((value) => value !== "Infinity")
  interface Invalid {
    readonly setting: string
    readonly value: unknown
    readonly options: Options
  }
  const invalid: ReadonlyArray<Invalid> = [
    ...counts.flatMap((value): Array<Invalid> => [
      { setting: "mailboxCapacity", value, options: { mailboxCapacity: value } },
      { setting: "batch", value, options: { batch: value } },
      { setting: "messageRate.limit", value, options: { messageRate: { limit: value, window: "1 second" } } },
      { setting: "remember.answers", value, options: { remember: { answers: value } } },
      { setting: "remember.clients", value, options: { remember: { clients: value } } }
    ]),
    ...unbounded.flatMap((value): Array<Invalid> => [
      { setting: "idleTimeout", value, options: { idleTimeout: value } },
      { setting: "absoluteTimeout", value, options: { absoluteTimeout: value } },
      { setting: "callTimeout", value, options: { callTimeout: value } }
    ]),
    ...bounded.map((value) => ({
      setting: "messageRate.window",
      value,
      options: { messageRate: { limit: 1, window: value } }
    }))
  ]

  it.effect.each(invalid)("refuses $setting of $value", ({ options, setting }) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(build(Kind.toLayer(behavior, options)))
      assert.instanceOf(error, SessionError.InvalidConfig)
      assert.strictEqual(error.setting, `Kind.${setting}`)
      assert.isTrue(error.message.startsWith(`Kind.${setting} must be a`), error.message)
      assert.notInclude(error.message, "\n")
    }))

  it.effect("refuses a duration that is none", () =>
    Effect.gen(function*() {
      const options = { idleTimeout: "half an hour" } as unknown as Options
      const error = yield* Effect.flip(build(Kind.toLayer(behavior, options)))
      assert.instanceOf(error, SessionError.InvalidConfig)
      assert.include(error.message, "Kind.idleTimeout must be a duration")
      assert.include(error.message, "got \"half an hour\"")
    }))

  it.effect.each<Options>([
    {},
    { mailboxCapacity: 1, batch: 1, messageRate: { limit: 1, window: 1 } },
    { remember: { answers: 1, clients: 1 } },
    { remember: {} },
    { remember: { answers: undefined, clients: undefined } },
    { idleTimeout: "Infinity", absoluteTimeout: "Infinity", callTimeout: "Infinity" },
    { idleTimeout: 0.5, absoluteTimeout: "1 nanos", callTimeout: "1 micros" },
    { mailboxCapacity: undefined, idleTimeout: undefined, messageRate: undefined }
  ])("takes %o", (options) => build(Kind.toLayer(behavior, options)))
})

describe("the options of a kind that are not numbers", () => {
  const { resume } = Supervision
  const bad: ReadonlyArray<readonly [setting: string, options: KindOptions.KindOptions<"Ping">]> = [
    ["Kind.overflow", { overflow: "bogus" as never }],
    ["Kind.overflow.Ping", { overflow: { Ping: "bogus" as never } }],
    ["Kind.overflow.Pong", { overflow: { Pong: "wait" } as never }],
    ["Kind.supervision.maxCrashes", { supervision: resume({ maxCrashes: NaN }) }],
    ["Kind.supervision.maxCrashes", { supervision: resume({ maxCrashes: -1 }) }],
    ["Kind.supervision.maxCrashes", { supervision: resume({ maxCrashes: 1.5 }) }],
    ["Kind.supervision.within", { supervision: resume({ within: 0 }) }],
    ["Kind.supervision.within", { supervision: resume({ within: "bogus" as never }) }]
  ]

  for (const [setting, options] of bad) {
    it.effect(`an unusable ${setting} (${JSON.stringify(options)}) stops the Layer`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(build(Kind.toLayer(behavior, options)))
        assert.strictEqual(error.setting, setting)
        assert.include(error.message, setting)
      }))
  }
})
