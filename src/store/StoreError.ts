/**
 * Why a store refuses an action or a journey.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * No reducer knows an action of this type.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownAction extends Schema.TaggedError<UnknownAction>()(
  "UnknownAction",
  { type: Schema.String, message: Schema.String },
  { httpApiStatus: 404 }
) {
  static of(type: string): UnknownAction {
    return new UnknownAction({ type, message: `no reducer knows the action ${JSON.stringify(type)}` })
  }
  get httpStatus(): 404 {
    return 404
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The payload or the meta of an action from outside does not fit.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidAction extends Schema.TaggedError<InvalidAction>()(
  "InvalidAction",
  { type: Schema.String, message: Schema.String },
  { httpApiStatus: 400 }
) {
  get httpStatus(): 400 {
    return 400
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * A middleware stopped the action.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionStopped extends Schema.TaggedError<ActionStopped>()(
  "ActionStopped",
  { type: Schema.String, message: Schema.String },
  { httpApiStatus: 422 }
) {
  get httpStatus(): 422 {
    return 422
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The history does not hold this version: it never was, or it made room for newer ones.
 *
 * @since 0.1.0
 * @category errors
 */
export class VersionGone extends Schema.TaggedError<VersionGone>()(
  "VersionGone",
  { version: Schema.Number, message: Schema.String },
  { httpApiStatus: 410 }
) {
  static of(version: number): VersionGone {
    return new VersionGone({ version, message: `the history does not hold version ${version}` })
  }
  get httpStatus(): 410 {
    return 410
  }
  get retrySafe(): boolean {
    return false
  }
}
