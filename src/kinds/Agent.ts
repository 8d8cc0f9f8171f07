/**
 * Sessions that are read and changed by functions.
 *
 * An agent has a state and no messages of its own: `get`, `update` and `modify` send a function, which runs in the
 * session, one at a time and in order like any message. Functions cannot leave the process, so agents suit local state;
 * what travels needs a protocol of its own (`Session.Service`).
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Session from "../contract/Session.ts"
import type { CallError } from "../contract/SessionError.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import { makeValueCheck } from "./internal/valueCheck.ts"

/** Answers with what the function makes of the state, and goes on with the state it gives. */
const Modify = Rpc.make("Modify", {
  payload: Schema.declare(
    (u: unknown): u is (state: any) => readonly [reply: unknown, state: any] => typeof u === "function"
  ),
  success: Schema.Unknown
})

/**
 * The messages of an agent.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol = typeof Modify

/**
 * A ref of an agent.
 *
 * @since 0.1.0
 * @category models
 */
export type Ref<State> = SessionRef<State, Protocol>

/**
 * Defines a kind of agent. Give it a Layer with `toLayer`, whose behaviour `behavior` makes of the first state.
 *
 * ```ts
 * class Counter extends Agent.Service<Counter>()("Counter", { state: Schema.Int }) {}
 * const CounterLayer = Counter.toLayer(Agent.behavior(Counter, () => 0))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<const Name extends string, State extends Schema.Top>(
  name: Name,
  options: { readonly state: State }
): Session.Definition<Self, Name, State, Protocol, Schema.Void, Schema.Never> =>
  Session.Service<Self>()(name, { state: options.state, protocol: [Modify] })

/**
 * The behaviour of an agent: its first state.
 *
 * @since 0.1.0
 * @category constructors
 */
export const behavior = <Self, Name extends string, State extends Schema.Top>(
  definition: Session.Definition<Self, Name, State, Protocol, Schema.Void, Schema.Never>,
  init: (id: string) => State["Type"]
): Session.Behavior<State["Type"], Protocol, void, never, never> => {
  const { explain, fits } = makeValueCheck(definition.state)
  const checked = (state: State["Type"]): State["Type"] => {
    if (!fits(state)) throw new TypeError(`the state of an agent ${definition.kind} does not fit: ${explain(state)}`)
    return state
  }
  return definition.behavior({
    init: ({ id }) => checked(init(id)),
    handlers: {
      Modify: ({ payload, state }) => {
        const [reply, next] = payload(state)
        return [next === state ? state : checked(next), reply] as const
      }
    }
  })
}

/**
 * Reads the state with a function that runs in the session, after the messages sent before it.
 *
 * @since 0.1.0
 * @category operations
 */
export const get = <State, A>(ref: Ref<State>, f: (state: State) => A): Effect.Effect<A, CallError> =>
  modify(ref, (state) => [f(state), state])

/**
 * Changes the state with a function.
 *
 * @since 0.1.0
 * @category operations
 */
export const update = <State>(ref: Ref<State>, f: (state: State) => State): Effect.Effect<void, CallError> =>
  Effect.asVoid(modify(ref, (state) => [undefined, f(state)]))

/**
 * Changes the state with a function and gives what else it answers. A function that throws, or gives a state that does not
 * fit its schema, leaves the state as it was; the caller gets `SessionCrashed`.
 *
 * @since 0.1.0
 * @category operations
 */
export const modify = <State, A>(
  ref: Ref<State>,
  f: (state: State) => readonly [reply: A, state: State]
): Effect.Effect<A, CallError> => Effect.map(ref.call("Modify", f), (reply) => reply as A)
