/**
 * Those who watch the state of one session.
 *
 * Made when the first one comes. From then on the state is also a `SubscriptionRef`, of which the session is
 * the only writer. Selections are compared inside, by a set of callbacks; streams are made at the edge.
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { EndReason } from "../../../contract/EndReason.ts"
import type { Identity, Watcher } from "../../../contract/SessionRef.ts"

export class Watchers {
  private readonly set = new Set<Watcher<any>>()
  private ref: SubscriptionRef.SubscriptionRef<unknown> | undefined
  /** How many changes are told when they are written. */
  pending = 0

  get count(): number {
    return this.set.size
  }

  /** Was the state given out as a `SubscriptionRef`, of which nobody knows who reads it? */
  get isShared(): boolean {
    return this.ref !== undefined
  }

  add(watcher: Watcher<any>): void {
    this.set.add(watcher)
  }

  remove(watcher: Watcher<any>): boolean {
    return this.set.delete(watcher)
  }

  /** The state as a `SubscriptionRef`, the same one each time. */
  subscriptionRef(state: () => unknown): Effect.Effect<SubscriptionRef.SubscriptionRef<unknown>> {
    return Effect.suspend(() =>
      this.ref !== undefined
        ? Effect.succeed(this.ref)
        : Effect.map(SubscriptionRef.make(state()), (ref) => {
          if (this.ref === undefined) {
            this.ref = ref
            ref.value = state()
          }
          return this.ref
        })
    )
  }

  changed(state: unknown, version: number, epoch: number): void {
    if (this.ref !== undefined) {
      this.ref.value = state
      PubSub.publishUnsafe(this.ref.pubsub, state)
    }
    for (const watcher of this.set) watcher.changed?.(state, version, epoch)
  }

  identified(identity: Identity): void {
    for (const watcher of this.set) watcher.identified?.(identity)
  }

  ended(reason: EndReason): void {
    for (const watcher of this.set) watcher.ended(reason)
    this.set.clear()
  }
}
