/**
 * The kind of session that an agent is: its one message is a function.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as Session from "../../../contract/Session.ts"

/** The function gives the reply and the next state. */
const Modify = Rpc.make("Modify", {
  payload: Schema.declare(
    (u: unknown): u is (state: any) => readonly [reply: unknown, state: any] => typeof u === "function"
  ),
  success: Schema.Unknown
})

export const makeKind = <Self>() => <const Name extends string, State extends Schema.Top>(name: Name, state: State) =>
  Session.Service<Self>()(name, { state, protocol: [Modify] })
