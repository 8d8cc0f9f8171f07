/**
 * The watchers of the state of one session: callbacks, and the state as a `SubscriptionRef` once someone asks for it, with the
 * session as its only writer. Streams are built on the callbacks, in `LocalRef`.
 */
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { EndReason } from "../../../contract/EndReason.ts"
import type { Identity, Watcher } from "../../../contract/SessionRef.ts"

export class Watchers {
  private readonly set = new Set<Watcher<any>>()
  private ref: SubscriptionRef.SubscriptionRef<unknown> | undefined
  /** How many changes wait to be written before the watchers are notified. */
  pending = 0

  get count(): number {
    return this.set.size
  }

  /** `true` once the state was given out as a `SubscriptionRef`: its readers are not known. */
  get isShared(): boolean {
    return this.ref !== undefined
  }

  add(watcher: Watcher<any>): void {
    this.set.add(watcher)
  }

  remove(watcher: Watcher<any>): boolean {
    return this.set.delete(watcher)
  }

  /** The state as a `SubscriptionRef`; the same one at each call. */
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
