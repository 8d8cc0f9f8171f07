/**
 * Why a request does not get its session. Each of these is an answer of its own to a route that does not handle it.
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../../contract/internal/taggedError.ts"
import { withoutStack } from "../../internal/withoutStack.ts"
import { respondable } from "../internal/answers.ts"

/**
 * The request has no session: it brought no cookie, or one that does not count (any more).
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSession
  extends respondable(taggedError<NoSession>()("NoSession", {}, { status: 401, retrySafe: true }))
{
  static of(message = "there is no session for this request"): NoSession {
    return withoutStack(() => new NoSession({ message }))
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
export class CookieReplaced extends respondable(
  taggedError<CookieReplaced>()("CookieReplaced", { retryAfter: Schema.Number }, { status: 409, retrySafe: true })
) {
  static of(): CookieReplaced {
    const message = "the cookie of this request was replaced meanwhile: send it again with the new one"
    return withoutStack(() => new CookieReplaced({ retryAfter: soon, message }))
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
export class SessionUnavailable extends respondable(
  taggedError<SessionUnavailable>()("SessionUnavailable", { retryAfter: Schema.Number }, {
    status: 503,
    retrySafe: true
  })
) {
  static of(message = "the session cannot be reached now"): SessionUnavailable {
    return withoutStack(() => new SessionUnavailable({ retryAfter: later, message }))
  }
}
