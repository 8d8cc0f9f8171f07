/**
 * Kinds whose states say how they came about. Other nodes that follow such a session are sent its changes: nobody encodes,
 * sends and compares whole states for each of them, and no change is missed.
 */
import type * as Schema from "effect/Schema"

export interface Increments<State = any, Change = any> {
  /** The schema of a change. */
  readonly change: Schema.Schema<Change>
  /** The changes from the previous state to this one. */
  readonly of: (state: State) => ReadonlyArray<Change>
  /** The state after the changes. */
  readonly apply: (before: State, changes: ReadonlyArray<Change>) => State
}

const known = new WeakMap<object, Increments>()

/** Says how the states of a kind come about. */
export const setIncrements = (definition: object, increments: Increments): void => {
  known.set(definition, increments)
}

export const incrementsOf = (definition: object): Increments | undefined => known.get(definition)
