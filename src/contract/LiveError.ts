/**
 * The errors that clients of a live session get. None of these names a session's id.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as EndReason from "./EndReason.ts"
import { ActionForgotten, ActionOutOfOrder } from "./internal/onceErrors.ts"
import { taggedError } from "./internal/taggedError.ts"

/**
 * The session has ended, for this reason; or there was none (`null`).
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionGone
  extends taggedError<SessionGone>()("SessionGone", { reason: Schema.NullOr(Schema.Literals(EndReason.tags)) }, {
    status: 410,
    retrySafe: false
  })
{
  static of(reason: EndReason.EndReason["_tag"] | null): SessionGone {
    return new SessionGone({
      reason,
      message: reason === null ? "there is no session" : `the session has ended (${reason})`
    })
  }
}

/**
 * There is no view, or no action, of this name.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unknown
  extends taggedError<Unknown>()("Unknown", { name: Schema.String }, { status: 404, retrySafe: false })
{
  static of(what: "view" | "action", name: string): Unknown {
    const shown = name.slice(0, 80)
    return new Unknown({ name: shown, message: `there is no ${what} ${JSON.stringify(shown)}` })
  }
}

/**
 * This client may not see the view, or do the action.
 *
 * @since 0.1.0
 * @category errors
 */
export class Forbidden
  extends taggedError<Forbidden>()("Forbidden", { name: Schema.String }, { status: 403, retrySafe: false })
{
  static of(name: string): Forbidden {
    return new Forbidden({ name, message: `${name} is not for you` })
  }
}

/**
 * The view could not be made: its selector has thrown, or its schema does not encode what it gave. The session goes on, as do
 * its other views. Mounting it again helps as soon as the state is another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class ViewFailed
  extends taggedError<ViewFailed>()("ViewFailed", { name: Schema.String }, { status: 500, retrySafe: true })
{
  static of(name: string): ViewFailed {
    return new ViewFailed({ name, message: `${name} could not be made` })
  }
}

/**
 * An action does not fit its schema. It had no effect.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPayload
  extends taggedError<InvalidPayload>()("InvalidPayload", { name: Schema.String }, { status: 400, retrySafe: false })
{}

/**
 * The session cannot accept the action now, because it has too much to do, or cannot be loaded now, because its store fails.
 * Try again after `retryAfter` milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class Busy extends taggedError<Busy>()("Busy", { retryAfter: Schema.Number }, { status: 429, retrySafe: true }) {
  static of(retryAfter: number, message = "the session has too much to do"): Busy {
    return new Busy({ retryAfter, message })
  }
}

/**
 * The session crashed while it handled the action, which is not handled again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Crashed extends taggedError<Crashed>()("Crashed", {}, { status: 500, retrySafe: false }) {
  static of(): Crashed {
    return new Crashed({ message: "the session crashed over this action" })
  }
}

/**
 * There is no answer yet. Who sends the action again under the same client and sequence waits for the same answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unanswered extends taggedError<Unanswered>()("Unanswered", {}, { status: 504, retrySafe: false }) {
  static of(): Unanswered {
    return new Unanswered({ message: "the session has not answered in time" })
  }
}

/**
 * What the mount of a view can fail with, and end with.
 *
 * @since 0.1.0
 * @category models
 */
export const ViewError = Schema.Union([SessionGone, Unknown, Forbidden, ViewFailed, Busy])

/**
 * What the mount of a view can fail with, and end with.
 *
 * @since 0.1.0
 * @category models
 */
export type ViewError = typeof ViewError.Type

/**
 * What an action can fail with, besides its own declared error.
 *
 * @since 0.1.0
 * @category models
 */
export const ActionError = Schema.Union([
  SessionGone,
  Unknown,
  Forbidden,
  InvalidPayload,
  Busy,
  Crashed,
  Unanswered,
  ActionForgotten,
  ActionOutOfOrder
])

/**
 * What an action can fail with, besides its own declared error.
 *
 * @since 0.1.0
 * @category models
 */
export type ActionError = typeof ActionError.Type
