/**
 * Verifies JSON Web Tokens (JWT) with `jose`: the `TokenVerifier` of admissions by token.
 *
 * Three modules work together: `JwtKeys` holds the keys that are trusted, `JwtVerifier` checks a token against them and gives
 * its claims, and `JwtSigner` issues tokens where no identity provider does. The Layer of the keys pins the algorithms: the
 * header of a token only chooses among them. Time is Effect's Clock. No error contains a token, a claim's value or a key.
 *
 * ```ts
 * const Tokens = JwtVerifier.layer({ issuer: "https://id.example", audience: "shop" }).pipe(
 *   Layer.provide(JwtKeys.layerJwksUrl("https://id.example/jwks.json", { algorithms: ["RS256"] })),
 *   Layer.provide(FetchHttpClient.layer)
 * )
 * ```
 *
 * Not for the cookies of sessions (see `HttpSession`), nor for encrypted tokens (JWE).
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Jose from "jose"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { duration, wholeNumber } from "../../policy/SessionsConfig.ts"
import { InvalidToken, type InvalidTokenReason, TokenVerifier } from "../auth/TokenVerifier.ts"
import { invalid, isOneOf, list, pin } from "./internal/jwtImport.ts"
import { keyPairAlgorithms, secretAlgorithms } from "./JwtAlgorithm.ts"
import { JwtKeys } from "./JwtKeys.ts"

const reasons: Readonly<Record<string, InvalidTokenReason>> = {
  ERR_JOSE_ALG_NOT_ALLOWED: "Algorithm",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "Signature",
  ERR_JWT_EXPIRED: "Expired"
}

const invalidClaim = (claim: string): InvalidToken =>
  InvalidToken.of("Claims", `the token has no valid "${claim}" claim`)

/** Translates what jose threw: its errors contain the claims. */
const toInvalidToken = (cause: unknown): InvalidToken => {
  // The key cannot be used: the token is not at fault.
  if (!(cause instanceof Jose.errors.JOSEError)) return InvalidToken.of("UnknownKey")
  if (!(cause instanceof Jose.errors.JWTClaimValidationFailed)) {
    return InvalidToken.of(reasons[cause.code] ?? "Malformed")
  }
  if (cause.claim === "iss") return InvalidToken.of("Issuer")
  if (cause.claim === "aud") return InvalidToken.of("Audience")
  if (cause.reason === "check_failed") return InvalidToken.of("NotYetValid")
  return invalidClaim(cause.claim)
}

/** The header, which is not verified yet; `undefined` when the token is malformed. */
const readHeader = (
  token: string
): { readonly alg: string; readonly kid: string | undefined; readonly typ: string | undefined } | undefined => {
  try {
    const { alg, kid, typ } = Jose.decodeProtectedHeader(token)
    const signature = token.slice(token.lastIndexOf(".") + 1)
    // Decoders accept several spellings of a signature; only one of them counts, so that a token has one text.
    const exact = Jose.base64url.encode(Jose.base64url.decode(signature)) === signature
    const isText = (value: unknown): value is string | undefined => value === undefined || typeof value === "string"
    return exact && typeof alg === "string" && isText(kid) && isText(typ) ? { alg, kid, typ } : undefined
  } catch {
    return undefined
  }
}

/** Normalizes a media type: its case and the prefix `application/` mean nothing. */
const typeOf = (typ: string): string => typ.toLowerCase().replace(/^application\//, "")

/**
 * What a token must be like, besides being signed with a trusted key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The trusted issuers (`iss`). Default: the issuer is not checked. */
  readonly issuer?: string | ReadonlyArray<string> | undefined
  /**
   * The audiences (`aud`) that this server is: a token must name one of them. Default: not checked, so that tokens are
   * accepted which the same issuer made for other servers.
   */
  readonly audience?: string | ReadonlyArray<string> | undefined
  /** How far the issuer's clock may be off, for `exp`, `nbf` and `iat`. Default: 5 seconds. */
  readonly clockTolerance?: Duration.Input | undefined
  /** The maximum age of a token by its `iat`, which is then required, whatever its `exp`. Default: no limit. */
  readonly maxAge?: Duration.Input | undefined
  /**
   * The types of tokens (`typ`) that are accepted (RFC 8725, section 3.11): issuers sign tokens for other purposes with the
   * same keys. A token without `typ` is accepted. Default: `JWT` and `at+jwt` (access tokens), except tokens with the claim
   * `events`, such as logout tokens.
   */
  readonly types?: ReadonlyArray<string> | undefined
  /** The maximum length of a token in characters; longer tokens are refused unread. Default: 8,192. */
  readonly maxLength?: number | undefined
}

/**
 * Verifies tokens with the given keys. A token must be signed with a trusted key and a pinned algorithm, have a `sub` and an
 * `exp`, and be within its times. Fails with `InvalidConfig` when an option is not usable, or when the keys are of both
 * families, secrets and key pairs.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<TokenVerifier, InvalidConfig, JwtKeys> =>
  Layer.effect(TokenVerifier, make(options))

const make = Effect.fnUntraced(function*(options: Options) {
  const keys = yield* JwtKeys
  const algorithms = yield* pin("algorithms", keys.algorithms, secretAlgorithms, keyPairAlgorithms)
  const maxLength = yield* wholeNumber("maxLength", options.maxLength ?? 8192, 1)
  const tolerance = Option.map(Duration.fromInput(options.clockTolerance ?? "5 seconds"), Duration.toSeconds)
  if (Option.isNone(tolerance) || !(tolerance.value >= 0 && tolerance.value < Infinity)) {
    return yield* invalid("clockTolerance", `a duration such as "5 seconds", or 0`)
  }
  const clockTolerance = tolerance.value
  const maxAge = options.maxAge === undefined ? undefined : (yield* duration("maxAge", options.maxAge)) / 1000
  const rules: Jose.JWTVerifyOptions = {
    algorithms: [...algorithms],
    clockTolerance,
    ...(options.issuer !== undefined && { issuer: list(options.issuer) }),
    ...(options.audience !== undefined && { audience: list(options.audience) }),
    ...(maxAge !== undefined && { maxTokenAge: maxAge })
  }
  const types = new Set((options.types ?? ["JWT", "at+jwt"]).map(typeOf))

  return {
    expiresAt: ({ exp, iat }) =>
      (Math.min(exp, maxAge === undefined ? Infinity : (iat ?? 0) + maxAge) + clockTolerance) * 1_000,
    verify: Effect.fn("JwtVerifier.verify")(function*(token) {
      if (token.length > maxLength) {
        return yield* InvalidToken.of("Malformed", `the token is longer than ${maxLength} characters`)
      }
      const header = readHeader(token)
      if (header === undefined) return yield* InvalidToken.of("Malformed")
      const { alg, kid, typ } = header
      if (!isOneOf(algorithms)(alg)) return yield* InvalidToken.of("Algorithm")
      if (typ !== undefined && !types.has(typeOf(typ))) return yield* InvalidToken.of("Type")
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
          // A token about an event, such as a logout, does not admit anybody, whatever its `typ`.
          if (options.types === undefined && "events" in payload) return yield* InvalidToken.of("Type")
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
  } satisfies TokenVerifier["Service"]
})
