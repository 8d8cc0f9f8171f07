/**
 * The bus on which the events of all sessions are published.
 *
 * An event is created only while there is a listener; without one, it costs a single check. A listener is a callback that
 * runs where the event happens, so it must be quick. A stream buffers a bounded number of events, and loses the oldest if
 * its reader is too slow.
 *
 * **When to use:** for a log, metrics or alerts of your own. The ready-made ones are `SessionLogger`, `SessionMetrics` and
 * `SessionAlerts`.
 *
 * ```ts
 * const CountCrashes = Layer.effectDiscard(Effect.gen(function*() {
 *   const events = yield* SessionEvents
 *   let crashes = 0
 *   yield* events.listen((event) => {
 *     if (event._tag === "Crash") crashes++
 *   })
 * }))
 * ```
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
  /** Whether there is a listener. Check it before creating an event. */
  readonly active: boolean
  /** Calls all listeners with an event. What a listener throws is logged, and the other listeners are still called. */
  readonly publish: (event: SessionEvent) => void
  /** Adds a listener and returns the function that removes it. */
  readonly listenUnsafe: (listener: (event: SessionEvent) => void) => () => void
  /** Adds a listener until the Scope closes. */
  readonly listen: (listener: (event: SessionEvent) => void) => Effect.Effect<void, never, Scope.Scope>
  /** The events from now on. A reader that falls more than `bufferSize` (default: 1,024) behind loses the oldest. */
  readonly stream: (options?: { readonly bufferSize?: number | undefined }) => Stream.Stream<SessionEvent>
}>()("effect-sessions/SessionEvents") {
  /**
   * An event bus for one host, in memory.
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
    // A function that is added twice is called twice.
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
