import * as PubSub from "effect/PubSub"
import type { SubscriptionRef } from "effect/SubscriptionRef"

/** Sets a `SubscriptionRef` on the spot. The client is its only writer. */
export const publish = <A>(ref: SubscriptionRef<A>, value: A): void => {
  ref.value = value
  PubSub.publishUnsafe(ref.pubsub, value)
}
