/**
 * Issues JSON Web Tokens, for programs without an identity provider. See `JwtVerifier`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Jose from "jose"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { importKey, importSecrets, list } from "./internal/jwtImport.ts"
import type { Algorithm, KeyPairAlgorithm, SecretAlgorithm } from "./JwtAlgorithm.ts"
import type { Secrets } from "./JwtKeys.ts"

/**
 * What all tokens of a signer have in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignerOptions {
  /** The `iss` claim. Default: none. */
  readonly issuer?: string | undefined
  /** The `aud` claim. Default: none. */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** The `kid` header, for verifiers with several keys. Default: the `kid` of the JWK, or none. */
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
   * A token with these claims, which take precedence over those of the signer. `iat` and `exp` are set from the Clock.
   * Claims that are not JSON are a defect.
   */
  readonly sign: (
    claims: Jose.JWTPayload & { readonly sub: string },
    options?: { readonly expiresIn?: Duration.Input | undefined }
  ) => Effect.Effect<string>
}>()("effect-sessions/JwtSigner") {
  /**
   * Signs with a secret, or with the first of several. See `JwtKeys.layerSecret`.
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
   * Signs with a private key, as PEM (PKCS#8) or JWK. Fails with `InvalidConfig` when the key is not for the algorithm.
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
