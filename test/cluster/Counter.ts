/** A kind for tests of clusters: what it is told can neither be lost nor be done twice unseen. */
import { Deferred, Effect, Schema } from "effect"
import { Session } from "effect-sessions"
import { Rpc } from "effect/rpc"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

export class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Struct({ count: Schema.Int, notes: Schema.Array(Schema.String) }),
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int, error: Refused }),
    Rpc.make("Note", { payload: Schema.String }),
    Rpc.make("Look", { success: Schema.Int }),
    Rpc.make("Slow", { payload: Schema.Int, success: Schema.Int }),
    Rpc.make("Die"),
    Rpc.make("AddLater", { payload: Schema.Int })
  ]
}) {}

export type CounterOptions = NonNullable<Parameters<typeof Counter.toLayer>[1]>

/** Holds the handlers of `Slow`. */
export class Gate {
  readonly entered = Deferred.makeUnsafe<void>()
  readonly open = Deferred.makeUnsafe<void>()
}

export const counterLayer = (gate: Gate, options: CounterOptions) =>
  Counter.toLayer(
    Counter.behavior({
      init: () => ({ count: 0, notes: [] }),
      handlers: {
        Add: ({ payload, state }) =>
          payload < 0
            ? Effect.fail(new Refused({ why: "it only goes up" }))
            : Effect.succeed([{ ...state, count: state.count + payload }, state.count + payload] as const),
        Note: ({ payload, state }) => [{ ...state, notes: [...state.notes, payload] }],
        Look: ({ state }) => [state, state.count],
        Slow: ({ payload, state }) =>
          Deferred.succeed(gate.entered, undefined).pipe(
            Effect.andThen(Deferred.await(gate.open)),
            Effect.as([{ ...state, count: state.count + payload }, state.count + payload] as const)
          ),
        Die: () => Effect.die(new Error("it fell over")),
        AddLater: ({ payload, self, state }) =>
          Effect.as(self.after(payload, "Note", "later", { key: "later" }), [state] as const)
      }
    }),
    options
  )
