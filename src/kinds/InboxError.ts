/**
 * Why an inbox refuses a notification.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"
import { withoutStack } from "../internal/withoutStack.ts"

/**
 * The inbox has as many notifications as it may have, and its policy is to refuse more. Nothing was pushed; it can be
 * once its user has removed some, or some have expired.
 *
 * @since 0.1.0
 * @category errors
 */
export class InboxFull
  extends taggedError<InboxFull>()("InboxFull", { kind: Schema.String, id: Schema.String, capacity: Schema.Int }, {
    status: 409,
    retrySafe: true
  })
{
  static of(kind: string, id: string, capacity: number): InboxFull {
    return withoutStack(() =>
      new InboxFull({ kind, id, capacity, message: `the inbox ${kind}/${id} is full (${capacity} notifications)` })
    )
  }
}

/**
 * The inbox does not know such notifications, or the payload does not fit their schema. Nothing was pushed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidNotification
  extends taggedError<InvalidNotification>()("InvalidNotification", { notification: Schema.String }, {
    status: 400,
    retrySafe: false
  })
{}
