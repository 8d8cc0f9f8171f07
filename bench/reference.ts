/**
 * How fast is this library with a minimal kind? The reference kind, with which the baselines are compared: a state of three
 * fields, a message that reads it and a message that sets a field; both also with handlers that are Effects.
 */
import { Effect, Schema } from "effect"
import { Session } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"
import { benchKind } from "./harness.ts"

const Field = Schema.Struct({ key: Schema.Literals(["user_id", "count"]), value: Schema.Int })

const State = Schema.Struct({ user_id: Schema.Int, count: Schema.Int, theme: Schema.String })

class Reference extends Session.Service<Reference>()("Reference", {
  state: State,
  protocol: [
    Rpc.make("Get", { success: State }),
    Rpc.make("Put", { payload: Field }),
    Rpc.make("GetEffect", { success: State }),
    Rpc.make("PutEffect", { payload: Field })
  ]
}) {}

const ReferenceLayer = Reference.toLayer(Reference.behavior({
  init: () => ({ user_id: 42, count: 0, theme: "dark" }),
  handlers: {
    Get: ({ state }) => [state, state],
    Put: ({ payload, state }) => [{ ...state, [payload.key]: payload.value }],
    GetEffect: ({ state }) => Effect.succeed([state, state]),
    PutEffect: ({ payload, state }) => Effect.succeed([{ ...state, [payload.key]: payload.value }])
  }
}))

export default benchKind({
  name: "effect-sessions",
  kind: Reference,
  layer: ReferenceLayer,
  call: (ref) => ref.call("Get"),
  isAnswer: (state) => (state as typeof State.Type).user_id === 42,
  cast: (ref) => ref.cast("Put", { key: "count", value: 1 }),
  castUnsafe: (ref) => ref.castUnsafe("Put", { key: "count", value: 1 }),
  effectful: {
    call: (ref) => ref.call("GetEffect"),
    castUnsafe: (ref) => ref.castUnsafe("PutEffect", { key: "count", value: 1 })
  },
  broadcast: (sessions) => sessions.broadcast("Put", { key: "count", value: 1 })
})
