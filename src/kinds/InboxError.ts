/**
 * Why an inbox refuses a notification.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"

/**
 * The inbox is at its `capacity`, and its `whenFull` policy is `"reject"`. Nothing was pushed. A retry succeeds once the user
 * removed notifications or some expired.
 *
 * @since 0.1.0
 * @category errors
 */
export class InboxFull
  extends taggedError<InboxFull>()("InboxFull", { kind: Schema.String, id: Schema.String, capacity: Schema.Int }, {
    status: 409,
    retrySafe: true,
    of: (kind: string, id: string, capacity: number) => ({
      kind,
      id,
      capacity,
      message: `the inbox ${kind}/${id} is full (${capacity} notifications)`
    })
  })
{}

/**
 * The inbox has no such kind of notification, the payload does not fit the schema of its kind, or it has no JSON form. Nothing
 * was pushed. The same push fails again.
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
