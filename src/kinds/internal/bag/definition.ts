/**
 * The kind of session that a bag is: named values, and the messages that read and change them.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Session from "../../../contract/Session.ts"
import { InvalidValue } from "../../BagError.ts"

const State = Schema.Record(Schema.String, Schema.Unknown)

export type State = typeof State.Type

export const makeKind = <Self>() =>
  Session.Service<Self>()("Bag", {
    state: State,
    args: Schema.UndefinedOr(State),
    error: InvalidValue,
    protocol: [
      Rpc.make("Put", {
        payload: { key: Schema.String, value: Schema.Unknown },
        success: Schema.Unknown,
        error: InvalidValue
      }),
      Rpc.make("Merge", { payload: State, error: InvalidValue }),
      Rpc.make("Get", { payload: Schema.String, success: Schema.Unknown }),
      Rpc.make("Delete", { payload: Schema.String, success: Schema.Unknown }),
      Rpc.make("All", { success: State })
    ]
  })
