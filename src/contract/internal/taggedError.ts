import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"

/** The members that all errors of this library share. Not an interface: declarations cannot name one that is internal. */
type Members<Status extends number> = {
  /** The HTTP status for this error. */
  readonly httpStatus: Status
  /** `true`: the operation had no effect, so trying again cannot do anything twice. */
  readonly retrySafe: boolean
}

type WithMessage<Fields extends Schema.Struct.Fields> = Fields & { readonly message: typeof Schema.String }

/**
 * The base class of an error: a `Schema.TaggedError` with a message, its HTTP status (also for `effect/http-api`), and
 * whether a retry is safe, which may depend on its fields.
 */
export const taggedError =
  <Self = never>() =>
  <Tag extends string, const Fields extends Schema.Struct.Fields, const Status extends number>(
    tag: Tag,
    fields: Fields,
    { retrySafe, status }: {
      readonly status: Status
      readonly retrySafe: boolean | ((error: Schema.Struct<Fields>["Type"]) => boolean)
    }
  ): Schema.Class<Self, Schema.TaggedStruct<Tag, WithMessage<Fields>>, Cause.YieldableError & Members<Status>> => {
    const base = Schema.TaggedError<any>()(tag, { ...fields, message: Schema.String }, { httpApiStatus: status })
    Object.defineProperties(base.prototype, {
      httpStatus: { get: () => status },
      retrySafe: typeof retrySafe === "boolean" ? { get: () => retrySafe } : {
        get(this: Schema.Struct<Fields>["Type"]) {
          return retrySafe(this)
        }
      }
    })
    return base as never
  }
