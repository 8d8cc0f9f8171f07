/**
 * The answer to a request that is refused: the error as JSON, with its status, and when to come again.
 */
import type * as Headers from "effect/http/Headers"
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
