/**
 * Which reducers an action reaches, and what they make of the state. Pure.
 */
import type { Action } from "../../behaviour/Action.ts"
import { strip } from "../../behaviour/Action.ts"
import type * as Reducer from "../../behaviour/Reducer.ts"

export type Slices = Readonly<Record<string, unknown>>

/** One reducer that an action reaches, and the name under which it knows the action. */
export interface Target {
  readonly reducer: Reducer.Any
  readonly short: string
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
  let next: Record<string, unknown> | undefined
  const set = (name: string, before: unknown, slice: unknown) => {
    if (slice === before) return
    next ??= { ...state }
    next[name] = slice
  }
  for (const { reducer, short } of targets) {
    const handler = Object.hasOwn(reducer.on, short) ? reducer.on[short] : undefined
    if (handler === undefined) continue
    const slice = (next ?? state)[reducer.name]
    set(reducer.name, slice, handler(slice, action.payload))
  }
  for (const { catchAll, name } of observers) {
    if (catchAll === undefined || action.meta.reducers?.includes(name) === false) continue
    if (action.meta.prefix !== undefined) continue
    const slice = (next ?? state)[name]
    set(name, slice, catchAll(slice, action))
  }
  return next ?? state
}
