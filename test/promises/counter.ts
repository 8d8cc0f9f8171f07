/** A small kind on which the promises are tested. */
import { Effect, Latch, Schema } from "effect"
import { type KindOptions, Session } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"

class Refused extends Schema.TaggedError<Refused>()("Refused", { why: Schema.String }) {}

/** What a test wants to know of, or to hold up in, a session. */
const Probe = Schema.declare((u: unknown): u is Latch.Latch => typeof u === "object")

export class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Array(Schema.Int),
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }),
    /** Like `Add`, but in an Effect that takes a second. */
    Rpc.make("AddSlowly", { payload: Schema.Int, success: Schema.Int, error: Refused }),
    /** Waits until the latch opens, then adds. */
    Rpc.make("AddWhen", { payload: Schema.Struct({ latch: Probe, n: Schema.Int }), success: Schema.Int }),
    Rpc.make("Sample", { payload: Schema.Int }),
    Rpc.make("Urgent", { payload: Schema.Int }),
    Rpc.make("Throw", { payload: Schema.String }),
    Rpc.make("Die", { payload: Schema.String }),
    Rpc.make("Hang"),
    Rpc.make("All", { success: Schema.Array(Schema.Int) })
  ]
}) {}

type Tags = "Add" | "AddSlowly" | "AddWhen" | "Sample" | "Urgent" | "Throw" | "Die" | "Hang" | "All"

export const layer = (options?: KindOptions.KindOptions<Tags>) =>
  Counter.toLayer(
    Counter.behavior({
      init: (): ReadonlyArray<number> => [],
      handlers: {
        Add: ({ payload, state }) => [[...state, payload], state.length + 1],
        AddSlowly: ({ payload, state }) =>
          payload < 0
            ? Effect.fail(new Refused({ why: "negative" }))
            : Effect.as(Effect.sleep("1 second"), [[...state, payload], state.length + 1] as const),
        AddWhen: ({ payload: { latch, n }, state }) =>
          Effect.as(latch.await, [[...state, n], state.length + 1] as const),
        Sample: ({ payload, state }) => [[...state, payload]],
        Urgent: ({ payload, state }) => [[...state, payload]],
        Throw: ({ payload }) => {
          throw new Error(payload)
        },
        Die: ({ payload }) => Effect.die(new Error(payload)),
        Hang: () => Effect.never,
        All: ({ state }) => [state, state]
      }
    }),
    options
  )

/** Keeps a session busy until the latch that it gives is opened. */
export const busy = (ref: Session.Ref<typeof Counter>) =>
  Effect.gen(function*() {
    const latch = Latch.makeUnsafe()
    yield* ref.cast("AddWhen", { latch, n: 0 })
    return latch
  })
