/**
 * The errors that clients of a live session get. None of them contains the id of a session.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as EndReason from "./EndReason.ts"
import { ActionForgotten, ActionOutOfOrder } from "./internal/onceErrors.ts"
import { taggedError } from "./internal/taggedError.ts"

/**
 * The session has ended for this reason, or there is none (`null`).
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionGone
  extends taggedError<SessionGone>()("SessionGone", { reason: Schema.NullOr(Schema.Literals(EndReason.tags)) }, {
    status: 410,
    retrySafe: false,
    of: (reason: EndReason.EndReason["_tag"] | null) => ({
      reason,
      message: reason === null ? "there is no session" : `the session has ended (${reason})`
    })
  })
{}

/**
 * There is no view or action of this name.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unknown extends taggedError<Unknown>()("Unknown", { name: Schema.String }, {
  status: 404,
  retrySafe: false,
  of: (what: "view" | "action", name: string) => {
    const shown = name.slice(0, 80)
    return { name: shown, message: `there is no ${what} ${JSON.stringify(shown)}` }
  }
}) {}

/**
 * This client may not mount the view or send the action.
 *
 * @since 0.1.0
 * @category errors
 */
export class Forbidden extends taggedError<Forbidden>()("Forbidden", { name: Schema.String }, {
  status: 403,
  retrySafe: false,
  of: (name: string) => ({ name, message: `${name} is not for you` })
}) {}

/**
 * The view could not be computed: its selector threw, or its schema cannot encode the result. The session and its other
 * views go on. Mount the view again when the state has changed.
 *
 * @since 0.1.0
 * @category errors
 */
export class ViewFailed extends taggedError<ViewFailed>()("ViewFailed", { name: Schema.String }, {
  status: 500,
  retrySafe: true,
  of: (name: string) => ({ name, message: `${name} could not be made` })
}) {}

/**
 * The payload of the action does not fit its schema. The action had no effect.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPayload
  extends taggedError<InvalidPayload>()("InvalidPayload", { name: Schema.String }, { status: 400, retrySafe: false })
{}

/**
 * The session cannot accept the request now: it has too much to do, or it cannot be loaded because its store fails. The
 * request had no effect. Try again after `retryAfter` milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class Busy extends taggedError<Busy>()("Busy", { retryAfter: Schema.Number }, {
  status: 429,
  retrySafe: true,
  of: (retryAfter: number, message = "the session has too much to do") => ({ retryAfter, message })
}) {}

/**
 * The session crashed while it handled the action. The action is not handled again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Crashed extends taggedError<Crashed>()("Crashed", {}, {
  status: 500,
  retrySafe: false,
  of: () => ({ message: "the session crashed over this action" })
}) {}

/**
 * The session has not answered in time. Send the action again under the same client name and sequence number to wait for
 * the same answer; it is not handled twice.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unanswered extends taggedError<Unanswered>()("Unanswered", {}, {
  status: 504,
  retrySafe: false,
  of: () => ({ message: "the session has not answered in time" })
}) {}

/**
 * The errors with which a mounted view can fail or end.
 *
 * @since 0.1.0
 * @category models
 */
export const ViewError = Schema.Union([SessionGone, Unknown, Forbidden, ViewFailed, Busy])

/**
 * The errors with which a mounted view can fail or end.
 *
 * @since 0.1.0
 * @category models
 */
export type ViewError = typeof ViewError.Type

/**
 * The errors with which an action can fail, besides its own declared error.
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
 * The errors with which an action can fail, besides its own declared error.
 *
 * @since 0.1.0
 * @category models
 */
export type ActionError = typeof ActionError.Type
