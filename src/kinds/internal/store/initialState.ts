/**
 * The first state of a store: the initial slices of its reducers, under those that `init` gives.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Reducer from "../../../store/Reducer.ts"
import { allowsUndefined, type Slices } from "./routing.ts"

export interface InitialState {
  /** The initial slices of the reducers. */
  readonly slices: Slices
  /** Puts slices over the initial ones. `undefined` counts as absent, unless the reducer allows it as a state. */
  readonly over: (given: unknown) => Slices
  /** The first state of a session. */
  readonly make: (id: string, args: unknown) => Slices | Effect.Effect<Slices, unknown, any>
  /** The first state of a session whose arguments are unknown: without `init` when that needs arguments. */
  readonly makeAgain: (id: string) => Slices | Effect.Effect<Slices, unknown, any>
}

export const makeInitialState = (
  reducers: ReadonlyArray<Reducer.Any>,
  args: Schema.Top,
  init: ((start: { readonly id: string; readonly args: any }) => unknown) | undefined
): InitialState => {
  const slices: Slices = Object.fromEntries(reducers.map((reducer) => [reducer.name, reducer.initial]))
  const over = (given: unknown): Slices => {
    const some = (given ?? {}) as Slices
    const state: Record<string, unknown> = { ...slices }
    for (const reducer of reducers) {
      const { name } = reducer
      if (Object.hasOwn(some, name) && (some[name] !== undefined || allowsUndefined(reducer))) state[name] = some[name]
    }
    return state
  }
  const make = (id: string, args: unknown): Slices | Effect.Effect<Slices, unknown, any> => {
    const given = init?.({ id, args })
    return Effect.isEffect(given) ? Effect.map(given as Effect.Effect<unknown, unknown, any>, over) : over(given)
  }
  return {
    slices,
    over,
    make,
    makeAgain: (id) => Schema.is(args)(undefined) ? make(id, undefined) : slices
  }
}
