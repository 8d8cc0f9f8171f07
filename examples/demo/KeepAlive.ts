/**
 * Keeps event streams open: sends a comment now and then, so that no proxy between shop and visitor takes a quiet stream for
 * a dead one.
 */
import { Effect, Layer, Stream } from "effect"
import { HttpBody, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"

const interval = "15 seconds"

const comments = Stream.tick(interval).pipe(
  Stream.drop(1),
  Stream.map(() => ": keep-alive\n\n"),
  Stream.encodeText
)

export class KeepAlive extends HttpApiMiddleware.Service<KeepAlive>()("corner-shop/KeepAlive") {
  static readonly layer = Layer.succeed(KeepAlive, (respond) => Effect.map(respond, keepAlive))
}

const keepAlive = (response: HttpServerResponse.HttpServerResponse): HttpServerResponse.HttpServerResponse => {
  const { body } = response
  return body._tag === "Stream"
    ? response.pipe(
      HttpServerResponse.setBody(
        HttpBody.stream(Stream.merge(body.stream, comments, { haltStrategy: "left" }), body.contentType)
      ),
      // A stream uses its connection alone, and the connection closes with the stream.
      HttpServerResponse.setHeader("connection", "close")
    )
    : response
}
