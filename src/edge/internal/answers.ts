/**
 * The answer to a request that is refused: the error as JSON, with its status, and when to come again.
 */
import * as Effect from "effect/Effect"
import type * as Headers from "effect/http/Headers"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

interface Refusal {
  readonly _tag: string
  readonly message: string
  readonly httpStatus: number
  /** Milliseconds. */
  readonly retryAfter?: number
}

export const refusal = (
  { _tag, httpStatus, message, retryAfter }: Refusal,
  headers: Headers.Input = {}
): HttpServerResponse.HttpServerResponse => {
  const response = HttpServerResponse.jsonUnsafe(
    retryAfter === undefined ? { _tag, message } : { _tag, message, retryAfter },
    { status: httpStatus, headers }
  )
  return retryAfter === undefined
    ? response
    : HttpServerResponse.setHeader(response, "retry-after", String(Math.max(1, Math.ceil(retryAfter / 1_000))))
}

/** Makes the errors of a class answers of their own: a route that does not handle them sends their `refusal`. */
export const respondable = <E extends { readonly prototype: object }>(error: E): E => {
  Object.defineProperty(error.prototype, HttpServerRespondable.symbol, {
    value(this: Refusal) {
      return Effect.succeed(refusal(this))
    }
  })
  return error
}
