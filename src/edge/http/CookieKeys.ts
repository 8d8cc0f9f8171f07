/**
 * The keys that sign cookies.
 *
 * The first key signs, all keys verify. To rotate keys, put a new one in front, and remove the old one when the cookies that
 * it signed have expired.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto"
import { InvalidConfig } from "../../contract/SessionError.ts"

/** As long as the hash: a shorter key is easier to guess than a signature. */
const minimumBytes = 32

/**
 * Signs and verifies texts with HMAC-SHA256.
 *
 * @since 0.1.0
 * @category services
 */
export class CookieKeys extends Context.Service<CookieKeys, {
  /** The signature of a text: 43 characters of base64url. */
  readonly sign: (text: string) => string
  /** Whether this is the signature of the text by one of the keys. Takes constant time, wherever it differs. */
  readonly verify: (text: string, signature: string) => boolean
}>()("effect-sessions/CookieKeys") {
  /**
   * Signs with the first of these keys and verifies with all. Fails with `InvalidConfig` when there is none, or one has
   * fewer than 32 bytes.
   *
   * @since 0.1.0
   */
  static readonly layer = (
    keys: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
  ): Layer.Layer<CookieKeys, InvalidConfig> =>
    Layer.effect(CookieKeys, make(Redacted.isRedacted(keys) ? [keys] : keys, "cookieKeys"))

  /**
   * A random key: for sessions that do not outlive the process, and for tests.
   *
   * @since 0.1.0
   */
  static readonly layerRandom: Layer.Layer<CookieKeys> = Layer.sync(
    CookieKeys,
    () => signer([createSecretKey(randomBytes(minimumBytes))])
  )

  /**
   * Keys from an environment variable, separated by commas; a random key when it is not set. Fails with `InvalidConfig`
   * when a key has fewer than 32 bytes.
   *
   * @since 0.1.0
   */
  static readonly layerFromEnv = (
    variable = "SESSIONS_COOKIE_KEYS"
  ): Layer.Layer<CookieKeys, InvalidConfig | Config.ConfigError> =>
    Layer.unwrap(Effect.map(
      Config.option(Config.Redacted(variable)),
      Option.match({
        onNone: () => CookieKeys.layerRandom,
        onSome: (text) =>
          Layer.effect(CookieKeys, make(Redacted.value(text).split(",").map((key) => Redacted.make(key)), variable))
      })
    ))
}

const make = (
  keys: ReadonlyArray<Redacted.Redacted>,
  setting: string
): Effect.Effect<CookieKeys["Service"], InvalidConfig> => {
  const bytes = keys.map((key) => Buffer.from(Redacted.value(key)))
  const short = bytes.find(({ length }) => length < minimumBytes)
  if (bytes.length > 0 && short === undefined) return Effect.succeed(signer(bytes.map(createSecretKey)))
  const found = short === undefined ? "there is none" : `one has ${short.length}`
  return Effect.fail(
    new InvalidConfig({ setting, message: `${setting} must be keys of at least ${minimumBytes} bytes, ${found}` })
  )
}

const signer = (keys: ReadonlyArray<KeyObject>): CookieKeys["Service"] => {
  const hash = (key: KeyObject, text: string) => createHmac("sha256", key).update(text)
  return {
    sign: (text) => hash(keys[0]!, text).digest("base64url"),
    verify(text, signature) {
      // Compares texts: base64url has several spellings for the same bytes, of which only one is accepted.
      const given = Buffer.from(signature)
      return keys.some((key) => {
        const expected = Buffer.from(hash(key, text).digest("base64url"))
        return given.length === expected.length && timingSafeEqual(given, expected)
      })
    }
  }
}
