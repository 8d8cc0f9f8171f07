/**
 * A ready-made kind of session: a bag of named values.
 *
 * For programs that only want to keep a few values for each user. It is the default kind: `Sessions.start(id)`
 * starts one when its Layer is there.
 *
 * Values are what JSON has, whether bags are kept in a store or not; others are refused with `InvalidValue` where they are
 * put in. A bag has a copy of what was put into it, in which keys that were `undefined` are absent, and -0 is 0. For values
 * that do not leave the process use an `Agent`; for those with a schema, a kind of your own.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type { KindOptions } from "../contract/KindOptions.ts"
import * as Session from "../contract/Session.ts"
import type { InvalidConfig } from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"
import { InvalidValue } from "./BagError.ts"

const State = Schema.Record(Schema.String, Schema.Unknown)

/**
 * The bag kind. Its arguments are the first values; `start` fails with `InvalidValue` when one is not what JSON has.
 *
 * @since 0.1.0
 * @category kinds
 */
export class Bag extends Session.Service<Bag>()("Bag", {
  state: State,
  args: Schema.UndefinedOr(State),
  error: InvalidValue,
  protocol: [
    /** Sets a value and answers the one before it. */
    Rpc.make("Put", {
      payload: { key: Schema.String, value: Schema.Unknown },
      success: Schema.Unknown,
      error: InvalidValue
    }),
    /** Sets several values at once, or none. */
    Rpc.make("Merge", { payload: State, error: InvalidValue }),
    /** Answers a value; `undefined` when there is none. */
    Rpc.make("Get", { payload: Schema.String, success: Schema.Unknown }),
    /** Takes a value out and answers it. */
    Rpc.make("Delete", { payload: Schema.String, success: Schema.Unknown }),
    /** Answers all values. */
    Rpc.make("All", { success: State })
  ]
}) {
  /**
   * Registers the kind.
   *
   * @since 0.1.0
   */
  static readonly layer = (
    options?: KindOptions<"Put" | "Merge" | "Get" | "Delete" | "All">
  ): Layer.Layer<Bag, InvalidConfig, SessionHost> => Bag.toLayer(behavior, options)
}

type State = typeof State.Type

const behavior = Bag.behavior({
  init: ({ args = {} }) => {
    const invalid = firstInvalid(args)
    return invalid === undefined ? copy(args) : Effect.fail(invalid)
  },
  handlers: {
    Put: ({ payload: { key, value }, state }) => {
      const invalid = InvalidValue.of(key, value)
      return invalid === undefined ? [{ ...state, [key]: copy(value) }, get(state, key)] : Effect.fail(invalid)
    },
    Merge: ({ payload, state }) => {
      const invalid = firstInvalid(payload)
      return invalid === undefined ? [{ ...state, ...copy(payload) }] : Effect.fail(invalid)
    },
    Get: ({ payload, state }) => [state, get(state, payload)],
    Delete: ({ payload, state }) => {
      if (!Object.hasOwn(state, payload)) return [state, undefined]
      const { [payload]: taken, ...rest } = state
      return [rest, taken]
    },
    All: ({ state }) => [state, state]
  }
})

/** The error for the first of the values that is not one that JSON has. */
const firstInvalid = (values: State): InvalidValue | undefined => {
  for (const [key, value] of Object.entries(values)) {
    const invalid = InvalidValue.of(key, value)
    if (invalid !== undefined) return invalid
  }
  return undefined
}

const get = (state: State, key: string): unknown => Object.hasOwn(state, key) ? state[key] : undefined

/** A value as it comes back from a store. Whoever put it in may go on changing what it has. */
const copy = <A>(value: A): A => {
  if (typeof value === "object") return JSON.parse(JSON.stringify(value))
  return value === 0 ? 0 as A : value
}
