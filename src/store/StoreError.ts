/**
 * Why a store refuses an action or a journey.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"

/**
 * No reducer knows an action of this type.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownAction
  extends taggedError<UnknownAction>()("UnknownAction", { type: Schema.String }, { status: 404, retrySafe: false })
{
  static of(type: string): UnknownAction {
    return new UnknownAction({ type, message: `no reducer knows the action ${JSON.stringify(type)}` })
  }
}

/**
 * The payload or the meta of an action from outside does not fit.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidAction
  extends taggedError<InvalidAction>()("InvalidAction", { type: Schema.String }, { status: 400, retrySafe: false })
{}

/**
 * A middleware stopped the action.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionStopped
  extends taggedError<ActionStopped>()("ActionStopped", { type: Schema.String }, { status: 422, retrySafe: false })
{}

/**
 * The history does not hold this version: it never was, or it made room for newer ones.
 *
 * @since 0.1.0
 * @category errors
 */
export class VersionGone
  extends taggedError<VersionGone>()("VersionGone", { version: Schema.Number }, { status: 410, retrySafe: false })
{
  static of(version: number): VersionGone {
    return new VersionGone({ version, message: `the history does not hold version ${version}` })
  }
}
