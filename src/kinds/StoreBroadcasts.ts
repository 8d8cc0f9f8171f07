/**
 * Publishes the actions of all stores, each with the state after it.
 *
 * Stores publish when the service is provided. The Layer here publishes within the process; another implementation may
 * publish to other processes.
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
 * A handled action.
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
 * The service.
 *
 * @since 0.1.0
 * @category services
 */
export class StoreBroadcasts extends Context.Service<StoreBroadcasts, {
  readonly publish: (broadcast: Broadcast) => void
  /** The actions from now on. A reader that is 1,024 actions behind loses the oldest. */
  readonly stream: Stream.Stream<Broadcast>
}>()("effect-sessions/StoreBroadcasts") {
  /**
   * Publishes within the process.
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
