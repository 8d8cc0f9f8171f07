/**
 * Which reducers an action reaches, and what they make of the state. Pure.
 */
import * as Schema from "effect/Schema"
import type { Action } from "../../../store/Action.ts"
import { strip } from "../../../store/Action.ts"
import type * as Reducer from "../../../store/Reducer.ts"

export type Slices = Readonly<Record<string, unknown>>

/** One reducer that an action reaches, and the name under which it knows the action. */
export interface Target {
  readonly reducer: Reducer.Any
  readonly short: string
}

/** What an action reaches: those who know it, and those who see all. */
export interface Scope {
  readonly targets: ReadonlyArray<Target>
  readonly observers: ReadonlyArray<Reducer.Any>
}

/** The reducers that know the action. */
export const targetsOf = (reducers: ReadonlyArray<Reducer.Any>, action: Action): Array<Target> => {
  const { prefix, reducers: names } = action.meta
  return reducers.flatMap((reducer) => {
    if (prefix !== undefined && reducer.prefix !== prefix) return []
    // Who is named sees the full type too.
    const named = names?.includes(reducer.name)
    if (named === false) return []
    const short = strip(action.type, reducer.prefix)
    if (short !== undefined && Object.hasOwn(reducer.actions, short)) return [{ reducer, short }]
    if (named === true && Object.hasOwn(reducer.actions, action.type)) return [{ reducer, short: action.type }]
    return []
  })
}

/** Does somebody know the action, or see all of them? */
export const isKnown = (reducers: ReadonlyArray<Reducer.Any>, targets: ReadonlyArray<Target>): boolean =>
  targets.length > 0 || reducers.some((reducer) => reducer.catchAll !== undefined)

/**
 * The state after the action, which `targets` know and `observers` see whatever it is; the same one when nothing
 * changed.
 */
export const reduce = (
  targets: ReadonlyArray<Target>,
  observers: ReadonlyArray<Reducer.Any>,
  state: Slices,
  action: Action
): Slices => {
  let next = state
  for (const { reducer, short } of targets) {
    // oxlint-disable-next-line no-restricted-properties
    const { [short]: handler } = reducer.on
    if (handler !== undefined) {
      next = withSlice(next, reducer, handler(next[reducer.name], action.payload), action)
    }
  }
  for (const reducer of observers) {
    const { prefix, reducers } = action.meta
    if (prefix === undefined && reducers?.includes(reducer.name) !== false) {
      next = withSlice(next, reducer, reducer.catchAll!(next[reducer.name], action), action)
    }
  }
  return next
}

const withSlice = (state: Slices, reducer: Reducer.Any, slice: unknown, { type }: Action): Slices => {
  const { name } = reducer
  if (slice === state[name]) return state
  if (slice === undefined && !allowsUndefined(reducer)) {
    throw new TypeError(
      `reducer ${name} gave no state for the action ${type}: it gives the next one, or the one that it got`
    )
  }
  return { ...state, [name]: slice }
}

/** May its slice be `undefined`? */
export const allowsUndefined = (reducer: Reducer.Any): boolean => Schema.is(reducer.state as Schema.Top)(undefined)
