/**
 * The errors of actions with a number, apart from the others: they are in the bundle of each client.
 */
import * as Schema from "effect/Schema"
import { withoutStack } from "../../internal/withoutStack.ts"
import type { SessionErrorLike } from "../SessionError.ts"

/**
 * The client's action is older than what the session remembers of it, or was first sent to an earlier incarnation of
 * the session: whether it took effect is not known. See `SessionRef.callOnce`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionForgotten extends Schema.TaggedError<ActionForgotten>()(
  "ActionForgotten",
  { sequence: Schema.Int, message: Schema.String },
  { httpApiStatus: 409 }
) implements SessionErrorLike {
  static of(sequence: number): ActionForgotten {
    return withoutStack(() =>
      new ActionForgotten({
        sequence,
        message: `the session does not remember action ${sequence}: it may have been handled, or not`
      })
    )
  }
  get httpStatus(): 409 {
    return 409
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * An action of the client came before the one that it follows. Nothing happened: send them in order, from `expected`
 * on. See `SessionRef.callOnce`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionOutOfOrder extends Schema.TaggedError<ActionOutOfOrder>()(
  "ActionOutOfOrder",
  { sequence: Schema.Int, expected: Schema.Int, message: Schema.String },
  { httpApiStatus: 409 }
) implements SessionErrorLike {
  static of(sequence: number, expected: number): ActionOutOfOrder {
    return withoutStack(() =>
      new ActionOutOfOrder({ sequence, expected, message: `action ${sequence} came where ${expected} is expected` })
    )
  }
  get httpStatus(): 409 {
    return 409
  }
  get retrySafe(): boolean {
    return true
  }
}
