/**
 * Why a request does not get its session. Each of these is an answer of its own to a route that does not handle it.
 */
import * as Effect from "effect/Effect"
import * as HttpServerRespondable from "effect/http/HttpServerRespondable"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import type { SessionErrorLike } from "../../../contract/SessionError.ts"
import { withoutStack } from "../../../internal/withoutStack.ts"
import { refusal } from "../../internal/refusal.ts"

/**
 * The request has no session: it brought no cookie, or one that does not count (any more).
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSession extends Schema.TaggedError<NoSession>()(
  "NoSession",
  { message: Schema.String },
  { httpApiStatus: 401 }
) implements SessionErrorLike, HttpServerRespondable.Respondable {
  static of(message = "there is no session for this request"): NoSession {
    return withoutStack(() => new NoSession({ message }))
  }
  get httpStatus(): 401 {
    return 401
  }
  get retrySafe(): boolean {
    return true
  }
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse> {
    return Effect.succeed(refusal(this))
  }
}

/** How soon the new cookie has reached the browser, most likely, in milliseconds. */
const soon = 1_000

/**
 * Another request, such as a login, has replaced the cookie that this one was sent with: before this one came, or while it
 * was under way. It did nothing from here on, and it gets no cookie, which would take the place of the new one. Send it
 * again, with the new cookie. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class CookieReplaced extends Schema.TaggedError<CookieReplaced>()(
  "CookieReplaced",
  { retryAfter: Schema.Number, message: Schema.String },
  { httpApiStatus: 409 }
) implements SessionErrorLike, HttpServerRespondable.Respondable {
  static of(): CookieReplaced {
    const message = "the cookie of this request was replaced meanwhile: send it again with the new one"
    return withoutStack(() => new CookieReplaced({ retryAfter: soon, message }))
  }
  get httpStatus(): 409 {
    return 409
  }
  get retrySafe(): boolean {
    return true
  }
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse> {
    return Effect.succeed(refusal(this))
  }
}

/** How soon a store is tried again, in milliseconds. */
const later = 1_000

/**
 * Whether there is a session, or what has become of it, cannot be said now: its store does not do what it is asked for.
 * The cookie stays as it is. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionUnavailable extends Schema.TaggedError<SessionUnavailable>()(
  "SessionUnavailable",
  { retryAfter: Schema.Number, message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike, HttpServerRespondable.Respondable {
  static of(message = "the session cannot be reached now"): SessionUnavailable {
    return withoutStack(() => new SessionUnavailable({ retryAfter: later, message }))
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
  [HttpServerRespondable.symbol](): Effect.Effect<HttpServerResponse> {
    return Effect.succeed(refusal(this))
  }
}
