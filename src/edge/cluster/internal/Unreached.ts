import * as Context from "effect/Context"
import type { NodeAddress } from "../NodeAddress.ts"

/** Collects the nodes that an operation on all nodes did not reach. */
export const Unreached = Context.Reference<Map<string, NodeAddress> | undefined>("effect-sessions/cluster/Unreached", {
  defaultValue: () => undefined
})
