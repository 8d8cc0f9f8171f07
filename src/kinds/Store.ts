/**
 * Sessions whose state consists of slices by reducers, as in Redux.
 *
 * A store is a kind of session: it starts, expires, is watched and supervised like any other. Its reducers determine at
 * compile time what can be dispatched to it; schemas check actions that come from outside.
 *
 * **When to use.** For state with many kinds of changes, several features in one session, or when you want middlewares,
 * throttles, history and time travel. For a few messages with their own replies `Session.Service` is simpler.
 *
 * ```ts
 * const counter = Reducer.make("counter", {
 *   prefix: "counter",
 *   state: Schema.Struct({ count: Schema.Int }),
 *   initial: { count: 0 },
 *   actions: { increment: Schema.Void, set: Schema.Int },
 *   on: { increment: ({ count }) => ({ count: count + 1 }), set: (_, count) => ({ count }) }
 * })
 * class Shop extends Store.Service<Shop>()("Shop", { reducers: [counter] }) {}
 * const ShopLayer = Shop.toLayer(Store.behavior(Shop))
 *
 * yield* Store.dispatch(shop, "counter.set", 5)
 * ```
 *
 * **Details.** An action passes throttles and debounces, then the middlewares, then the reducers. When anything on the way
 * fails, state, history and throttles stay as they were. Asynchronous work starts last and runs beside the session.
 *
 * **Gotchas.** A reducer that returns the slice it got has changed nothing: no new version, no step of history. History is
 * not stored: it starts again when a session is restored.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type * as Session from "../contract/Session.ts"
import type { CallError, CastError } from "../contract/SessionError.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import { type Action, make as makeAction, type Meta, noMeta } from "../store/Action.ts"
import type { Middleware } from "../store/Middleware.ts"
import type * as Reducer from "../store/Reducer.ts"
import type { ActionStopped, InvalidAction, UnknownAction, VersionGone } from "../store/StoreError.ts"
import { decodeAction, type Fired } from "./internal/store/actionSchema.ts"
import { makeBehavior } from "./internal/store/behavior.ts"
import { dispatchableOf, makeKind, Step, Unselected } from "./internal/store/definition.ts"

export { Step }

// ---------------------------------------------------------------------------------------------------------
// state and messages
// ---------------------------------------------------------------------------------------------------------

/**
 * The state of a store: the slice of each reducer, by the reducer's name.
 *
 * @since 0.1.0
 * @category utility types
 */
export type State<Reducers extends ReadonlyArray<Reducer.Any>> = {
  readonly [R in Reducers[number] as R["name"]]: R["state"]["Type"]
}

/**
 * The schema of the state.
 *
 * @since 0.1.0
 * @category utility types
 */
export type StateSchema<Reducers extends ReadonlyArray<Reducer.Any>> = Schema.Struct<
  { readonly [R in Reducers[number] as R["name"]]: R["state"] }
>

type Intersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never

/**
 * The actions of a store: the payload of each, by its full type.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Actions<Reducers extends ReadonlyArray<Reducer.Any>> = Intersection<Reducer.Dispatchable<Reducers[number]>>

/**
 * One of these actions.
 *
 * @since 0.1.0
 * @category utility types
 */
export type ActionOf<A> = { readonly [K in keyof A & string]: Action<K, A[K]> }[keyof A & string]

/**
 * The messages of a store. The functions of this module send them.
 *
 * `Dispatch` has no reply and `DispatchWait` replies with the state. What a session remembers of numbered actions
 * (`SessionRef.callOnce`) includes their replies, in memory and in snapshots, so number `Dispatch`, as live clients do.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol<S, A> =
  | Rpc.Rpc<"Dispatch", Schema.Codec<A>, typeof Schema.Void, typeof ActionStopped>
  | Rpc.Rpc<"DispatchWait", Schema.Codec<A>, Schema.Codec<S>, typeof ActionStopped>
  | Rpc.Rpc<"Fire", Schema.Codec<Fired>, typeof Schema.Void, typeof ActionStopped>
  | Rpc.Rpc<"Select", Schema.Codec<(state: S) => unknown>, typeof Schema.Unknown>
  | Rpc.Rpc<"History", typeof Schema.Void, Schema.Codec<ReadonlyArray<typeof Step.Type>>>
  | Rpc.Rpc<"Travel", typeof Schema.Number, Schema.Codec<S>, typeof VersionGone>
  | Rpc.Rpc<"Look", typeof Schema.Number, Schema.Codec<S>, typeof VersionGone>
  | Rpc.Rpc<"Reset", typeof Schema.Void, Schema.Codec<S>>
  | Rpc.Rpc<"Restore", Schema.Codec<S>, Schema.Codec<S>>
  | Rpc.Rpc<"Cancel", typeof Schema.String, typeof Schema.Number>

/**
 * The ref of a store.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Ref<S, A> = SessionRef<S, Protocol<S, A>>

// ---------------------------------------------------------------------------------------------------------
// definitions
// ---------------------------------------------------------------------------------------------------------

/**
 * A definition of a store: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export type Definition<
  Self,
  Name extends string,
  Reducers extends ReadonlyArray<Reducer.Any>,
  Args extends Schema.Top,
  E extends Schema.Top
> =
  & Session.Definition<
    Self,
    Name,
    StateSchema<Reducers>,
    Protocol<State<Reducers>, ActionOf<Actions<Reducers>>>,
    Args,
    E
  >
  & {
    readonly reducers: Reducers
    /** Each action as a message of its own, which a `Live` definition can expose to clients. */
    readonly dispatchable: ReadonlyMap<string, DispatchRpc<Actions<Reducers>>>
  }

/**
 * An action as a message: its payload, and no reply.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DispatchRpc<A> = {
  readonly [K in keyof A & string]: Rpc.Rpc<K, Schema.Codec<A[K], unknown>, typeof Schema.Void, typeof ActionStopped>
}[keyof A & string]

/**
 * Defines a kind of store: its name, its reducers, and the schemas of the arguments and of the error of its start, if it
 * has any. Give it a Layer with `toLayer` and `behavior`. Two reducers of the same name are a defect of the program and throw
 * at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<
  const Name extends string,
  const Reducers extends ReadonlyArray<Reducer.Any>,
  Args extends Schema.Top = Schema.Void,
  E extends Schema.Top = Schema.Never
>(name: Name, options: {
  readonly reducers: Reducers
  readonly args?: Args | undefined
  readonly error?: E | undefined
}): Definition<Self, Name, Reducers, Args, E> => {
  const { reducers } = options
  return Object.assign(makeKind<Self>()(name, options), { reducers, dispatchable: dispatchableOf(reducers) }) as never
}

/**
 * What happens to an action that no reducer knows: nothing (`"silent"`), a log line (`"log"`, at Debug; `"warn"`), or what
 * the function does.
 *
 * @since 0.1.0
 * @category models
 */
export type Unmatched<R> =
  | "silent"
  | "log"
  | "warn"
  | ((action: Action, self: Session.Self) => Effect.Effect<void, never, R>)

/**
 * Options of `behavior`.
 *
 * @since 0.1.0
 * @category models
 */
export interface BehaviorOptions<S, Args, E, R> {
  /** Gives slices of the first state, in place of the initial ones of their reducers. */
  readonly init?:
    | ((start: { readonly id: string; readonly args: Args }) => Partial<S> | Effect.Effect<Partial<S>, E, R>)
    | undefined
  /** From the outermost to the one around the reducers. */
  readonly middleware?: ReadonlyArray<Middleware<S, R>> | undefined
  /** Default: `"log"`. */
  readonly unmatched?: Unmatched<R> | undefined
  /** How many steps `history` has, to look at and to travel to. Default: 0. */
  readonly history?: number | undefined
  /** Runs when the session ends. */
  readonly end?: ((ending: Session.Ending<S, any>) => Effect.Effect<void, never, R>) | undefined
}

type ReducersServices<Reducers extends ReadonlyArray<Reducer.Any>> = Reducers[number] extends
  Reducer.Reducer<any, any, any, any, infer R> ? R : never

/**
 * The behavior of a store, for its `toLayer`. Publishes each action to `StoreBroadcasts`, if that service is there. A
 * `history` that is not a whole number is a defect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const behavior = <
  Self,
  Name extends string,
  const Reducers extends ReadonlyArray<Reducer.Any>,
  Args extends Schema.Top,
  E extends Schema.Top,
  R = never
>(
  definition: Definition<Self, Name, Reducers, Args, E>,
  options?: BehaviorOptions<State<Reducers>, Args["Type"], E["Type"], R>
): Effect.Effect<
  Session.Behavior<
    State<Reducers>,
    Protocol<State<Reducers>, ActionOf<Actions<Reducers>>>,
    Args["Type"],
    E["Type"],
    Exclude<ReducersServices<Reducers> | R, Session.Provided>
  >
> => makeBehavior(definition, options ?? {}) as never

// ---------------------------------------------------------------------------------------------------------
// operations
// ---------------------------------------------------------------------------------------------------------

type Dispatched<P extends Rpc.Any> = Rpc.Payload<Extract<P, { readonly _tag: "Dispatch" }>>

/**
 * The types of the actions of a store's messages.
 *
 * @since 0.1.0
 * @category utility types
 */
export type TypeOf<P extends Rpc.Any> = Dispatched<P> extends infer A ? A extends Action<infer T> ? T : never : never

/**
 * The arguments of `dispatch` after the type: the payload, optional when it is void, and a meta.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DispatchArgs<P extends Rpc.Any, T extends string> = Extract<Dispatched<P>, { readonly type: T }> extends
  Action<T, infer Payload> ? void extends Payload ? [payload?: undefined, meta?: Meta] : [payload: Payload, meta?: Meta]
  : never

const untyped = (ref: SessionRef<any, any>): SessionRef<any, any> => ref

/**
 * Dispatches an action and returns when the store's mailbox has accepted it.
 *
 * @since 0.1.0
 * @category operations
 */
export const dispatch = <P extends Rpc.Any, const T extends TypeOf<P>>(
  ref: SessionRef<any, P>,
  type: T,
  ...[payload, meta]: DispatchArgs<P, T>
): Effect.Effect<void, CastError> => untyped(ref).cast("Dispatch", makeAction(type, payload, meta ?? noMeta))

/**
 * Dispatches an action and gives the state after it; for a debounced or throttled action, the state as it is. Fails with
 * `ActionStopped` when a middleware stops it.
 *
 * @since 0.1.0
 * @category operations
 */
export const dispatchWait = <S, P extends Rpc.Any, const T extends TypeOf<P>>(
  ref: SessionRef<S, P>,
  type: T,
  ...[payload, meta]: DispatchArgs<P, T>
): Effect.Effect<S, ActionStopped | CallError> =>
  untyped(ref).call("DispatchWait", makeAction(type, payload, meta ?? noMeta)) as never

/**
 * Decodes an action from outside, as JSON, with the schemas of the reducers. Fails with `UnknownAction` or `InvalidAction`,
 * whose messages say what is wrong.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = <Reducers extends ReadonlyArray<Reducer.Any>>(
  definition: { readonly reducers: Reducers },
  input: unknown
): Effect.Effect<ActionOf<Actions<Reducers>>, UnknownAction | InvalidAction> =>
  decodeAction(definition.reducers, input) as never

/**
 * `dispatch` for an action that `decode` gave.
 *
 * @since 0.1.0
 * @category operations
 */
export const dispatchAction = <P extends Rpc.Any>(
  ref: SessionRef<any, P>,
  action: Dispatched<P>
): Effect.Effect<void, CastError> => untyped(ref).cast("Dispatch", action)

/**
 * `dispatchWait` for an action that `decode` gave.
 *
 * @since 0.1.0
 * @category operations
 */
export const dispatchActionWait = <S, P extends Rpc.Any>(
  ref: SessionRef<S, P>,
  action: Dispatched<P>
): Effect.Effect<S, ActionStopped | CallError> => untyped(ref).call("DispatchWait", action) as never

/**
 * Selects from the state in the session, after the actions dispatched before. A selector that throws is a defect of its
 * caller and does not affect the session. On a cluster, the state of a session of another node is sent here, and selected from
 * here.
 *
 * @since 0.1.0
 * @category operations
 */
export const select = <S, P extends Rpc.Any, A>(
  ref: SessionRef<S, P>,
  selector: (state: S) => A
): Effect.Effect<A, CallError> =>
  Effect.flatMap(
    untyped(ref).call("Select", selector) as Effect.Effect<Exit.Exit<A> | Unselected, CallError>,
    (reply) => reply instanceof Unselected ? Effect.sync(() => selector(reply.state)) : reply
  )

/**
 * The steps of the history, oldest first.
 *
 * @since 0.1.0
 * @category history
 */
export const history = <P extends Rpc.Any>(
  ref: SessionRef<any, P>
): Effect.Effect<ReadonlyArray<typeof Step.Type>, CallError> => untyped(ref).call("History") as never

/**
 * The state after the step with this version; 0 is the first state. Does not change the store.
 *
 * @since 0.1.0
 * @category history
 */
export const look = <S, P extends Rpc.Any>(
  ref: SessionRef<S, P>,
  version: number
): Effect.Effect<S, VersionGone | CallError> => untyped(ref).call("Look", version) as never

/**
 * Goes to the state of a version, earlier or later; 0 is the first state. Runs no reducers, middlewares or work again. The
 * next action builds on that state.
 *
 * @since 0.1.0
 * @category history
 */
export const travel = <S, P extends Rpc.Any>(
  ref: SessionRef<S, P>,
  version: number
): Effect.Effect<S, VersionGone | CallError> => untyped(ref).call("Travel", version) as never

/**
 * Returns to the first state, clears the history, and cancels work and debounced actions. Actions that the work dispatched
 * and that are still in the mailbox are not handled. A restored session makes its first state again: with `init`, or of the
 * initial slices alone when `init` needs arguments.
 *
 * @since 0.1.0
 * @category history
 */
export const reset = <S, P extends Rpc.Any>(ref: SessionRef<S, P>): Effect.Effect<S, CallError> =>
  untyped(ref).call("Reset") as never

/**
 * Cancels the work that asynchronous actions started under this id (default: the action's type), and gives how many pieces of
 * work that were.
 *
 * @since 0.1.0
 * @category operations
 */
export const cancel = <P extends Rpc.Any>(ref: SessionRef<any, P>, id: string): Effect.Effect<number, CallError> =>
  untyped(ref).call("Cancel", id) as never

/**
 * The state as JSON, encoded with the schemas of the reducers.
 *
 * @since 0.1.0
 * @category serialisation
 */
export const serialize = <S, P extends Rpc.Any>(
  definition: { readonly state: Schema.Codec<S, unknown> },
  ref: SessionRef<S, P>
): Effect.Effect<unknown, CallError | Schema.SchemaError> =>
  Effect.flatMap(select(ref, (state) => state), Schema.encodeEffect(Schema.toCodecJson(definition.state)))

/**
 * Replaces the state with one that `serialize` gave, and otherwise does what `reset` does. JSON that does not fit the schema
 * changes nothing.
 *
 * @since 0.1.0
 * @category serialisation
 */
export const restore = <S, P extends Rpc.Any>(
  definition: { readonly state: Schema.Codec<S, unknown> },
  ref: SessionRef<S, P>,
  json: unknown
): Effect.Effect<S, CallError | Schema.SchemaError> =>
  Effect.flatMap(
    Schema.decodeUnknownEffect(Schema.toCodecJson(definition.state))(json),
    (state) => untyped(ref).call("Restore", state) as Effect.Effect<S, CallError>
  )
