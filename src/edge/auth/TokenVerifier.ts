/**
 * Checks the tokens of clients: the service that admissions by token ask. It depends on no library.
 *
 * `JwtVerifier.layer` of `effect-sessions/jwt` provides it for JSON Web Tokens. Provide a Layer of your own for other tokens,
 * such as opaque ones that an authorization server knows:
 *
 * ```ts
 * const Introspected = Layer.succeed(TokenVerifier, {
 *   verify: (token) => introspect(token),
 *   expiresAt: ({ exp }) => exp * 1_000
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import { taggedError } from "../../contract/internal/taggedError.ts"

/**
 * The WebSocket subprotocol after which a browser sends a token: `new WebSocket(url, [bearerProtocol, token])`.
 *
 * @since 0.1.0
 * @category constants
 */
export const bearerProtocol = "bearer"

/**
 * What a verified token says. Times are in seconds since 1970. The other claims are as the issuer wrote them: decode those
 * that you use with a schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claims {
  /** The user that the token is about. Never empty. */
  readonly sub: string
  /** When the token expires. Always finite. */
  readonly exp: number
  /** When the token was issued. */
  readonly iat?: number | undefined
  readonly [claim: string]: unknown
}

const explanations = {
  Malformed: "the token is malformed",
  Algorithm: "the token is signed with an algorithm that is not accepted here",
  Type: "the token is of a type that is not accepted here",
  UnknownKey: "no trusted key fits the token: another issuer signed it, or its key was withdrawn",
  Signature: "the signature of the token is wrong",
  Expired: "the token has expired: get a new one",
  NotYetValid: "the token is not valid yet: check that the clocks agree",
  Audience: "the token is meant for another audience",
  Issuer: "the token comes from another issuer",
  Claims: "the claims of the token are incomplete"
}

/**
 * Why a token is not accepted.
 *
 * @since 0.1.0
 * @category models
 */
export type InvalidTokenReason = keyof typeof explanations

/**
 * The token is not accepted. `reason` says why, for logs and metrics; neither `reason` nor the message contains anything of
 * the token. The request had no effect; it can succeed with another token.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidToken
  extends taggedError<InvalidToken>()("InvalidToken", { reason: Schema.Literals(Struct.keys(explanations)) }, {
    status: 401,
    retrySafe: true,
    of: (reason: InvalidTokenReason, message = explanations[reason]) => ({ reason, message })
  })
{}

/**
 * Tokens cannot be verified now, because the keys for that cannot be fetched. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class KeysUnavailable extends taggedError<KeysUnavailable>()("KeysUnavailable", { retryAfter: Schema.Number }, {
  status: 503,
  retrySafe: true,
  of: (retryAfter: number) => {
    const message = `the keys that verify tokens cannot be fetched, try again in ${Math.ceil(retryAfter / 1_000)} s`
    return { retryAfter, message }
  }
}) {}

/**
 * Checks tokens and gives their claims.
 *
 * @since 0.1.0
 * @category services
 */
export class TokenVerifier extends Context.Service<TokenVerifier, {
  /**
   * The claims of a token (the bare text, without "Bearer"), if it is valid now. Fails with `InvalidToken` when it is not,
   * and with `KeysUnavailable` when that cannot be decided now.
   */
  readonly verify: (token: string) => Effect.Effect<Claims, InvalidToken | KeysUnavailable>
  /** When a token with these claims stops being accepted, in milliseconds since 1970. */
  readonly expiresAt: (claims: Claims) => number
}>()("effect-sessions/TokenVerifier") {}
