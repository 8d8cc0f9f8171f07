/**
 * The errors of actions with a number, apart from the others: they are in the bundle of each client.
 */
import * as Schema from "effect/Schema"
import { taggedError } from "./taggedError.ts"

/**
 * The client's action is older than what the session remembers of it, or was first sent to an earlier incarnation of
 * the session: whether it took effect is not known. See `SessionRef.callOnce`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionForgotten extends taggedError<ActionForgotten>()("ActionForgotten", { sequence: Schema.Int }, {
  status: 409,
  retrySafe: false,
  of: (sequence: number) => ({
    sequence,
    message: `the session does not remember action ${sequence}: it may have been handled, or not`
  })
}) {}

/**
 * An action of the client came before the one that it follows. Nothing happened: send them in order, from `expected`
 * on. See `SessionRef.callOnce`.
 *
 * @since 0.1.0
 * @category errors
 */
export class ActionOutOfOrder
  extends taggedError<ActionOutOfOrder>()("ActionOutOfOrder", { sequence: Schema.Int, expected: Schema.Int }, {
    status: 409,
    retrySafe: true,
    of: (sequence: number, expected: number) => ({
      sequence,
      expected,
      message: `action ${sequence} came where ${expected} is expected`
    })
  })
{}
