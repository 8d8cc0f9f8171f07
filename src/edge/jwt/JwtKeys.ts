/**
 * The keys that tokens are verified with: secrets, public keys, or the key set of an identity provider. See `JwtVerifier`.
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
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Jose from "jose"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { MonotonicClock } from "../../internal/MonotonicClock.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { KeysUnavailable } from "../auth/TokenVerifier.ts"
import { importKey, importSecrets, invalid, pin } from "./internal/jwtImport.ts"
import { type Algorithm, type KeyPairAlgorithm, keyPairAlgorithms, type SecretAlgorithm } from "./JwtAlgorithm.ts"

/**
 * One secret as UTF-8 text, or several while it is being replaced: all of them verify, the first signs.
 *
 * @since 0.1.0
 * @category models
 */
export type Secrets = Redacted.Redacted<string> | ReadonlyArray<Redacted.Redacted<string>>

/**
 * What the header of a token says about its key. `alg` is one of the pinned algorithms.
 *
 * @since 0.1.0
 * @category models
 */
export interface Header {
  readonly alg: Algorithm
  readonly kid?: string
}

/** The keys of a set that fit a header, without those that cannot be imported. */
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
 * The trusted keys, and the algorithms that they are for.
 *
 * @since 0.1.0
 * @category services
 */
export class JwtKeys extends Context.Service<JwtKeys, {
  /** Tokens with another algorithm are refused before a key is looked up. All use secrets, or all use key pairs. */
  readonly algorithms: ReadonlyArray<Algorithm>
  /** The keys that may have signed a token with this header. If there are none, the token is refused as `UnknownKey`. */
  readonly find: (header: Header) => Effect.Effect<ReadonlyArray<Jose.CryptoKey>, KeysUnavailable>
}>()("effect-sessions/JwtKeys") {
  /**
   * Secrets that this server shares with the issuer. The `kid` of tokens is ignored. Fails with `InvalidConfig` when a
   * secret has fewer bytes than the hash of the algorithm (32 for HS256, the default).
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
   * One public key, as PEM (SPKI or an X.509 certificate, whose validity dates are ignored) or JWK. The `kid` of tokens is
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
   * A JSON Web Key Set that does not change. A key is chosen by its `kid`, `alg` and `use`. Fails with `InvalidConfig` when
   * no key of the set is usable.
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
   * The JSON Web Key Set at a URL, such as the `jwks_uri` of an identity provider. It is fetched when the first token
   * arrives, when it is older than `cacheFor`, and when a token names a key that it does not contain. There is at most one
   * fetch at a time, which all verifications that need it share, and at most one per `cooldown`. While fetches fail, the
   * keys of the last fetch stay in use until they are older than `keepFor`; after that, and for keys that they do not
   * contain, verification fails with `KeysUnavailable`. Each failed fetch is logged as a warning.
   *
   * Use https: anybody who can change the response can forge tokens. Retries are up to the `HttpClient`.
   *
   * @since 0.1.0
   */
  static readonly layerJwksUrl = (
    url: string | URL,
    options: {
      readonly algorithms: ReadonlyArray<KeyPairAlgorithm>
      /** How long fetched keys are used before they are fetched again: a withdrawn key is noticed then. Default: 10 minutes. */
      readonly cacheFor?: Duration.Input | undefined
      /** The minimum time between two fetches. Default: 30 seconds. */
      readonly cooldown?: Duration.Input | undefined
      /** How long fetched keys are used while fetches fail. Default: 1 hour. */
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
        // The fiber belongs to the Layer, so that interrupting one verification does not end the fetch for the others.
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
