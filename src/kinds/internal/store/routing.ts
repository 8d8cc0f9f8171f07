/**
 * Which reducers an action reaches, and the state after them: pure functions.
 */
import * as Schema from "effect/Schema"
import type { Action } from "../../../store/Action.ts"
import { strip } from "../../../store/Action.ts"
import type * as Reducer from "../../../store/Reducer.ts"

export type Slices = Readonly<Record<string, unknown>>

/** A reducer that knows the action, and the action's name there. */
export interface Target {
  readonly reducer: Reducer.Any
  readonly short: string
}

/** What an action reaches: the reducers that know it, and those that see all actions. */
export interface Scope {
  readonly targets: ReadonlyArray<Target>
  readonly observers: ReadonlyArray<Reducer.Any>
}

const isGated = ({ reducer, short }: Target): boolean =>
  reducer.debounce[short] !== undefined || reducer.throttle[short] !== undefined

/** What an action reaches, and how. */
export interface Plan extends Scope {
  /** A throttle or a debounce applies. */
  readonly gated: boolean
  /** It starts work. */
  readonly async: boolean
  /** A reducer knows it, or sees all actions. */
  readonly known: boolean
}

/** The reducers that know the action. */
export const targetsOf = (reducers: ReadonlyArray<Reducer.Any>, action: Action): Array<Target> => {
  const { prefix, reducers: names } = action.meta
  return reducers.flatMap((reducer) => {
    if (prefix !== undefined && reducer.prefix !== prefix) return []
    // A reducer that the meta names gets the full type, too.
    const named = names?.includes(reducer.name)
    if (named === false) return []
    const short = strip(action.type, reducer.prefix)
    if (short !== undefined && Object.hasOwn(reducer.actions, short)) return [{ reducer, short }]
    if (named === true && Object.hasOwn(reducer.actions, action.type)) return [{ reducer, short: action.type }]
    return []
  })
}

/** `true` when a reducer knows the action or sees all actions. */
export const isKnown = (reducers: ReadonlyArray<Reducer.Any>, targets: ReadonlyArray<Target>): boolean =>
  targets.length > 0 || reducers.some((reducer) => reducer.catchAll !== undefined)

/** Makes the function that plans an action. The plan of an action without meta depends on its type only, and is cached. */
export const makeReach = (reducers: ReadonlyArray<Reducer.Any>): (action: Action) => Plan => {
  const observers = reducers.filter((reducer) => reducer.catchAll !== undefined)
  const plans = new Map<string, Plan>()
  const planOf = (action: Action): Plan => {
    const targets = targetsOf(reducers, action)
    return {
      targets,
      observers,
      gated: targets.some(isGated),
      async: targets.some(({ reducer, short }) => reducer.async[short] !== undefined),
      known: isKnown(reducers, targets)
    }
  }
  return (action) => {
    if (action.meta.reducers !== undefined || action.meta.prefix !== undefined) return planOf(action)
    let plan = plans.get(action.type)
    if (plan === undefined) {
      plan = planOf(action)
      // There may be any number of unknown types.
      if (plan.targets.length > 0) plans.set(action.type, plan)
    }
    return plan
  }
}

/** The state after the targets and the observers have handled the action; the same object when nothing changed. */
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
      `reducer ${name} gave no state for the action ${type}: it must give the next state, or the one that it got`
    )
  }
  return { ...state, [name]: slice }
}

/** `true` when `undefined` is a state of the slice. */
export const allowsUndefined = (reducer: Reducer.Any): boolean => Schema.is(reducer.state as Schema.Top)(undefined)
