/**
 * Sessions whose state is made of slices by reducers, as in Redux.
 *
 * A store is a kind of session, not a second runtime: it starts, expires, crashes, is watched and supervised as any
 * other. What can be dispatched to it is checked at compile time from its reducers, and by schemas where actions come
 * from outside.
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
 * Store.dispatch(shop, "counter.set", 5)
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Session from "../contract/Session.ts"
import type { CallError, CastError } from "../contract/SessionError.ts"
import type { SessionRef } from "../contract/SessionRef.ts"
import { type Action, make as makeAction, type Meta, noMeta } from "../store/Action.ts"
import type { Middleware } from "../store/Middleware.ts"
import type * as Reducer from "../store/Reducer.ts"
import { ActionStopped, InvalidAction, UnknownAction, VersionGone } from "../store/StoreError.ts"
import { ActionJson, type Fired, makeActionSchemas, payloadCodec } from "./internal/store/actionSchema.ts"
import { makeBehavior } from "./internal/store/behavior.ts"
import { isKnown, targetsOf } from "./internal/store/routing.ts"

/**
 * The state of a store: its slices by the names of its reducers.
 *
 * @since 0.1.0
 * @category utility types
 */
export type State<Reducers extends ReadonlyArray<Reducer.Any>> = {
  readonly [R in Reducers[number] as R["name"]]: R["state"]["Type"]
}

/**
 * The schema of that state.
 *
 * @since 0.1.0
 * @category utility types
 */
export type StateSchema<Reducers extends ReadonlyArray<Reducer.Any>> = Schema.Struct<
  { readonly [R in Reducers[number] as R["name"]]: R["state"] }
>

type Intersection<U> = (U extends unknown ? (u: U) => void : never) extends (i: infer I) => void ? I : never

/**
 * All actions of a store: the payloads by full type.
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
 * One step of a store's history, as it is listed.
 *
 * @since 0.1.0
 * @category models
 */
export const Step = Schema.Struct({
  version: Schema.Int,
  from: Schema.Int,
  type: Schema.String,
  at: Schema.Number,
  traceId: Schema.UndefinedOr(Schema.String),
  /** Is this the state that the store has now? */
  current: Schema.Boolean
})

/**
 * The messages of a store.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol<S, A> =
  | Rpc.Rpc<"Dispatch", Schema.Codec<A>, Schema.Codec<S>, typeof ActionStopped>
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

/**
 * A definition of a store.
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
    /** The actions, as messages of their own: how clients may send them, see `Live`. */
    readonly dispatchable: ReadonlyMap<string, DispatchRpc<Actions<Reducers>>>
  }

/**
 * An action as a message: its payload, and nothing as its answer.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DispatchRpc<A> = {
  readonly [K in keyof A & string]: Rpc.Rpc<K, Schema.Codec<A[K], unknown>, typeof Schema.Void, typeof ActionStopped>
}[keyof A & string]

/**
 * Defines a kind of store. Two reducers of one name, or two that declare the same action, are a defect of the program
 * and throw at once.
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
  const names = new Set<string>()
  for (const reducer of reducers) {
    if (names.has(reducer.name)) throw new TypeError(`store ${name}: two reducers are named ${reducer.name}`)
    names.add(reducer.name)
  }
  const state = Schema.Struct(Object.fromEntries(reducers.map((reducer) => [reducer.name, reducer.state])))
  const { action, fired } = makeActionSchemas(reducers)
  const select = Schema.declare((u: unknown): u is (state: any) => unknown => typeof u === "function")
  const definition = Session.Service<Self>()(name, {
    state,
    args: options.args,
    error: options.error,
    protocol: [
      Rpc.make("Dispatch", { payload: action, success: state, error: ActionStopped }),
      Rpc.make("Fire", { payload: fired, error: ActionStopped }),
      Rpc.make("Select", { payload: select, success: Schema.Unknown }),
      Rpc.make("History", { success: Schema.Array(Step) }),
      Rpc.make("Travel", { payload: Schema.Number, success: state, error: VersionGone }),
      Rpc.make("Look", { payload: Schema.Number, success: state, error: VersionGone }),
      Rpc.make("Reset", { success: state }),
      Rpc.make("Restore", { payload: state, success: state }),
      Rpc.make("Cancel", { payload: Schema.String, success: Schema.Number })
    ]
  })
  return Object.assign(definition, { reducers, dispatchable: dispatchableOf(reducers) }) as never
}

const dispatchableOf = (reducers: ReadonlyArray<Reducer.Any>): ReadonlyMap<string, Rpc.Any> =>
  new Map(
    reducers.flatMap(({ actions, prefix }) =>
      Object.entries(actions).map(([short, payload]) => {
        const type = prefix === "" ? short : `${prefix}.${short}`
        return [type, Rpc.make(type, { payload: payload as Schema.Top, error: ActionStopped })] as const
      })
    )
  )

/**
 * What happens to an action that no reducer knows: nothing (`"silent"`), a line in the log (`"log"`, at Debug, the
 * default; `"warn"`), or whatever the function does.
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
 * Options of a store's behaviour.
 *
 * @since 0.1.0
 * @category models
 */
export interface BehaviorOptions<S, Args, E, R> {
  /** The first state, over the initial slices of the reducers. */
  readonly init?:
    | ((start: { readonly id: string; readonly args: Args }) => Partial<S> | Effect.Effect<Partial<S>, E, R>)
    | undefined
  /** In order, from the outside to the reducers. */
  readonly middleware?: ReadonlyArray<Middleware<S, R>> | undefined
  /** Default: `"log"`. */
  readonly unmatched?: Unmatched<R> | undefined
  /** How many steps are kept to look at and to travel to. Default: 0. */
  readonly history?: number | undefined
  /** Runs when the session ends. */
  readonly end?: ((ending: Session.Ending<S, any>) => Effect.Effect<void, never, R>) | undefined
}

type ReducersServices<Reducers extends ReadonlyArray<Reducer.Any>> = Reducers[number] extends
  Reducer.Reducer<any, any, any, any, infer R> ? R : never

/**
 * The behaviour of a store, for its `toLayer`. Each action is told to `StoreBroadcasts` when that is there.
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

type Dispatched<P extends Rpc.Any> = Rpc.Payload<Extract<P, { readonly _tag: "Dispatch" }>>

/**
 * The action types that a store's messages know.
 *
 * @since 0.1.0
 * @category utility types
 */
export type TypeOf<P extends Rpc.Any> = Dispatched<P> extends infer A ? A extends Action<infer T> ? T : never : never

/**
 * What follows the type of an action when it is dispatched: its payload, unless that is void, and a meta.
 *
 * @since 0.1.0
 * @category utility types
 */
export type DispatchArgs<P extends Rpc.Any, T extends string> = Extract<Dispatched<P>, { readonly type: T }> extends
  Action<T, infer Payload> ? void extends Payload ? [payload?: undefined, meta?: Meta] : [payload: Payload, meta?: Meta]
  : never

/**
 * Dispatches an action and returns when the store has accepted it.
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
 * Dispatches an action and gives the state after it. A debounced action gives the state as it is. Fails with
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
  untyped(ref).call("Dispatch", makeAction(type, payload, meta ?? noMeta)) as Effect.Effect<
    S,
    ActionStopped | CallError
  >

const untyped = (ref: SessionRef<any, any>): SessionRef<any, any> => ref

/**
 * Checks an action from outside, as JSON, against the schemas of the reducers. Fails with `UnknownAction` or
 * `InvalidAction`, whose messages say what is wrong.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode = <Reducers extends ReadonlyArray<Reducer.Any>>(
  definition: { readonly reducers: Reducers },
  input: unknown
): Effect.Effect<ActionOf<Actions<Reducers>>, UnknownAction | InvalidAction> =>
  Effect.gen(function*() {
    const invalid = (type: string) => (error: Error) =>
      new InvalidAction({ type, message: `the action ${type} does not fit: ${error.message.replace(/\s+/g, " ")}` })
    const raw = yield* Effect.mapError(Schema.decodeUnknownEffect(ActionJson)(input), invalid("from outside"))
    const action = makeAction(raw.type, raw.payload, raw.meta ?? noMeta)
    const targets = targetsOf(definition.reducers, action)
    const [first] = targets
    if (first === undefined) {
      if (isKnown(definition.reducers, targets)) return action as never
      return yield* UnknownAction.of(raw.type)
    }
    const decodePayload = Schema.decodeUnknownEffect(payloadCodec(first))
    const payload = yield* Effect.mapError(decodePayload(raw.payload ?? null), invalid(raw.type))
    return { ...action, payload } as never
  })

/**
 * Dispatches an action that `decode` has checked.
 *
 * @since 0.1.0
 * @category operations
 */
export const dispatchAction = <P extends Rpc.Any>(
  ref: SessionRef<any, P>,
  action: Dispatched<P>
): Effect.Effect<void, CastError> => untyped(ref).cast("Dispatch", action)

/**
 * Dispatches an action that `decode` has checked, and gives the state after it.
 *
 * @since 0.1.0
 * @category operations
 */
export const dispatchActionWait = <S, P extends Rpc.Any>(
  ref: SessionRef<S, P>,
  action: Dispatched<P>
): Effect.Effect<S, ActionStopped | CallError> =>
  untyped(ref).call("Dispatch", action) as Effect.Effect<S, ActionStopped | CallError>

/**
 * Selects from the state within the session, after the actions dispatched before. What the selector throws is a defect of
 * the caller, and does not touch the session.
 *
 * @since 0.1.0
 * @category operations
 */
export const select = <S, P extends Rpc.Any, A>(
  ref: SessionRef<S, P>,
  selector: (state: S) => A
): Effect.Effect<A, CallError> =>
  Effect.flatMap(untyped(ref).call("Select", selector) as Effect.Effect<Exit.Exit<A>, CallError>, (exit) => exit)

/**
 * The steps that the store keeps, oldest first.
 *
 * @since 0.1.0
 * @category history
 */
export const history = <P extends Rpc.Any>(
  ref: SessionRef<any, P>
): Effect.Effect<ReadonlyArray<typeof Step.Type>, CallError> =>
  untyped(ref).call("History") as Effect.Effect<ReadonlyArray<typeof Step.Type>, CallError>

/**
 * The state after the step with this version; 0 is the first one. The store stays where it is.
 *
 * @since 0.1.0
 * @category history
 */
export const look = <S, P extends Rpc.Any>(
  ref: SessionRef<S, P>,
  version: number
): Effect.Effect<S, VersionGone | CallError> =>
  untyped(ref).call("Look", version) as Effect.Effect<S, VersionGone | CallError>

/**
 * Goes to an earlier state, or back; 0 is the first one. Nothing is run again: reducers, middlewares and work are not
 * touched. The next action builds on the state that was gone to.
 *
 * @since 0.1.0
 * @category history
 */
export const travel = <S, P extends Rpc.Any>(
  ref: SessionRef<S, P>,
  version: number
): Effect.Effect<S, VersionGone | CallError> =>
  untyped(ref).call("Travel", version) as Effect.Effect<S, VersionGone | CallError>

/**
 * Goes back to the first state, forgets the history, and cancels work, and what is put off. What the work has dispatched
 * and was not handled before is not handled any more. For a session that came from the store the first state is made
 * again: by `init`, or of the initial slices alone if `init` needs arguments.
 *
 * @since 0.1.0
 * @category history
 */
export const reset = <S, P extends Rpc.Any>(ref: SessionRef<S, P>): Effect.Effect<S, CallError> =>
  untyped(ref).call("Reset") as Effect.Effect<S, CallError>

/**
 * Cancels the work that asynchronous actions have started under this id (by default the action's type), and gives how
 * much there was.
 *
 * @since 0.1.0
 * @category operations
 */
export const cancel = <P extends Rpc.Any>(ref: SessionRef<any, P>, id: string): Effect.Effect<number, CallError> =>
  untyped(ref).call("Cancel", id) as Effect.Effect<number, CallError>

/**
 * The state as JSON, through the schemas of the reducers.
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
 * Takes a state from JSON over, as `serialize` gave it; all else begins anew, as with `reset`. What does not fit changes
 * nothing.
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
