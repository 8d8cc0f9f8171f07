/**
 * Which nodes an operation on all nodes did not reach.
 *
 * `list`, `match`, `count`, `stats`, `ofUser`, `endAll` and `broadcast` ask all nodes of a cluster. A node that does not answer in
 * time is left out, so that one that is just failing does not fail them all.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Unreached } from "./internal/Unreached.ts"
import type { NodeAddress } from "./NodeAddress.ts"

/**
 * A result of all nodes that answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Covered<A> {
  readonly value: A
  /** The nodes that did not answer: what they have is not in the value. */
  readonly unreachable: ReadonlyArray<NodeAddress>
}

/**
 * Runs an effect, and also gives the nodes that its operations did not reach.
 *
 * **When to use:** where a partial result has to be told from a whole one. Without it, the nodes that were not reached are logged.
 *
 * ```ts
 * const { unreachable, value } = yield* Coverage.of(sessions.match("cart-*"))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const of = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Covered<A>, E, R> =>
  Effect.suspend(() => {
    const unreached = new Map<string, NodeAddress>()
    return Effect.map(
      Effect.provideService(effect, Unreached, unreached),
      (value) => ({ value, unreachable: Array.from(unreached.values()) })
    )
  })
