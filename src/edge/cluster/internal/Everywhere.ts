/**
 * Operations on the sessions of all nodes: each node does its part, and the parts are put together.
 */
import * as Effect from "effect/Effect"
import type { EndOptions } from "../../../contract/SessionRef.ts"
import type { HostContext } from "../../../runtime/internal/host/HostContext.ts"
import { CallbackDeadline } from "../../../runtime/internal/time/Deadlines.ts"
import type { NodeAddress } from "../NodeAddress.ts"
import { decodeReason } from "./KindCodec.ts"
import type { Json, Link } from "./peers/model.ts"
import type { Places } from "./Places.ts"
import { Unreached } from "./Unreached.ts"
import { succeeded } from "./wire.ts"

/** How long a node may take for its part, in milliseconds. */
const limit = 5_000

/** How long the owner of a key may take, in milliseconds. */
const ownerLimit = 1_000

type Operation = (args: ReadonlyArray<Json>) => Effect.Effect<Json>

export class Everywhere {
  readonly places: Places
  readonly linkTo: (node: NodeAddress) => Link
  /** The host of this node; `undefined` until it is made. */
  host: Pick<HostContext, "deadlines" | "now"> | undefined = undefined

  /** What other nodes may ask of this one, besides the operations on its sessions. */
  private readonly operations = new Map<string, Operation>()

  constructor(places: Places, linkTo: (node: NodeAddress) => Link) {
    this.places = places
    this.linkTo = linkTo
  }

  serve(op: string, operation: Operation): void {
    this.operations.set(op, operation)
  }

  operation(op: string): Operation | undefined {
    return this.operations.get(op)
  }

  /** Asks the node that owns the place of a key. `undefined`: that is this node, or there is no answer in time. */
  askOwner(key: string, op: string, ...args: ReadonlyArray<Json>): Effect.Effect<{ readonly value: Json } | undefined> {
    return Effect.suspend(() => {
      const { places } = this
      const owner = places.ownerOf(places.of(key))
      return owner === undefined || owner.key === places.self.key
        ? Effect.undefined
        : this.ask(owner, ["node", op, ...args], ownerLimit)
    })
  }

  /** The parts of all nodes that answer: that of this one is `here`. */
  gather<A, E>(here: Effect.Effect<A, E>, op: string, ...args: ReadonlyArray<Json>): Effect.Effect<Array<A>, E> {
    return Effect.gen({ self: this }, function*() {
      const { nodes, self } = this.places
      const unreached: Array<NodeAddress> = []
      const [own, others] = yield* Effect.all([
        here,
        Effect.forEach(
          nodes.filter(({ key }) => key !== self.key),
          (node) =>
            Effect.map(this.ask(node, ["node", op, ...args], limit), (answer) => {
              if (answer !== undefined) return [answer.value as A]
              unreached.push(node)
              return []
            }),
          { concurrency: "unbounded" }
        )
      ], { concurrency: 2 })
      if (unreached.length > 0) {
        const collected = yield* Unreached
        if (collected === undefined) {
          yield* Effect.logWarning(`nodes that did not answer: ${unreached.map(({ key }) => key).join(", ")} (${op})`)
        } else for (const node of unreached) collected.set(node.key, node)
      }
      return [own, ...others.flat()]
    })
  }

  /** Tells all nodes, and waits for no answer longer than for those that can be reached. */
  private ask(node: NodeAddress, request: Json, limit: number): Effect.Effect<{ readonly value: unknown } | undefined> {
    return Effect.callback((resume) => {
      const { host } = this
      const stop = () => host?.deadlines.cancel(deadline)
      const deadline = new CallbackDeadline(() => {
        withdraw()
        resume(Effect.undefined)
      })
      host?.deadlines.set(deadline, host.now() + limit)
      const withdraw = this.linkTo(node).ask(request, {
        end: (json) => {
          stop()
          const [status, value] = json as [number, Json]
          resume(Effect.succeed(status === succeeded ? { value } : undefined))
        },
        lost: () => {
          stop()
          resume(Effect.undefined)
        }
      })
      return Effect.sync(() => {
        stop()
        withdraw()
      })
    })
  }
}

/** The options of an end, as JSON tells them. */
export const endOptionsOf = (reason: Json, drain: Json): EndOptions => ({
  drain: drain === true,
  reason: reason === null ? undefined : decodeReason(reason)
})
