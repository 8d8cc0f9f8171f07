/**
 * Why a presence refuses to track.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"
import { withoutStack } from "../internal/withoutStack.ts"

/**
 * `track` was given a key or a device that is not a usable name, or a `meta` that does not fit its schema or has no JSON
 * form; `field` says which. Nothing is tracked. The same call fails again.
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
  /** Makes the error for a name; the message quotes at most 40 characters of it. */
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
  /** Makes the error for the `meta` of a device. */
  static ofMeta(why: string): InvalidPresence {
    return withoutStack(() =>
      new InvalidPresence({ field: "meta", message: `the meta of the device does not fit: ${why}` })
    )
  }
}
