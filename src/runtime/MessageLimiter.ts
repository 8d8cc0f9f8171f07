/**
 * Limits how many messages one session may receive within a time.
 *
 * The limiter is asked before a message is accepted, and only for kinds with a `messageRate`.
 *
 * **When to use:** `Sessions.layer` provides it. Provide your own implementation to `Sessions.layerNoDeps` to limit in
 * another way.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { SlidingWindow } from "../policy/SlidingWindow.ts"

/**
 * Limits the messages to a session.
 *
 * @since 0.1.0
 * @category services
 */
export class MessageLimiter extends Context.Service<MessageLimiter, {
  /**
   * Counts a message and gives 0 if it is allowed; otherwise gives the milliseconds until one is. `session` identifies
   * the session: it is the same object for as long as the session lives. `rate.window` and `now` are in milliseconds.
   */
  readonly admit: (
    session: object,
    rate: { readonly limit: number; readonly window: number },
    now: number
  ) => number
}>()("effect-sessions/MessageLimiter") {
  /**
   * Counts in memory, with one sliding window for each session, exact to a twentieth of the window. The memory of a
   * session is freed with it.
   *
   * @since 0.1.0
   */
  static readonly layer: Layer.Layer<MessageLimiter> = Layer.sync(MessageLimiter, () => {
    const windows = new WeakMap<object, SlidingWindow>()
    return {
      admit(session, rate, now) {
        let window = windows.get(session)
        if (window === undefined) {
          window = new SlidingWindow(rate.limit, rate.window, 20)
          windows.set(session, window)
        }
        return window.take(now)
      }
    }
  })
}
