/**
 * Tells the rest of the program what happens to stores: every action that was handled, with the state after it.
 *
 * Stores publish to it when it is there. This one reaches the process; a cluster can replace it by one that reaches
 * every node.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { Action } from "../store/Action.ts"

/**
 * What is told of one action.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broadcast {
  readonly kind: string
  readonly id: string
  readonly action: Action
  readonly state: unknown
}

/**
 * The transport.
 *
 * @since 0.1.0
 * @category services
 */
export class StoreBroadcasts extends Context.Service<StoreBroadcasts, {
  readonly publish: (broadcast: Broadcast) => void
  /** What is published from now on. A reader that falls 1,024 behind loses the oldest. */
  readonly stream: Stream.Stream<Broadcast>
}>()("effect-sessions/StoreBroadcasts") {
  /**
   * A transport within the process.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<StoreBroadcasts> = Layer.effect(
    StoreBroadcasts,
    Effect.gen(function*() {
      const hub = yield* PubSub.sliding<Broadcast>(1_024)
      yield* Effect.addFinalizer(() => PubSub.shutdown(hub))
      return {
        publish: (broadcast) => {
          PubSub.publishUnsafe(hub, broadcast)
        },
        stream: Stream.fromPubSub(hub)
      }
    })
  )
}
