/**
 * The actions of stores on their way to other nodes: each node is sent each action at most once, in the order in which this
 * node publishes them. A node that reads too slowly, or cannot be reached, misses some.
 */
import * as Context from "effect/Context"
import type { Broadcast } from "../../../kinds/StoreBroadcasts.ts"
import type { NodeAddress } from "../NodeAddress.ts"
import type { Json, Link } from "./peers/model.ts"
import type { Places } from "./Places.ts"
import type { ServedKind } from "./Server.ts"

/** Is told what other nodes publish, and by the key of which node. */
type Listener = (broadcast: Broadcast, from: string) => void

/** Nobody waits for an answer. */
const oneWay = { end: () => {}, lost: () => {} }

export class NodeBroadcasts {
  private readonly places: Places
  private readonly kinds: ReadonlyMap<string, ServedKind>
  private readonly linkTo: (node: NodeAddress) => Link
  private readonly listeners = new Set<Listener>()

  constructor(places: Places, kinds: ReadonlyMap<string, ServedKind>, linkTo: (node: NodeAddress) => Link) {
    this.places = places
    this.kinds = kinds
    this.linkTo = linkTo
  }

  /** Sends it to the other nodes. Throws when it does not fit the schemas of its store. */
  publish({ action, id, kind, state }: Broadcast): void {
    const { nodes, self } = this.places
    const codec = this.kinds.get(kind)?.codec
    const dispatch = codec?.message("Dispatch")
    const others = nodes.filter(({ key }) => key !== self.key)
    if (codec === undefined || dispatch === undefined || others.length === 0) return
    const json = ["node", "published", kind, id, self.key, dispatch.encodePayload(action), codec.encodeState(state)]
    for (const node of others) this.linkTo(node).ask(json, oneWay)
  }

  /** Another node has published an action. */
  receive([kind, id, from, action, state]: ReadonlyArray<Json>): void {
    const codec = this.kinds.get(kind as string)?.codec
    const dispatch = codec?.message("Dispatch")
    if (this.listeners.size === 0 || codec === undefined || dispatch === undefined) return
    const broadcast: Broadcast = {
      kind: kind as string,
      id: id as string,
      action: dispatch.decodePayload(action),
      state: codec.decodeState(state)
    }
    for (const listener of this.listeners) listener(broadcast, from as string)
  }

  listen(listener: Listener): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }
}

/** The broadcasts of a node; `undefined` without a cluster. */
export const HostBroadcasts = Context.Reference<NodeBroadcasts | undefined>("effect-sessions/HostBroadcasts", {
  defaultValue: () => undefined
})
