/**
 * The bus on which the events of all sessions are published.
 *
 * With nobody listening an event costs one check: it is not even made. A listener is a callback that runs
 * where the event happens, so it must be quick; a stream buffers a bounded number of events and loses the
 * oldest when its reader is too slow.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { SessionEvent } from "../contract/SessionEvent.ts"

/**
 * The event bus.
 *
 * @since 0.1.0
 * @category services
 */
export class SessionEvents extends Context.Service<SessionEvents, {
  /** Is anybody listening? Check it before making an event. */
  readonly active: boolean
  /** Hands an event to all listeners. What a listener throws is logged and goes no further. */
  readonly publish: (event: SessionEvent) => void
  /** Adds a callback and gives the function that removes it. */
  readonly listenUnsafe: (listener: (event: SessionEvent) => void) => () => void
  /** Adds a callback for as long as the Scope lives. */
  readonly listen: (listener: (event: SessionEvent) => void) => Effect.Effect<void, never, Scope.Scope>
  /** The events from now on. A reader that falls `bufferSize` (default 1,024) behind loses the oldest. */
  readonly stream: (options?: { readonly bufferSize?: number | undefined }) => Stream.Stream<SessionEvent>
}>()("effect-sessions/SessionEvents") {
  /**
   * An event bus in the process.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<SessionEvents> = Layer.effect(
    SessionEvents,
    Effect.map(Effect.context<never>(), (context) => make(Effect.runForkWith(context)))
  )
}

const make = (run: (effect: Effect.Effect<void>) => unknown): SessionEvents["Service"] => {
  const listeners = new Set<(event: SessionEvent) => void>()
  const listenUnsafe = (listener: (event: SessionEvent) => void) => {
    // A callback that is added twice is called twice.
    const entry = (event: SessionEvent) => listener(event)
    listeners.add(entry)
    return () => {
      listeners.delete(entry)
    }
  }
  return {
    get active() {
      return listeners.size > 0
    },
    publish(event) {
      for (const listener of listeners) {
        try {
          listener(event)
        } catch (defect) {
          run(Effect.logError("a listener to session events threw", defect))
        }
      }
    },
    listenUnsafe,
    listen: (listener) =>
      Effect.asVoid(Effect.acquireRelease(
        Effect.sync(() => listenUnsafe(listener)),
        (remove) => Effect.sync(remove)
      )),
    stream: (options) =>
      Stream.callback<SessionEvent>((queue) =>
        Effect.acquireRelease(
          Effect.sync(() => listenUnsafe((event) => Queue.offerUnsafe(queue, event))),
          (remove) => Effect.sync(remove)
        ), { bufferSize: options?.bufferSize ?? 1024, strategy: "sliding" })
  }
}
