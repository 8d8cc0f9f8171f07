/**
 * Limits how much one visitor may send to others, so that no visitor can flood an inbox.
 */
import { Clock, Context, Effect, Layer } from "effect"
import { SlidingWindow } from "effect-sessions"
import { TooManyMessages } from "./ShopError.ts"

const limit = 20
const windowMillis = 60_000

/** The most senders to remember. A sender that is forgotten starts with a new limit. */
const mostSenders = 10_000

export class Senders extends Context.Service<Senders, {
  /** Counts a message, or fails if there were too many. */
  readonly admit: (sender: string) => Effect.Effect<void, TooManyMessages>
}>()("corner-shop/Senders") {
  static readonly layer = Layer.effect(
    Senders,
    Effect.map(Clock.Clock, (clock) => {
      // In the order of their last message, so that quiet senders are at the front.
      const senders = new Map<string, SlidingWindow>()

      const forgetQuiet = (now: number) => {
        for (const [sender, said] of senders) {
          if (said.count(now) > 0 && senders.size <= mostSenders) return
          senders.delete(sender)
        }
      }

      return {
        admit: (sender) =>
          Effect.suspend(() => {
            const now = clock.currentTimeMillisUnsafe()
            const said = senders.get(sender) ?? new SlidingWindow(limit, windowMillis, 20)
            const retryAfter = said.take(now)
            senders.delete(sender)
            senders.set(sender, said)
            forgetQuiet(now)
            return retryAfter === 0 ? Effect.void : Effect.fail(new TooManyMessages({ message: tooFast, retryAfter }))
          })
      }
    })
  )
}

const tooFast = `you have said ${limit} things within a minute, let others have a word`
