/**
 * The error of presence.
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"
import { withoutStack } from "../internal/withoutStack.ts"

/**
 * A key or a device is not usable as one, or what is known of the device does not fit its schema, or is not what JSON has.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPresence
  extends taggedError<InvalidPresence>()("InvalidPresence", { field: Schema.Literals(["key", "device", "meta"]) }, {
    status: 400,
    retrySafe: false
  })
{
  /** Makes the error for a value, shortening what is quoted of it. */
  static of(field: "key" | "device", value: unknown): InvalidPresence {
    const text = String(value)
    const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
    return withoutStack(() =>
      new InvalidPresence({
        field,
        message: `${shown} is not a ${field} for presence: it has 1 to 256 characters, none of them a control character`
      })
    )
  }
  /** Makes the error for what is known of a device. */
  static ofMeta(why: string): InvalidPresence {
    return withoutStack(() =>
      new InvalidPresence({ field: "meta", message: `what is known of the device does not fit: ${why}` })
    )
  }
}
