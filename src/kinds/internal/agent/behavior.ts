/**
 * How an agent handles its message: it runs the function and checks the state that it gives.
 */
import type * as Schema from "effect/Schema"
import type * as Session from "../../../contract/Session.ts"
import type { Protocol } from "../../Agent.ts"
import { makeValueCheck } from "../valueCheck.ts"

type Behavior<State> = Session.Behavior<State, Protocol, void, never, never>

/** The behaviors that take the place of others when the states of their agents are stored. */
const storing = new WeakMap<object, () => Behavior<any>>()

export const makeBehavior = <State extends Schema.Top>(
  definition: Session.Definition<any, string, State, Protocol, Schema.Void, Schema.Never>,
  init: (id: string) => State["Type"]
): Behavior<State["Type"]> => {
  const make = (json: boolean) => {
    const { explain, fits } = makeValueCheck(definition.state, { json })
    const checked = (state: State["Type"]): State["Type"] => {
      if (!fits(state)) throw new TypeError(`the state of an agent ${definition.kind} does not fit: ${explain(state)}`)
      return state
    }
    return definition.behavior({
      init: ({ id }) => checked(init(id)),
      handlers: {
        Modify: ({ payload, state }) => {
          const [reply, next] = payload(state)
          return [next === state ? state : checked(next), reply] as const
        }
      }
    })
  }
  const behavior = make(false)
  storing.set(behavior, () => make(true))
  return behavior
}

/** The behavior for agents whose states are stored: it also checks that each state comes back from JSON. */
export const forStoring = <B extends object>(behavior: B): B => (storing.get(behavior)?.() ?? behavior) as B
