/**
 * How a bag handles its messages.
 */
import * as Effect from "effect/Effect"
import { InvalidValue } from "../../BagError.ts"
import type { makeKind, State } from "./definition.ts"

export const makeBehavior = (definition: ReturnType<typeof makeKind<any>>) =>
  definition.behavior({
    init: ({ args = {} }) => {
      const invalid = firstInvalid(args)
      return invalid === undefined ? copy(args) : Effect.fail(invalid)
    },
    handlers: {
      Put: ({ payload: { key, value }, state }) => {
        const invalid = InvalidValue.of(key, value)
        return invalid === undefined ? [{ ...state, [key]: copy(value) }, get(state, key)] : Effect.fail(invalid)
      },
      Merge: ({ payload, state }) => {
        const invalid = firstInvalid(payload)
        return invalid === undefined ? [{ ...state, ...copy(payload) }] : Effect.fail(invalid)
      },
      Get: ({ payload, state }) => [state, get(state, payload)],
      Delete: ({ payload, state }) => {
        if (!Object.hasOwn(state, payload)) return [state, undefined]
        const { [payload]: taken, ...rest } = state
        return [rest, taken]
      },
      All: ({ state }) => [state, state]
    }
  })

/** The error for the first value that has no JSON form. */
const firstInvalid = (values: State): InvalidValue | undefined => {
  for (const [key, value] of Object.entries(values)) {
    const invalid = InvalidValue.of(key, value)
    if (invalid !== undefined) return invalid
  }
  return undefined
}

const get = (state: State, key: string): unknown => Object.hasOwn(state, key) ? state[key] : undefined

/** A copy, as it would come back from a store: the caller may change the original. */
const copy = <A>(value: A): A => {
  if (typeof value === "object") return JSON.parse(JSON.stringify(value))
  return value === 0 ? 0 as A : value
}
