/**
 * How many messages one session may get within a time.
 *
 * It is asked only for kinds that have a `messageRate`, before a message is accepted.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import { SlidingWindow } from "../policy/SlidingWindow.ts"

/**
 * The limiter of messages.
 *
 * @since 0.1.0
 * @category services
 */
export class MessageLimiter extends Context.Service<MessageLimiter, {
  /**
   * Counts a message and gives 0, or gives the milliseconds until one is allowed. The session stands
   * for itself: the same session is the same object for as long as it lives.
   */
  readonly admit: (
    session: object,
    rate: { readonly limit: number; readonly window: number },
    now: number
  ) => number
}>()("effect-sessions/MessageLimiter") {
  /**
   * A sliding window for each session, exact to a twentieth of it. What is remembered of a session goes
   * with the session.
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
