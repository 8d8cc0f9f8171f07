/**
 * The keys that tokens are verified with: secrets, public keys, or the key set of an identity provider.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import { taggedError } from "../../contract/internal/taggedError.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"
import { withoutStack } from "../../internal/withoutStack.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { importKey, importSecrets, invalid, pin, type Secrets } from "./internal/jwtImport.ts"
import { type Algorithm, type KeyPairAlgorithm, keyPairAlgorithms, type SecretAlgorithm } from "./JwtAlgorithm.ts"

/**
 * The keys that tokens are verified with cannot be fetched, so nothing can be said about the token. `retryAfter` is
 * in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeysUnavailable extends taggedError<KeysUnavailable>()("KeysUnavailable", { retryAfter: Schema.Number }, {
  status: 503,
  retrySafe: true
}) {
  static of(retryAfter: number): KeysUnavailable {
    return withoutStack(() =>
      new KeysUnavailable({
        retryAfter,
        message: `the keys that verify tokens cannot be fetched, try again in ${Math.ceil(retryAfter / 1000)} s`
      })
    )
  }
}

/**
 * What a token's header says about its key. `alg` is one of the pinned algorithms.
 *
 * @since 0.1.0
 * @category models
 */
export interface Header {
  readonly alg: Algorithm
  readonly kid?: string
}

/** The keys of a set that fit a header; those that cannot be imported are left out. */
const fitting = (set: Jose.LocalJWKSet, header: Header): Effect.Effect<ReadonlyArray<Jose.CryptoKey>> =>
  Effect.promise(async () => {
    try {
      return [await set({ ...header })]
    } catch (error) {
      const keys: Array<Jose.CryptoKey> = []
      if (error instanceof Jose.errors.JWKSMultipleMatchingKeys) { for await (const key of error) keys.push(key) }
      return keys
    }
  })

const JwkSet = Schema.Struct({
  keys: Schema.Array(
    Schema.StructWithRest(Schema.Struct({ kty: Schema.String, kid: Schema.optionalKey(Schema.String) }), [
      Schema.Record(Schema.String, Schema.Unknown)
    ])
  )
})

const toKeySet = (document: unknown) =>
  Effect.flatMap(
    Schema.decodeUnknownEffect(JwkSet)(document),
    ({ keys }) => Effect.try(() => Jose.createLocalJWKSet({ keys: [...keys] }))
  )

/**
 * The keys that are trusted, and the algorithms they are for.
 *
 * @since 0.1.0
 * @category services
 */
export class JwtKeys extends Context.Service<JwtKeys, {
  /** Tokens of any other algorithm are refused before a key is looked for. All with secrets, or all with key pairs. */
  readonly algorithms: ReadonlyArray<Algorithm>
  /** The keys that a token with this header may be signed with. Empty: the token is refused as `UnknownKey`. */
  readonly find: (header: Header) => Effect.Effect<ReadonlyArray<Jose.CryptoKey>, KeysUnavailable>
}>()("effect-sessions/socket/JwtKeys") {
  /**
   * Secrets that this server shares with the issuer, as UTF-8 texts; the `kid` of tokens is ignored. Give several to
   * change the secret: all verify, the first signs. Fails with `InvalidConfig` when one has fewer bytes than the
   * algorithm's hash (32 for HS256). `algorithm` is HS256 by default.
   *
   * @since 0.1.0
   */
  static readonly layerSecret = (
    secret: Secrets,
    { algorithm = "HS256" }: { readonly algorithm?: SecretAlgorithm | undefined } = {}
  ): Layer.Layer<JwtKeys, InvalidConfig> =>
    Layer.effect(
      JwtKeys,
      Effect.map(importSecrets(secret, algorithm), (keys) => ({
        algorithms: [algorithm],
        find: () => Effect.succeed(keys)
      }))
    )

  /**
   * One public key: PEM (SPKI or an X.509 certificate, whose dates are not looked at) or JWK. The `kid` of tokens is
   * ignored. Fails with `InvalidConfig` when the key is not for the algorithm.
   *
   * @since 0.1.0
   */
  static readonly layerPublicKey = (options: {
    readonly algorithm: KeyPairAlgorithm
    readonly key: string | Jose.JWK
  }): Layer.Layer<JwtKeys, InvalidConfig> =>
    Layer.effect(
      JwtKeys,
      Effect.map(importKey("public", options.algorithm, options.key), (key) => ({
        algorithms: [options.algorithm],
        find: () => Effect.succeed([key])
      }))
    )

  /**
   * A JSON Web Key Set that does not change. Keys are chosen by `kid` and by what they say they are for. Fails with
   * `InvalidConfig` when no key of it can be used.
   *
   * @since 0.1.0
   */
  static readonly layerJwkSet = (
    set: Jose.JSONWebKeySet,
    options: { readonly algorithms: ReadonlyArray<KeyPairAlgorithm> }
  ): Layer.Layer<JwtKeys, InvalidConfig> =>
    Layer.effect(
      JwtKeys,
      Effect.gen(function*() {
        const algorithms = yield* pin("algorithms", options.algorithms, keyPairAlgorithms)
        const unusable = invalid("set", `a JWK Set with a public key for ${algorithms.join(" or ")}`)
        const keys = yield* Effect.mapError(toKeySet(set), () => unusable)
        const usable = yield* Effect.forEach(algorithms, (alg) => fitting(keys, { alg }))
        if (usable.flat().length === 0) return yield* unusable
        return { algorithms, find: (header) => fitting(keys, header) }
      })
    )

  /**
   * The JSON Web Key Set at a URL, such as an identity provider's `jwks_uri`. It is fetched when the first token
   * comes, again when it is older than `cacheFor`, and when a token names a key that is not in it; one fetch at a time,
   * which all tokens that need it wait for, and at most one in a `cooldown`. While fetches fail, the keys that were
   * fetched go on being used until they are older than `keepFor`; then, and for keys they do not have, verification
   * fails with `KeysUnavailable`. Each failure is logged as a warning.
   *
   * Who can change the answer can forge tokens: use https. Give the `HttpClient` retries if you want some.
   *
   * @since 0.1.0
   */
  static readonly layerJwksUrl = (
    url: string | URL,
    options: {
      readonly algorithms: ReadonlyArray<KeyPairAlgorithm>
      /** How long keys are used without asking again: how soon a withdrawn key is noticed. Default: 10 minutes. */
      readonly cacheFor?: Duration.Input | undefined
      /** The least time between two fetches. Default: 30 seconds. */
      readonly cooldown?: Duration.Input | undefined
      /** How long keys are used while they cannot be fetched again. Default: 1 hour. */
      readonly keepFor?: Duration.Input | undefined
      /** How long a fetch may take. Default: 5 seconds. */
      readonly timeout?: Duration.Input | undefined
    }
  ): Layer.Layer<JwtKeys, InvalidConfig, HttpClient.HttpClient> =>
    Layer.effect(
      JwtKeys,
      Effect.gen(function*() {
        const algorithms = yield* pin("algorithms", options.algorithms, keyPairAlgorithms)
        const address = String(url)
        if (!/^https?:/i.test(address) || !URL.canParse(address)) return yield* invalid("url", "an https URL")
        const cacheFor = yield* duration("cacheFor", options.cacheFor ?? "10 minutes")
        const cooldown = yield* duration("cooldown", options.cooldown ?? "30 seconds")
        const keepFor = yield* duration("keepFor", options.keepFor ?? "1 hour")
        const timeout = yield* duration("timeout", options.timeout ?? "5 seconds")
        const client = HttpClient.filterStatusOk(yield* HttpClient.HttpClient)
        const clock = new MonotonicClock(yield* Clock.Clock)
        const loading = yield* FiberHandle.make<void, never>()

        let held: { readonly set: Jose.LocalJWKSet; readonly at: number } | undefined
        let failing = true
        let nextFetchAt = -Infinity

        const load = client.get(address, { acceptJson: true }).pipe(
          Effect.flatMap((response) => response.json),
          Effect.flatMap(toKeySet),
          Effect.timeout(timeout),
          Effect.exit,
          Effect.flatMap(Effect.fnUntraced(function*(exit) {
            const at = clock.now()
            nextFetchAt = at + cooldown
            failing = exit._tag === "Failure"
            if (exit._tag === "Success") held = { set: exit.value, at }
            else yield* Effect.logWarning("the keys that verify tokens could not be fetched", exit.cause)
          }))
        )
        // A fiber of the layer's: a verification that is interrupted takes the fetch away from nobody.
        const refresh = Effect.andThen(
          FiberHandle.run(loading, load, { onlyIfMissing: true }),
          FiberHandle.awaitEmpty(loading)
        )
        const lookUp = (header: Header, maxAge: number, now: number) =>
          held !== undefined && now - held.at < maxAge ? fitting(held.set, header) : Effect.succeed([])

        return {
          algorithms,
          find: Effect.fnUntraced(function*(header) {
            let now = clock.now()
            const fresh = yield* lookUp(header, cacheFor, now)
            if (fresh.length > 0) return fresh
            if (now >= nextFetchAt) yield* refresh
            now = clock.now()
            const found = yield* lookUp(header, failing ? Math.max(keepFor, cacheFor) : Infinity, now)
            return found.length === 0 && failing ? yield* KeysUnavailable.of(Math.max(0, nextFetchAt - now)) : found
          })
        }
      })
    )
}
