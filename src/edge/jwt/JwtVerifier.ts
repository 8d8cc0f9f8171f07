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
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as Jose from "jose"
import { taggedError } from "../../contract/internal/taggedError.ts"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { withoutStack } from "../../internal/withoutStack.ts"
import { duration, wholeNumber } from "../../policy/SessionsConfig.ts"
import { invalid, isOneOf, list, pin } from "./internal/jwtImport.ts"
import { keyPairAlgorithms, secretAlgorithms } from "./JwtAlgorithm.ts"
import { JwtKeys, type KeysUnavailable } from "./JwtKeys.ts"

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
  Type: "the token is of another kind than those that are accepted here",
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
export class InvalidToken
  extends taggedError<InvalidToken>()("InvalidToken", { reason: Schema.Literals(Struct.keys(explanations)) }, {
    status: 401,
    retrySafe: true
  })
{
  static of(reason: Reason, message = explanations[reason]): InvalidToken {
    return withoutStack(() => new InvalidToken({ reason, message }))
  }
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
const readHeader = (
  token: string
): { readonly alg: string; readonly kid: string | undefined; readonly typ: string | undefined } | undefined => {
  try {
    const { alg, kid, typ } = Jose.decodeProtectedHeader(token)
    const signature = token.slice(token.lastIndexOf(".") + 1)
    // Decoders forgive other spellings of a signature; the same token then has several texts.
    const exact = Jose.base64url.encode(Jose.base64url.decode(signature)) === signature
    const isText = (value: unknown): value is string | undefined => value === undefined || typeof value === "string"
    return exact && typeof alg === "string" && isText(kid) && isText(typ) ? { alg, kid, typ } : undefined
  } catch {
    return undefined
  }
}

/** A media type, whose `application/` and capitals do not matter. */
const typeOf = (typ: string): string => typ.toLowerCase().replace(/^application\//, "")

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
  /**
   * The kinds of tokens that are accepted, by their `typ` (RFC 8725, 3.11): an issuer signs others with the same keys, that
   * are for other purposes. One that does not say its kind is accepted. Default: `JWT` and `at+jwt` (access tokens), and
   * nothing that has the claim `events`, as logout tokens have.
   */
  readonly types?: ReadonlyArray<string> | undefined
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
  /** From when on a token with these claims is not accepted any more, in milliseconds since 1970. */
  readonly expiresAt: (claims: Claims) => number
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
                // What tells of an event, such as a logout, is not for who comes with it, whatever it calls itself.
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
        }
      })
    )
}
