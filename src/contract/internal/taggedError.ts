import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import { withoutStack } from "../../internal/withoutStack.ts"

/** The members that all errors of this library share. Not an interface: declarations cannot name one that is internal. */
type Members<Status extends number> = {
  /** The HTTP status for this error. */
  readonly httpStatus: Status
  /** `true`: the operation had no effect, so trying again cannot do anything twice. */
  readonly retrySafe: boolean
}

type WithMessage<Fields extends Schema.Struct.Fields> = Fields & { readonly message: typeof Schema.String }

/** The static `of` of an error whose options have one. */
type Of<Self, Args extends ReadonlyArray<any>> = [Args] extends [never] ? unknown : {
  /** Makes the error with its message, without a stack. */
  readonly of: (...args: Args) => Self
}

/**
 * The base class of an error: a `Schema.TaggedError` with a message, its HTTP status (also for `effect/http-api`), and
 * whether a retry is safe, which may depend on its fields. With `of`, which gives fields and message, the class has a static
 * `of` with the same arguments.
 */
export const taggedError = <Self = never>() =>
<
  Tag extends string,
  const Fields extends Schema.Struct.Fields,
  const Status extends number,
  Args extends ReadonlyArray<any> = never
>(
  tag: Tag,
  fields: Fields,
  { of, retrySafe, status }: {
    readonly status: Status
    readonly retrySafe: boolean | ((error: Schema.Struct<Fields>["Type"]) => boolean)
    readonly of?: (...args: Args) => Schema.Struct<WithMessage<Fields>>["~type.make.in"]
  }
):
  & Schema.Class<Self, Schema.TaggedStruct<Tag, WithMessage<Fields>>, Cause.YieldableError & Members<Status>>
  & Of<Self, Args> =>
{
  const base = Schema.TaggedError<any>()(tag, { ...fields, message: Schema.String }, { httpApiStatus: status })
  Object.defineProperties(base.prototype, {
    httpStatus: { get: () => status },
    retrySafe: typeof retrySafe === "boolean" ? { get: () => retrySafe } : {
      get(this: Schema.Struct<Fields>["Type"]) {
        return retrySafe(this)
      }
    }
  })
  if (of === undefined) return base as never
  return Object.assign(base, {
    of(this: new(fields: object) => Self, ...args: Args) {
      const fields = of(...args)
      return withoutStack(() => new this(fields))
    }
  }) as never
}
