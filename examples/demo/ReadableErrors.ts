/**
 * Every refusal as JSON: `{ "_tag": "…", "message": "…" }`.
 *
 * The API encodes the errors that endpoints declare. This file handles the rest: errors before an endpoint is reached (no
 * such route, a body that is too large) and errors of decoding the request.
 */
import { Effect, type Layer, Schema } from "effect"
import { HttpBody, HttpEffect, HttpRouter, HttpServerError, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"

/** The request does not fit the endpoint's schemas. */
export class InvalidRequest extends Schema.TaggedError<InvalidRequest>()(
  "InvalidRequest",
  { message: Schema.String },
  { httpApiStatus: 400 }
) {}

/** Says why a request does not fit the schemas. */
export class ReadableErrors extends HttpApiMiddleware.Service<ReadableErrors>()("corner-shop/ReadableErrors", {
  error: InvalidRequest
}) {
  static readonly layer = HttpApiMiddleware.layerSchemaErrorTransform(
    ReadableErrors,
    (error) =>
      error.kind === "Body" || error.kind === "ResponseHeaders"
        ? Effect.fail(error)
        : Effect.fail(new InvalidRequest({ message: oneLine(error.cause.message) }))
  )
}

const oneLine = (text: string): string => {
  const line = text.replace(/\s+/g, " ")
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}

const bare: Readonly<Record<number, readonly [tag: string, message: string]>> = {
  400: ["BadRequest", "the request could not be read"],
  404: ["NotFound", "there is nothing here that answers to this method and path"],
  413: ["PayloadTooLarge", "the request is too large"],
  415: ["UnsupportedMediaType", "the request must be application/json"],
  500: ["InternalServerError", "something went wrong in the shop"],
  503: ["ServiceUnavailable", "the shop is closing"]
}

const withBody = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const error = response.headers["content-type"] === "application/json" ? undefined : bare[response.status]
  if (error === undefined) return response
  const [_tag, message] = error
  return HttpServerResponse.setBody(response, HttpBody.jsonUnsafe({ _tag, message }))
}

/**
 * For all routes: gives bare error responses a body, tells browsers not to cache (unless the route says otherwise) and not
 * to guess content types, and logs errors that are bugs of the shop, not of the request.
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.middleware(
  (respond) =>
    respond.pipe(
      Effect.tapDefect((defect) =>
        HttpServerError.isHttpServerError(defect) ? Effect.void : Effect.logError("A request failed", defect)
      ),
      HttpEffect.withPreResponseHandler((_, response) =>
        Effect.succeed(
          HttpServerResponse.setHeaders(withBody(response), {
            "cache-control": response.headers["cache-control"] ?? "no-store",
            "x-content-type-options": "nosniff"
          })
        )
      )
    ),
  { global: true }
)
