/**
 * The errors of the session of a request, which `HttpSession` exports. A route that does not handle them answers with their
 * status.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../../contract/internal/taggedError.ts"
import { respondable } from "../internal/answers.ts"

/**
 * The request has no session: it carries no cookie, or one that is not valid (any more).
 *
 * @since 0.1.0
 * @category errors
 */
export class NoSession extends respondable(
  taggedError<NoSession>()("NoSession", {}, {
    status: 401,
    retrySafe: true,
    of: (message = "there is no session for this request") => ({ message })
  })
) {}

/** When the browser has the new cookie, most likely, in milliseconds. */
const soon = 1_000

/**
 * Another request, such as a login or a logout, has replaced the cookie of this one, before it arrived or while it was handled.
 * It had no effect after that, and its answer sets no cookie, which would overwrite the new one. Send it again, with the new
 * cookie. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class CookieReplaced extends respondable(
  taggedError<CookieReplaced>()("CookieReplaced", { retryAfter: Schema.Number }, {
    status: 409,
    retrySafe: true,
    of: () => {
      const message = "the cookie of this request was replaced meanwhile: send the request again"
      return { retryAfter: soon, message }
    }
  })
) {}

/** When a store may work again, in milliseconds. */
const later = 1_000

/**
 * The session of the request cannot be read, or written, now: its store fails. The cookie stays as it is. `retryAfter` is in
 * milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionUnavailable extends respondable(
  taggedError<SessionUnavailable>()("SessionUnavailable", { retryAfter: Schema.Number }, {
    status: 503,
    retrySafe: true,
    of: (message = "the session cannot be reached now") => ({ retryAfter: later, message })
  })
) {}
