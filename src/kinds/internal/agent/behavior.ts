/**
 * How an agent handles its message: it runs the function and checks the state that it gives.
 */
import type * as Schema from "effect/Schema"
import type * as Session from "../../../contract/Session.ts"
import type { Protocol } from "../../Agent.ts"
import { makeValueCheck } from "../valueCheck.ts"

export const makeBehavior = <State extends Schema.Top>(
  definition: Session.Definition<any, string, State, Protocol, Schema.Void, Schema.Never>,
  init: (id: string) => State["Type"]
): Session.Behavior<State["Type"], Protocol, void, never, never> => {
  const { explain, fits } = makeValueCheck(definition.state)
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
