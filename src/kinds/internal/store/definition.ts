/**
 * The kind of session that a store is: its state, made of the slices of its reducers, and its messages.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Session from "../../../contract/Session.ts"
import type * as Reducer from "../../../store/Reducer.ts"
import { ActionStopped, VersionGone } from "../../../store/StoreError.ts"
import { makeActionSchemas } from "./actionSchema.ts"

/**
 * One step of a store's history, as `history` lists it. For the fields see `History.Step`.
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
  /** `true` for the state that the store has now. */
  current: Schema.Boolean
})

/** The state of a store on another node: selectors are no JSON, so it is selected from where it is asked for. */
export class Unselected {
  readonly state: any
  constructor(state: unknown) {
    this.state = state
  }
}

const Selector = Schema.Null.pipe(
  Schema.decodeTo(
    Schema.declare((u: unknown): u is (state: any) => unknown => typeof u === "function"),
    SchemaTransformation.transform<(state: any) => unknown, null>({
      decode: () => (state) => state,
      encode: () => null
    })
  )
)

/** The exit of a selector; of one that came from another node, it is the state. */
const selectedOf = (state: Schema.Top) =>
  state.pipe(
    Schema.decodeTo(
      Schema.Any,
      SchemaTransformation.transform<any, any>({
        decode: (state) => new Unselected(state),
        encode: (exit) => exit.value
      })
    )
  )

/** Defines the kind. */
export const makeKind = <Self>() =>
(name: string, { args, error, reducers }: {
  readonly reducers: ReadonlyArray<Reducer.Any>
  readonly args?: Schema.Top | undefined
  readonly error?: Schema.Top | undefined
}) => {
  const names = new Set<string>()
  for (const reducer of reducers) {
    if (names.has(reducer.name)) throw new TypeError(`store ${name}: two reducers are named ${reducer.name}`)
    names.add(reducer.name)
  }
  const state = Schema.Struct(Object.fromEntries(reducers.map((reducer) => [reducer.name, reducer.state])))
  const { action, fired } = makeActionSchemas(reducers)
  return Session.Service<Self>()(name, {
    state,
    args,
    error,
    protocol: [
      Rpc.make("Dispatch", { payload: action, error: ActionStopped }),
      // As Dispatch; the reply is the state after the action.
      Rpc.make("DispatchWait", { payload: action, success: state, error: ActionStopped }),
      // A debounced action whose time has come.
      Rpc.make("Fire", { payload: fired, error: ActionStopped }),
      Rpc.make("Select", { payload: Selector, success: selectedOf(state) }),
      Rpc.make("History", { success: Schema.Array(Step) }),
      Rpc.make("Travel", { payload: Schema.Number, success: state, error: VersionGone }),
      Rpc.make("Look", { payload: Schema.Number, success: state, error: VersionGone }),
      Rpc.make("Reset", { success: state }),
      Rpc.make("Restore", { payload: state, success: state }),
      Rpc.make("Cancel", { payload: Schema.String, success: Schema.Number })
    ]
  })
}

/** The actions of the reducers, each as a message of its own. */
export const dispatchableOf = (reducers: ReadonlyArray<Reducer.Any>): ReadonlyMap<string, Rpc.Any> =>
  new Map(
    reducers.flatMap(({ actions, prefix }) =>
      Object.entries(actions).map(([short, payload]) => {
        const type = prefix === "" ? short : `${prefix}.${short}`
        return [type, Rpc.make(type, { payload: payload as Schema.Top, error: ActionStopped })] as const
      })
    )
  )
