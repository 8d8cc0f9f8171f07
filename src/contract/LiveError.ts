/**
 * What clients of a live session are told when something is refused. None of these names a session's id.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as EndReason from "./EndReason.ts"
import { ActionForgotten, ActionOutOfOrder } from "./internal/onceErrors.ts"
import type { SessionErrorLike } from "./SessionError.ts"

/**
 * The session has ended, for this reason; or there was none (`null`).
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionGone extends Schema.TaggedError<SessionGone>()(
  "SessionGone",
  { reason: Schema.NullOr(Schema.Literals(EndReason.tags)), message: Schema.String },
  { httpApiStatus: 410 }
) implements SessionErrorLike {
  static of(reason: EndReason.EndReason["_tag"] | null): SessionGone {
    return new SessionGone({
      reason,
      message: reason === null ? "there is no session" : `the session has ended (${reason})`
    })
  }
  get httpStatus(): 410 {
    return 410
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * There is no view, or no action, of this name.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unknown extends Schema.TaggedError<Unknown>()(
  "Unknown",
  { name: Schema.String, message: Schema.String },
  { httpApiStatus: 404 }
) implements SessionErrorLike {
  static of(what: "view" | "action", name: string): Unknown {
    const shown = name.slice(0, 80)
    return new Unknown({ name: shown, message: `there is no ${what} ${JSON.stringify(shown)}` })
  }
  get httpStatus(): 404 {
    return 404
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * This client may not see the view, or do the action.
 *
 * @since 0.1.0
 * @category errors
 */
export class Forbidden extends Schema.TaggedError<Forbidden>()(
  "Forbidden",
  { name: Schema.String, message: Schema.String },
  { httpApiStatus: 403 }
) implements SessionErrorLike {
  static of(name: string): Forbidden {
    return new Forbidden({ name, message: `${name} is not for you` })
  }
  get httpStatus(): 403 {
    return 403
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The view could not be made: its selector has thrown, or its schema does not encode what it gave. The session goes on, as do
 * its other views. Mounting it again helps as soon as the state is another one.
 *
 * @since 0.1.0
 * @category errors
 */
export class ViewFailed extends Schema.TaggedError<ViewFailed>()(
  "ViewFailed",
  { name: Schema.String, message: Schema.String },
  { httpApiStatus: 500 }
) implements SessionErrorLike {
  static of(name: string): ViewFailed {
    return new ViewFailed({ name, message: `${name} could not be made` })
  }
  get httpStatus(): 500 {
    return 500
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * An action does not fit its schema. It had no effect.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPayload extends Schema.TaggedError<InvalidPayload>()(
  "InvalidPayload",
  { name: Schema.String, message: Schema.String },
  { httpApiStatus: 400 }
) implements SessionErrorLike {
  get httpStatus(): 400 {
    return 400
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The session has too much to do to accept the action now. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category errors
 */
export class Busy extends Schema.TaggedError<Busy>()(
  "Busy",
  { retryAfter: Schema.Number, message: Schema.String },
  { httpApiStatus: 429 }
) implements SessionErrorLike {
  static of(retryAfter: number): Busy {
    return new Busy({ retryAfter, message: "the session has too much to do" })
  }
  get httpStatus(): 429 {
    return 429
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The session crashed while it handled the action, which is not handled again.
 *
 * @since 0.1.0
 * @category errors
 */
export class Crashed extends Schema.TaggedError<Crashed>()(
  "Crashed",
  { message: Schema.String },
  { httpApiStatus: 500 }
) implements SessionErrorLike {
  static of(): Crashed {
    return new Crashed({ message: "the session crashed over this action" })
  }
  get httpStatus(): 500 {
    return 500
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * There is no answer yet. Who sends the action again under the same client and sequence waits for the same answer.
 *
 * @since 0.1.0
 * @category errors
 */
export class Unanswered extends Schema.TaggedError<Unanswered>()(
  "Unanswered",
  { message: Schema.String },
  { httpApiStatus: 504 }
) implements SessionErrorLike {
  static of(): Unanswered {
    return new Unanswered({ message: "the session has not answered in time" })
  }
  get httpStatus(): 504 {
    return 504
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * What the mount of a view can fail with, and end with.
 *
 * @since 0.1.0
 * @category models
 */
export const ViewError = Schema.Union([SessionGone, Unknown, Forbidden, ViewFailed])

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
