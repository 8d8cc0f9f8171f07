import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted } from "effect"
import { SessionError } from "effect-sessions"
import { CookieKeys } from "effect-sessions/http"

const a = Redacted.make("a".repeat(32))
const b = Redacted.make("b".repeat(32))

const built = <E>(layer: Layer.Layer<CookieKeys, E>) =>
  Effect.map(Effect.scoped(Layer.build(Layer.fresh(layer))), (context) => context.mapUnsafe.get(CookieKeys.key)).pipe(
    Effect.map((keys) => keys as CookieKeys["Service"])
  )

const environment = (env: Record<string, string>) =>
  Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnv({ env })))

describe("CookieKeys", () => {
  it.effect("signs with 43 characters of base64url and verifies what it signed, and nothing else", () =>
    Effect.gen(function*() {
      const keys = yield* built(CookieKeys.layer(a))
      const signature = keys.sign("text")
      assert.match(signature, /^[\w-]{43}$/)
      assert.strictEqual(keys.sign("text"), signature)
      assert.isTrue(keys.verify("text", signature))
      for (const text of ["", "Text", "text ", "tex", "text\0"]) assert.isFalse(keys.verify(text, signature), text)
      for (let length = 0; length < signature.length; length++) {
        assert.isFalse(keys.verify("text", signature.slice(0, length)))
      }
      for (let at = 0; at < signature.length; at++) {
        for (const other of "AQgw_-09=") {
          const forged = signature.slice(0, at) + other + signature.slice(at + 1)
          assert.strictEqual(keys.verify("text", forged), forged === signature)
        }
      }
      const standard = signature.replaceAll("-", "+").replaceAll("_", "/")
      for (
        const forged of [`${signature}=`, ` ${signature}`, `${signature}\n`, "é".repeat(43), "x".repeat(1_000_000)]
      ) {
        assert.isFalse(keys.verify("text", forged))
      }
      if (standard !== signature) assert.isFalse(keys.verify("text", standard))
    }))

  it.effect("of the ways to write the signature's last two bits only one counts", () =>
    Effect.gen(function*() {
      const keys = yield* built(CookieKeys.layer(a))
      const signature = keys.sign("text")
      const bytes = Buffer.from(signature, "base64url")
      const same = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        .map((last) => signature.slice(0, -1) + last)
        .filter((text) => Buffer.from(text, "base64url").equals(bytes))
      assert.strictEqual(same.length, 4)
      assert.deepStrictEqual(same.filter((text) => keys.verify("text", text)), [signature])
    }))

  it.effect("the first key signs, all keys verify, and a removed key does not", () =>
    Effect.gen(function*() {
      const old = yield* built(CookieKeys.layer(a))
      const both = yield* built(CookieKeys.layer([b, a]))
      const renewed = yield* built(CookieKeys.layer([b]))
      const signature = old.sign("text")
      assert.isTrue(both.verify("text", signature))
      assert.isFalse(renewed.verify("text", signature))
      assert.isTrue(renewed.verify("text", both.sign("text")))
      assert.isFalse(old.verify("text", both.sign("text")))
    }))

  it.effect("keys that are too short, or none at all, are refused with an error that does not contain them", () =>
    Effect.gen(function*() {
      for (const keys of [[], [Redacted.make("")], [Redacted.make("k".repeat(31))], [a, Redacted.make("short")]]) {
        const error = yield* Effect.flip(built(CookieKeys.layer(keys)))
        assert.instanceOf(error, SessionError.InvalidConfig)
        assert.strictEqual(error.setting, "cookieKeys")
        assert.notInclude(error.message, "short,")
        assert.notInclude(error.message, "kkk")
      }
      // Bytes count, not characters.
      yield* built(CookieKeys.layer(Redacted.make("é".repeat(16))))
    }))

  it.effect("random keys are different ones", () =>
    Effect.gen(function*() {
      const one = yield* built(CookieKeys.layerRandom)
      const two = yield* built(CookieKeys.layerRandom)
      assert.isTrue(one.verify("text", one.sign("text")))
      assert.isFalse(two.verify("text", one.sign("text")))
    }))

  it.effect("come from the environment", () =>
    Effect.gen(function*() {
      const old = yield* built(CookieKeys.layer(a))
      const now = yield* built(CookieKeys.layer(b))
      const both = `${Redacted.value(b)},${Redacted.value(a)}`
      for (
        const [variable, layer] of [
          ["SESSIONS_COOKIE_KEYS", CookieKeys.layerFromEnv()],
          ["KEYS", CookieKeys.layerFromEnv("KEYS")]
        ] as const
      ) {
        const keys = yield* environment({ [variable]: both })(built(layer))
        assert.isTrue(keys.verify("text", old.sign("text")))
        assert.strictEqual(keys.sign("text"), now.sign("text"))
        const random = yield* environment({})(built(layer))
        assert.isTrue(random.verify("text", random.sign("text")))
        assert.isFalse(random.verify("text", old.sign("text")))
        for (const bad of ["short", `${both},`, `,${both}`]) {
          const error = yield* environment({ [variable]: bad })(Effect.flip(built(layer)))
          assert.instanceOf(error, SessionError.InvalidConfig, bad)
          assert.strictEqual(error.setting, variable)
        }
      }
    }))

  it.effect("a variable that is empty counts as not set, as everywhere in Effect's Config", () =>
    Effect.gen(function*() {
      const keys = yield* environment({ SESSIONS_COOKIE_KEYS: "" })(built(CookieKeys.layerFromEnv()))
      assert.isTrue(keys.verify("text", keys.sign("text")))
    }))
})
