/**
 * Answers to requests that are refused: the error as JSON, with its status and a `Retry-After` header.
 */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

/** Adds `Retry-After`, in whole seconds and at least one, unless the response has it or `millis` is undefined. */
export const withRetryAfter = (
  response: HttpServerResponse.HttpServerResponse,
  millis: number | undefined
): HttpServerResponse.HttpServerResponse =>
  millis === undefined || response.headers["retry-after"] !== undefined
    ? response
    : HttpServerResponse.setHeader(response, "retry-after", String(Math.max(1, Math.ceil(millis / 1_000))))

/** A JSON answer. `retryAfter` is in milliseconds. */
export const json = (
  body: unknown,
  { headers = {}, retryAfter, status }: {
    readonly status: number
    readonly headers?: Headers.Input | undefined
    readonly retryAfter?: number | undefined
  }
): HttpServerResponse.HttpServerResponse =>
  withRetryAfter(HttpServerResponse.jsonUnsafe(body, { status, headers }), retryAfter)

/** An error that can be shown to any client. */
interface Refusal {
  readonly _tag: string
  readonly message: string
  readonly httpStatus: number
  /** Milliseconds. */
  readonly retryAfter?: number | undefined
}

/** The answer that shows an error. */
export const refusal = (
  { _tag, httpStatus: status, message, retryAfter }: Refusal,
  headers?: Headers.Input
): HttpServerResponse.HttpServerResponse =>
  json(retryAfter === undefined ? { _tag, message } : { _tag, message, retryAfter }, { status, headers, retryAfter })

/** Gives the errors of a class an answer of their own: a route that does not handle them answers with their `refusal`. */
export const respondable = <E extends { readonly prototype: object }>(error: E): E => {
  Object.defineProperty(error.prototype, HttpServerRespondable.symbol, {
    value(this: Refusal) {
      return Effect.succeed(refusal(this))
    }
  })
  return error
}

/** Errors whose messages are about the inside of the server. */
const internal: ReadonlySet<string> = new Set([
  "StartFailed",
  "StartTimeout",
  "RestoreFailed",
  "SessionNotFound",
  "NodeLost",
  "NodeUnavailable",
  "StoreUnavailable",
  "SnapshotUnreadable"
])

/**
 * The answer to a client that is not admitted. Internal errors, and the errors that a kind declares, are not shown to
 * strangers: they are a 503.
 */
export const refuse = (
  { _tag, httpStatus, message, retryAfter }: Partial<Refusal> & { readonly _tag: string }
): HttpServerResponse.HttpServerResponse => {
  // The id of the session is the subject of the token.
  if (_tag === "InvalidSessionId") return unauthorized({ _tag: "InvalidToken", message: "the token names no user" })
  if (message === undefined || httpStatus === undefined || internal.has(_tag)) {
    return refusal({
      _tag: "SessionUnavailable",
      httpStatus: 503,
      message: "the session cannot be reached now",
      retryAfter: 1_000
    })
  }
  if (httpStatus === 401) return unauthorized({ _tag, message })
  return refusal({ _tag, httpStatus, message, retryAfter: retryAfter ?? (httpStatus === 503 ? 5_000 : undefined) })
}

const unauthorized = (error: { readonly _tag: string; readonly message: string }) =>
  refusal({ ...error, httpStatus: 401 }, { "www-authenticate": "Bearer error=\"invalid_token\"" })
