/**
 * JSON Web Tokens: who is at the other end of a connection.
 *
 * Three services, over `jose`: `JwtKeys` holds the keys that are trusted, `JwtVerifier` checks a token against them
 * and gives its claims, `JwtSigner` issues tokens where no identity provider does. The algorithms are pinned by the
 * keys' Layer: what a token says of itself only chooses among them. Time is Effect's Clock. No error shows anything of
 * a token, a claim's value or a key.
 *
 * ```ts
 * const Tokens = JwtVerifier.layer({ issuer: "https://id.example", audience: "shop" }).pipe(
 *   Layer.provide(JwtKeys.layerJwksUrl("https://id.example/jwks.json", { algorithms: ["RS256"] })),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * Not for sessions' own cookies, nor for encrypted tokens (JWE).
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberHandle from "effect/FiberHandle"
import * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as Jose from "jose"
import { withoutStack } from "../../contract/internal/withoutStack.ts"
import { InvalidConfig, type SessionErrorLike } from "../../contract/SessionError.ts"
import { duration, wholeNumber } from "../../policy/SessionsConfig.ts"

const secretAlgorithms = ["HS256", "HS384", "HS512"] as const

const rsaAlgorithms = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] as const

const curveAlgorithms = ["ES256", "ES384", "ES512", "EdDSA", "Ed25519"] as const

const keyPairAlgorithms = [...rsaAlgorithms, ...curveAlgorithms] as const

/**
 * Algorithms with one secret that both signs and verifies.
 *
 * @since 0.1.0
 * @category models
 */
export type SecretAlgorithm = (typeof secretAlgorithms)[number]

/**
 * Algorithms with a private key that signs and a public key that verifies. "EdDSA" and "Ed25519" are an older and a
 * newer name of the same one, but different texts in a token's header: pin the one that your issuer writes.
 *
 * @since 0.1.0
 * @category models
 */
export type KeyPairAlgorithm = (typeof keyPairAlgorithms)[number]

/**
 * The algorithms that keys can be pinned to. There is no "none".
 *
 * @since 0.1.0
 * @category models
 */
export type Algorithm = SecretAlgorithm | KeyPairAlgorithm

/**
 * What a verified token says. Times are in seconds since the epoch; other claims are as the issuer wrote them, so
 * decode those you use with a schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claims extends Jose.JWTPayload {
  /** Whom the token is about. Never empty. */
  readonly sub: string
  /** When the token ends, in seconds since the epoch. Always finite. */
  readonly exp: number
}

const explanations = {
  Malformed: "the token is not a well-formed JWT",
  Algorithm: "the token's algorithm is not one that is accepted here",
  UnknownKey: "no trusted key fits the token: it is of another issuer, or its key was withdrawn",
  Signature: "the token's signature is wrong",
  Expired: "the token has expired: get a new one",
  NotYetValid: "the token is not valid yet: do the clocks agree?",
  Audience: "the token is meant for another audience",
  Issuer: "the token is of another issuer",
  Claims: "the token's claims are incomplete"
}

type Reason = keyof typeof explanations

/**
 * The token is not accepted. `reason` says why, for logs and metrics; neither it nor the message shows anything of the
 * token. Trying again is safe, and helps with another token.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidToken extends Schema.TaggedError<InvalidToken>()(
  "InvalidToken",
  { reason: Schema.Literals(Struct.keys(explanations)), message: Schema.String },
  { httpApiStatus: 401 }
) implements SessionErrorLike {
  static of(reason: Reason, message = explanations[reason]): InvalidToken {
    return withoutStack(() => new InvalidToken({ reason, message }))
  }
  get httpStatus(): 401 {
    return 401
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The keys that tokens are verified with cannot be fetched, so nothing can be said about the token. `retryAfter` is
 * in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeysUnavailable extends Schema.TaggedError<KeysUnavailable>()(
  "KeysUnavailable",
  { retryAfter: Schema.Number, message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike {
  static of(retryAfter: number): KeysUnavailable {
    return withoutStack(() =>
      new KeysUnavailable({
        retryAfter,
        message: `the keys that verify tokens cannot be fetched, try again in ${Math.ceil(retryAfter / 1000)} s`
      })
    )
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
}

const invalid = (setting: string, expected: string): InvalidConfig =>
  new InvalidConfig({ setting, message: `${setting} must be ${expected}` })

const isOneOf = <const A>(known: ReadonlyArray<A>) => (value: unknown): value is A => known.some((one) => one === value)

/** Checks that algorithms are given and are all of one family: a public key must never become an HMAC secret. */
const pin = <const A extends Algorithm>(
  setting: string,
  algorithms: ReadonlyArray<A>,
  ...families: ReadonlyArray<ReadonlyArray<Algorithm>>
): Effect.Effect<ReadonlyArray<A>, InvalidConfig> =>
  algorithms.length > 0 && families.some((family) => algorithms.every(isOneOf(family)))
    ? Effect.succeed(algorithms)
    : Effect.fail(invalid(setting, `one or more of ${families.map((family) => family.join(", ")).join(", or of ")}`))

type Secrets = Redacted.Redacted<string> | ReadonlyArray<Redacted.Redacted<string>>

/** Imports secrets, once. */
const importSecrets = Effect.fnUntraced(function*(secret: Secrets, algorithm: SecretAlgorithm) {
  yield* pin("algorithm", [algorithm], secretAlgorithms)
  const bits = Number(algorithm.slice(2))
  const hmac = { name: "HMAC", hash: `SHA-${bits}` }
  const importOne = Effect.fnUntraced(function*(secret: Redacted.Redacted<string>) {
    const text = Redacted.value(secret)
    const bytes = new TextEncoder().encode(text)
    if (bytes.length * 8 < bits) return yield* invalid("secret", `at least ${bits / 8} bytes long for ${algorithm}`)
    if (text.includes("-----BEGIN ")) return yield* invalid("secret", "a secret, not a PEM key")
    return yield* Effect.promise(() => crypto.subtle.importKey("raw", bytes, hmac, false, ["sign", "verify"]))
  })
  const [first, ...others] = Redacted.isRedacted(secret) ? [secret] : secret
  if (first === undefined) return yield* invalid("secret", "one secret or more")
  return [yield* importOne(first), ...(yield* Effect.forEach(others, importOne))] as const
})

/** Imports one key of a pair, once. */
const importKey = Effect.fnUntraced(function*(
  type: "public" | "private",
  algorithm: KeyPairAlgorithm,
  key: string | Jose.JWK
) {
  yield* pin("algorithm", [algorithm], keyPairAlgorithms)
  const pem = typeof key === "string" ? key.trim() : ""
  const declared = typeof key === "string" ? algorithm : key.alg ?? algorithm
  // What jose checks only when the key is used, or not at all.
  const fits = (imported: Jose.CryptoKey | Uint8Array): imported is Jose.CryptoKey =>
    "algorithm" in imported && imported.type === type && declared === algorithm &&
    !("modulusLength" in imported.algorithm && Number(imported.algorithm.modulusLength) < 2048)
  const forms = type === "public" ? "SPKI or a certificate" : "PKCS#8"
  return yield* Effect.tryPromise(() =>
    typeof key !== "string"
      ? Jose.importJWK(key, algorithm)
      : type === "private"
      ? Jose.importPKCS8(pem, algorithm)
      : pem.startsWith("-----BEGIN CERTIFICATE")
      ? Jose.importX509(pem, algorithm)
      : Jose.importSPKI(pem, algorithm)
  ).pipe(
    Effect.filterOrFail(fits),
    Effect.mapError(() =>
      invalid("key", `a ${type} key for ${algorithm}, as PEM (${forms}) or JWK; RSA from 2,048 bits`)
    )
  )
})

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
            const at = yield* Clock.currentTimeMillis
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
            let now = yield* Clock.currentTimeMillis
            const fresh = yield* lookUp(header, cacheFor, now)
            if (fresh.length > 0) return fresh
            if (now >= nextFetchAt) yield* refresh
            now = yield* Clock.currentTimeMillis
            const found = yield* lookUp(header, failing ? Math.max(keepFor, cacheFor) : Infinity, now)
            return found.length === 0 && failing ? yield* KeysUnavailable.of(Math.max(0, nextFetchAt - now)) : found
          })
        }
      })
    )
}

const reasons: Readonly<Record<string, Reason>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: "Algorithm",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "Signature",
  ERR_JWT_EXPIRED: "Expired"
}

const invalidClaim = (claim: string): InvalidToken =>
  InvalidToken.of("Claims", `the token has no valid "${claim}" claim`)

/** Says in our words what jose threw, whose errors carry the claims. */
const toInvalidToken = (cause: unknown): InvalidToken => {
  // Not about the token: the key cannot be used.
  if (!(cause instanceof Jose.errors.JOSEError)) return InvalidToken.of("UnknownKey")
  if (!(cause instanceof Jose.errors.JWTClaimValidationFailed)) {
    return InvalidToken.of(reasons[cause.code] ?? "Malformed")
  }
  if (cause.claim === "iss") return InvalidToken.of("Issuer")
  if (cause.claim === "aud") return InvalidToken.of("Audience")
  if (cause.reason === "check_failed") return InvalidToken.of("NotYetValid")
  return invalidClaim(cause.claim)
}

/** What the header says, not verified yet; nothing when the token is malformed. */
const readHeader = (token: string): { readonly alg: string; readonly kid: string | undefined } | undefined => {
  try {
    const { alg, kid } = Jose.decodeProtectedHeader(token)
    const signature = token.slice(token.lastIndexOf(".") + 1)
    // Decoders forgive other spellings of a signature; the same token then has several texts.
    const exact = Jose.base64url.encode(Jose.base64url.decode(signature)) === signature
    return exact && typeof alg === "string" && (kid === undefined || typeof kid === "string") ? { alg, kid } : undefined
  } catch {
    return undefined
  }
}

const list = (value: string | ReadonlyArray<string>): Array<string> => typeof value === "string" ? [value] : [...value]

/**
 * What a token must be like, besides being signed.
 *
 * @since 0.1.0
 * @category models
 */
export interface VerifierOptions {
  /** The issuers (`iss`) that are trusted. Default: not checked. */
  readonly issuer?: string | ReadonlyArray<string> | undefined
  /**
   * Whom tokens must be meant for: one of their audiences (`aud`) must be one of these. Default: not checked, which
   * accepts what the same issuer made for others.
   */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** How far the issuer's clock may be from ours: `exp`, `nbf` and `iat` are off by as much. Default: 5 seconds. */
  readonly clockTolerance?: Duration.Input | undefined
  /** How long ago a token may have been issued (`iat`, then required), whenever it expires. Default: no limit. */
  readonly maxAge?: Duration.Input | undefined
  /** The most characters of a token; longer ones are refused unread. Default: 8,192. */
  readonly maxLength?: number | undefined
}

/**
 * Checks tokens and gives what they say.
 *
 * @since 0.1.0
 * @category services
 */
export class JwtVerifier extends Context.Service<JwtVerifier, {
  /**
   * The claims of a token (the bare text, without "Bearer"). It must be signed with a trusted key and a pinned
   * algorithm, have a `sub` and an `exp`, and be within its times. Fails with `InvalidToken` when it is not, and with
   * `KeysUnavailable` when that cannot be said now.
   */
  readonly verify: (token: string) => Effect.Effect<Claims, InvalidToken | KeysUnavailable>
}>()("effect-sessions/socket/JwtVerifier") {
  /**
   * Verifies with the given keys. Fails with `InvalidConfig` on an option that is not usable, and when keys are for
   * secrets and for key pairs at once.
   *
   * @since 0.1.0
   */
  static readonly layer = (options: VerifierOptions = {}): Layer.Layer<JwtVerifier, InvalidConfig, JwtKeys> =>
    Layer.effect(
      JwtVerifier,
      Effect.gen(function*() {
        const keys = yield* JwtKeys
        const algorithms = yield* pin("algorithms", keys.algorithms, secretAlgorithms, keyPairAlgorithms)
        const maxLength = yield* wholeNumber("maxLength", options.maxLength ?? 8192, 1)
        const tolerance = Option.map(Duration.fromInput(options.clockTolerance ?? "5 seconds"), Duration.toSeconds)
        if (Option.isNone(tolerance) || !(tolerance.value >= 0 && tolerance.value < Infinity)) {
          return yield* invalid("clockTolerance", `a duration such as "5 seconds", or 0`)
        }
        const clockTolerance = tolerance.value
        const rules: Jose.JWTVerifyOptions = {
          algorithms: [...algorithms],
          clockTolerance,
          ...(options.issuer !== undefined && { issuer: list(options.issuer) }),
          ...(options.audience !== undefined && { audience: list(options.audience) }),
          ...(options.maxAge !== undefined && { maxTokenAge: (yield* duration("maxAge", options.maxAge)) / 1000 })
        }

        return {
          verify: Effect.fn("JwtVerifier.verify")(function*(token) {
            if (token.length > maxLength) {
              return yield* InvalidToken.of("Malformed", `the token is longer than ${maxLength} characters`)
            }
            const header = readHeader(token)
            if (header === undefined) return yield* InvalidToken.of("Malformed")
            const { alg, kid } = header
            if (!isOneOf(algorithms)(alg)) return yield* InvalidToken.of("Algorithm")
            const candidates = yield* keys.find(kid === undefined ? { alg } : { alg, kid })
            const currentDate = yield* DateTime.nowAsDate
            let refused: InvalidToken | undefined
            for (const key of candidates) {
              const verified = yield* Effect.result(Effect.tryPromise({
                try: () => Jose.jwtVerify(token, key, { ...rules, currentDate }),
                catch: toInvalidToken
              }))
              if (Result.isSuccess(verified)) {
                const { payload } = verified.success
                const { exp, iat = 0, sub } = payload
                if (typeof sub !== "string" || sub === "") return yield* invalidClaim("sub")
                if (exp === undefined || !Number.isFinite(exp)) return yield* invalidClaim("exp")
                if (iat > currentDate.getTime() / 1000 + clockTolerance) return yield* InvalidToken.of("NotYetValid")
                return { ...payload, sub, exp }
              }
              refused = verified.failure
              if (refused.reason !== "Signature" && refused.reason !== "UnknownKey") break
            }
            return yield* refused ?? InvalidToken.of("UnknownKey")
          })
        }
      })
    )
}

/**
 * What the tokens of a signer have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignerOptions {
  /** The `iss` claim. Default: none. */
  readonly issuer?: string | undefined
  /** The `aud` claim. Default: none. */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** The `kid` header, for verifiers with several keys. Default: that of the JWK, or none. */
  readonly keyId?: string | undefined
  /** How long tokens are valid. Default: 15 minutes. */
  readonly expiresIn?: Duration.Input | undefined
}

/**
 * Issues tokens.
 *
 * @since 0.1.0
 * @category services
 */
export class JwtSigner extends Context.Service<JwtSigner, {
  /**
   * A token with these claims, over those of the signer; `iat` and `exp` are set from the Clock. Claims that are not
   * JSON are a bug, and die.
   */
  readonly sign: (
    claims: Jose.JWTPayload & { readonly sub: string },
    options?: { readonly expiresIn?: Duration.Input | undefined }
  ) => Effect.Effect<string>
}>()("effect-sessions/socket/JwtSigner") {
  /**
   * Signs with a secret; of several, with the first. See `JwtKeys.layerSecret`.
   *
   * @since 0.1.0
   */
  static readonly layerSecret = (
    secret: Secrets,
    options: SignerOptions & { readonly algorithm?: SecretAlgorithm | undefined } = {}
  ): Layer.Layer<JwtSigner, InvalidConfig> => {
    const { algorithm = "HS256" } = options
    return Layer.effect(
      JwtSigner,
      Effect.flatMap(importSecrets(secret, algorithm), ([key]) => makeSigner(key, algorithm, options))
    )
  }

  /**
   * Signs with a private key: PEM (PKCS#8) or JWK. Fails with `InvalidConfig` when it is not for the algorithm.
   *
   * @since 0.1.0
   */
  static readonly layerPrivateKey = (
    options: SignerOptions & {
      readonly algorithm: KeyPairAlgorithm
      readonly key: Redacted.Redacted<string | Jose.JWK>
    }
  ): Layer.Layer<JwtSigner, InvalidConfig> =>
    Layer.effect(
      JwtSigner,
      Effect.gen(function*() {
        const secret = Redacted.value(options.key)
        const key = yield* importKey("private", options.algorithm, secret)
        const keyId = options.keyId ?? (typeof secret === "string" ? undefined : secret.kid)
        return yield* makeSigner(key, options.algorithm, { ...options, keyId })
      })
    )
}

const makeSigner = Effect.fnUntraced(function*(key: Jose.CryptoKey, alg: Algorithm, options: SignerOptions) {
  const validFor = yield* duration("expiresIn", options.expiresIn ?? "15 minutes")
  const header = { alg, typ: "JWT", ...(options.keyId !== undefined && { kid: options.keyId }) }
  const common: Jose.JWTPayload = {
    ...(options.issuer !== undefined && { iss: options.issuer }),
    ...(options.audience !== undefined && { aud: list(options.audience) })
  }
  return {
    sign: Effect.fn("JwtSigner.sign")(function*(claims, options) {
      const now = yield* Clock.currentTimeMillis
      const millis = options?.expiresIn === undefined ? validFor : Duration.toMillis(options.expiresIn)
      const times = { iat: Math.floor(now / 1000), exp: Math.floor((now + millis) / 1000) }
      return yield* Effect.promise(() =>
        new Jose.SignJWT({ ...common, ...claims, ...times }).setProtectedHeader(header).sign(key)
      )
    })
  } satisfies JwtSigner["Service"]
})
