/**
 * Sessions that are read and changed by functions.
 *
 * An agent has a state and no protocol: `get`, `update` and `modify` send it a function, which runs in the session, one at a
 * time and in order, like any message.
 *
 * **When to use.** For local state that several fibers share. Functions cannot leave the process: for clients, or for sessions
 * on other machines, define a protocol with `Session.Service`.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Schema from "effect/Schema"
import type * as Session from "../contract/Session.ts"
import type { CallError } from "../contract/SessionError.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import { makeBehavior } from "./internal/agent/behavior.ts"
import { makeKind } from "./internal/agent/definition.ts"

/**
 * The messages of an agent.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol = Rpc.Rpc<
  "Modify",
  Schema.Codec<(state: any) => readonly [reply: unknown, state: any]>,
  typeof Schema.Unknown
>

/**
 * A ref of an agent.
 *
 * @since 0.1.0
 * @category models
 */
export type Ref<State> = SessionRef<State, Protocol>

/**
 * Defines a kind of agent. Give it a Layer with `toLayer` and `behavior`.
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
  makeKind<Self>()(name, options.state) as never

/**
 * The behavior of an agent, for its `toLayer`: its first state, from the session's id. A state that does not fit the schema, or
 * that has no JSON form when the kind has `snapshots`, is a defect of the start.
 *
 * @since 0.1.0
 * @category constructors
 */
export const behavior = <Self, Name extends string, State extends Schema.Top>(
  definition: Session.Definition<Self, Name, State, Protocol, Schema.Void, Schema.Never>,
  init: (id: string) => State["Type"]
): Session.Behavior<State["Type"], Protocol, void, never, never> => makeBehavior(definition, init)

/**
 * Reads from the state with a function that runs in the session, after the messages sent before.
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
 * Changes the state with a function and gives its reply. When the function throws, or gives a state that does not fit the
 * schema, or that has no JSON form when the kind has `snapshots`, the state stays as it was and the caller gets
 * `SessionCrashed`.
 *
 * @since 0.1.0
 * @category operations
 */
export const modify = <State, A>(
  ref: Ref<State>,
  f: (state: State) => readonly [reply: A, state: State]
): Effect.Effect<A, CallError> => Effect.map(ref.call("Modify", f), (reply) => reply as A)
