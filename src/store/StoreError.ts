/**
 * The errors of stores.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"

/**
 * `Store.decode` got an action that no reducer declares.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownAction extends taggedError<UnknownAction>()("UnknownAction", { type: Schema.String }, {
  status: 404,
  retrySafe: false,
  of: (type: string) => ({ type, message: `no reducer knows the action ${JSON.stringify(type)}` })
}) {}

/**
 * `Store.decode` got an action whose payload or meta does not fit its schema; the message says where.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidAction
  extends taggedError<InvalidAction>()("InvalidAction", { type: Schema.String }, { status: 400, retrySafe: false })
{}

/**
 * A middleware stopped the action. State, history and throttles are as before.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionStopped
  extends taggedError<ActionStopped>()("ActionStopped", { type: Schema.String }, { status: 422, retrySafe: false })
{}

/**
 * The history does not have this version: it never existed, or newer steps replaced it.
 *
 * @since 0.1.0
 * @category errors
 */
export class VersionGone extends taggedError<VersionGone>()("VersionGone", { version: Schema.Number }, {
  status: 410,
  retrySafe: false,
  of: (version: number) => ({ version, message: `the history does not have version ${version}` })
}) {}
