/**
 * Messages that no session handled to the end.
 *
 * Two kinds of message become dead letters: a message whose handler died (a poison message, which is not replayed), and
 * a message that was accepted but not handled when its session ended (a cast, or a debounced action of a store). The
 * service holds the latest dead letters in memory and has a stream of new ones.
 *
 * **When to use:** to alert on lost work, or to store it for a later repair. To store dead letters elsewhere, consume
 * `stream`, or provide your own implementation to `Sessions.layerNoDeps`.
 *
 * ```ts
 * const LogDeadLetters = Layer.effectDiscard(Effect.gen(function*() {
 *   const letters = yield* DeadLetters
 *   yield* Effect.forkScoped(
 *     Stream.runForEach(letters.stream, ({ id, kind, tag }) => Effect.logError(`${tag} of ${kind}/${id} was lost`))
 *   )
 * }))
 * ```
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
 * Why a message was not handled to the end: its handler died (`Crashed`), or its session ended first (`Undelivered`).
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
  /** When it became a dead letter, in milliseconds since 1970. */
  readonly at: number
}

/**
 * The dead letters of a host.
 *
 * @since 0.1.0
 * @category services
 */
export class DeadLetters extends Context.Service<DeadLetters, {
  /** Adds a dead letter. The sessions call it; it must be quick and must not throw. */
  readonly publish: (letter: DeadLetter) => void
  /** The latest dead letters, oldest first. */
  readonly recent: Effect.Effect<ReadonlyArray<DeadLetter>>
  /** The number of all dead letters so far. */
  readonly count: Effect.Effect<number>
  /** New dead letters. A reader that falls more than 1,024 behind loses the oldest. */
  readonly stream: Stream.Stream<DeadLetter>
}>()("effect-sessions/DeadLetters") {
  /**
   * Holds the latest 1,000 dead letters in memory.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<DeadLetters> = Layer.suspend(() => DeadLetters.layerCapacity(1_000))

  /**
   * Holds the latest `capacity` dead letters in memory. Building it dies with a `RangeError` if `capacity` is not a whole
   * number of at least 1.
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
          // A ring buffer: once it is full, the newest replaces the oldest.
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
