/**
 * Why an inbox refuses a notification.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { withoutStack } from "../internal/withoutStack.ts"

/**
 * The inbox has as many notifications as it may have, and its policy is to refuse more. Nothing was pushed; it can be
 * once its user has removed some, or some have expired.
 *
 * @since 0.1.0
 * @category errors
 */
export class InboxFull extends Schema.TaggedError<InboxFull>()(
  "InboxFull",
  { kind: Schema.String, id: Schema.String, capacity: Schema.Int, message: Schema.String },
  { httpApiStatus: 409 }
) {
  static of(kind: string, id: string, capacity: number): InboxFull {
    return withoutStack(() =>
      new InboxFull({ kind, id, capacity, message: `the inbox ${kind}/${id} is full (${capacity} notifications)` })
    )
  }
  get httpStatus(): 409 {
    return 409
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The inbox does not know such notifications, or the payload does not fit their schema. Nothing was pushed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidNotification extends Schema.TaggedError<InvalidNotification>()(
  "InvalidNotification",
  { notification: Schema.String, message: Schema.String },
  { httpApiStatus: 400 }
) {
  get httpStatus(): 400 {
    return 400
  }
  get retrySafe(): boolean {
    return false
  }
}
