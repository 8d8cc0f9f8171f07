/**
 * Messages that no session handled to the end.
 *
 * Two kinds of message arrive here, with the reason: a message whose handler died (a poison message, which is not
 * replayed), and a message that was accepted but not handled when its session ended (a cast, or a debounced action of
 * a store). The service has the latest ones, and a stream of those to come. Replace the Layer to store them
 * elsewhere.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { EndReason } from "../contract/EndReason.ts"

/**
 * Why a message was not handled to the end.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | { readonly _tag: "Crashed"; readonly cause: Cause.Cause<unknown> }
  | { readonly _tag: "Undelivered"; readonly end: EndReason }

/**
 * A message that was not handled to the end.
 *
 * @since 0.1.0
 * @category models
 */
export interface DeadLetter {
  readonly kind: string
  readonly id: string
  readonly tag: string
  readonly payload: unknown
  readonly reason: Reason
  /** Milliseconds since 1970. */
  readonly at: number
}

/**
 * The dead letters.
 *
 * @since 0.1.0
 * @category services
 */
export class DeadLetters extends Context.Service<DeadLetters, {
  readonly publish: (letter: DeadLetter) => void
  /** The latest, oldest first. */
  readonly recent: Effect.Effect<ReadonlyArray<DeadLetter>>
  /** How many there were in all. */
  readonly count: Effect.Effect<number>
  /** Those to come. A reader that falls 1,024 behind loses the oldest. */
  readonly stream: Stream.Stream<DeadLetter>
}>()("effect-sessions/DeadLetters") {
  /**
   * Keeps the latest 1,000 in memory.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<DeadLetters> = Layer.suspend(() => DeadLetters.layerCapacity(1_000))

  /**
   * Keeps the latest `capacity` in memory.
   *
   * @since 0.1.0
   */
  static readonly layerCapacity = (capacity: number): Layer.Layer<DeadLetters> =>
    Layer.sync(DeadLetters, () => {
      if (!Number.isSafeInteger(capacity) || capacity < 1) {
        throw new RangeError(`the capacity of the dead letters must be a whole number of at least 1, got ${capacity}`)
      }
      const latest: Array<DeadLetter> = []
      const listeners = new Set<(letter: DeadLetter) => void>()
      let count = 0
      return {
        publish(letter) {
          // A ring: once full, the newest takes the place of the oldest.
          latest[count % capacity] = letter
          count++
          for (const listener of listeners) listener(letter)
        },
        recent: Effect.sync(() => {
          const start = count <= capacity ? 0 : count % capacity
          return [...latest.slice(start), ...latest.slice(0, start)]
        }),
        count: Effect.sync(() => count),
        stream: Stream.callback<DeadLetter>((queue) =>
          Effect.acquireRelease(
            Effect.sync(() => {
              const listener = (letter: DeadLetter) => {
                Queue.offerUnsafe(queue, letter)
              }
              listeners.add(listener)
              return listener
            }),
            (listener) => Effect.sync(() => listeners.delete(listener))
          ), { bufferSize: 1024, strategy: "sliding" })
      }
    })
}
