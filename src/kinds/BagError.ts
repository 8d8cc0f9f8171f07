/**
 * Why a bag refuses a value.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"
import { findUnfit } from "../internal/jsonValue.ts"
import { withoutStack } from "../internal/withoutStack.ts"

/**
 * The value has no JSON form, because of the part at `path`: a `Date`, a `Map`, an instance of a class, a function, a
 * `bigint`, `NaN`, an infinite number, `undefined`, a reference to itself, or more than 64 levels of nesting. Nothing was
 * changed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidValue
  extends taggedError<InvalidValue>()("InvalidValue", { key: Schema.String, path: Schema.String }, {
    status: 422,
    retrySafe: false
  })
{
  /** The error for the value of a key, if it has no JSON form. */
  static of(key: string, value: unknown): InvalidValue | undefined {
    const unfit = findUnfit(value, "value")
    if (unfit === undefined) return undefined
    const { path, what } = unfit
    const shown = JSON.stringify(key.length > 40 ? `${key.slice(0, 40)}…` : key)
    return withoutStack(() =>
      new InvalidValue({
        key,
        path,
        message: `${shown} cannot be put into a bag: ${path} is ${what}, which JSON has not`
      })
    )
  }
}
