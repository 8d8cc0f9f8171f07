/**
 * The kind of session that an agent is: its one message is a function.
 */
import * as Effect from "effect/Effect"
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import type { KindOptions } from "../../../contract/KindOptions.ts"
import * as Session from "../../../contract/Session.ts"
import { forStoring } from "./behavior.ts"

/** The function gives the reply and the next state. */
const Modify = Rpc.make("Modify", {
  payload: Schema.declare(
    (u: unknown): u is (state: any) => readonly [reply: unknown, state: any] => typeof u === "function"
  ),
  success: Schema.Unknown
})

export const makeKind = <Self>() => <const Name extends string, State extends Schema.Top>(name: Name, state: State) => {
  const kind = Session.Service<Self>()(name, { state, protocol: [Modify] })
  const toLayer: (build: any, options?: KindOptions<"Modify">) => unknown = kind.toLayer
  return Object.assign(kind, {
    toLayer(this: object, build: object, options?: KindOptions<"Modify">) {
      const stores = options?.snapshots !== undefined
      const behavior = !stores ? build : Effect.isEffect(build)
        ? Effect.map(build as Effect.Effect<object>, forStoring)
        : forStoring(build)
      return toLayer.call(this, behavior, options)
    }
  })
}
