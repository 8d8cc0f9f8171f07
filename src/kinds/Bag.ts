/**
 * A ready-made kind of session: a bag of named values.
 *
 * For programs that only want to keep a few values for each user. It is the default kind: `Sessions.start(id)`
 * starts one when its Layer is there.
 *
 * @since 0.1.0
 */
import type * as Layer from "effect/Layer"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type { KindOptions } from "../contract/KindOptions.ts"
import * as Session from "../contract/Session.ts"
import type { InvalidConfig } from "../contract/SessionError.ts"
import type { SessionHost } from "../contract/SessionHost.ts"

const State = Schema.Record(Schema.String, Schema.Unknown)

/**
 * The bag kind. Its arguments are the first values.
 *
 * @since 0.1.0
 * @category kinds
 */
export class Bag extends Session.Service<Bag>()("Bag", {
  state: State,
  args: Schema.UndefinedOr(State),
  protocol: [
    /** Sets a value and answers the one before it. */
    Rpc.make("Put", { payload: { key: Schema.String, value: Schema.Unknown }, success: Schema.Unknown }),
    /** Sets several values at once. */
    Rpc.make("Merge", { payload: State }),
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

const behavior = Bag.behavior({
  init: ({ args }) => ({ ...args }),
  handlers: {
    Put: ({ payload: { key, value }, state }) => [{ ...state, [key]: value }, get(state, key)],
    Merge: ({ payload, state }) => [{ ...state, ...payload }],
    Get: ({ payload, state }) => [state, get(state, payload)],
    Delete: ({ payload, state }) => {
      if (!Object.hasOwn(state, payload)) return [state, undefined]
      const { [payload]: taken, ...rest } = state
      return [rest, taken]
    },
    All: ({ state }) => [state, state]
  }
})

const get = (state: typeof State.Type, key: string): unknown => Object.hasOwn(state, key) ? state[key] : undefined
