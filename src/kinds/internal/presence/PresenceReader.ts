/**
 * One who follows a topic: a bounded number of changes waits for it. When there are more, and when the topic begins anew,
 * a place in the queue stands for a list of all, which is made when the reader comes to it: what was told before is in
 * it, and what is told from then on comes after it.
 */
import * as Queue from "effect/Queue"
import type { Change, Event, State } from "../../Presence.ts"
import { list } from "./lists.ts"

export type Item = Change<unknown> | PresenceReader

export class PresenceReader {
  private readonly queue: Queue.Queue<Item, any>
  private readonly capacity: number
  private readonly state: () => { readonly state: State<unknown>; readonly isCurrent: boolean }
  /** Is a list in the queue? */
  private listed = false
  /** Does it wait for a list, which has all changes until then? */
  private waits = true

  /** The queue has room for one more than `capacity`: for a list. */
  constructor(queue: Queue.Queue<Item, any>, capacity: number, state: PresenceReader["state"]) {
    this.queue = queue
    this.capacity = capacity
    this.state = state
  }

  tell(changes: ReadonlyArray<Change<unknown>>): void {
    if (this.waits) return
    if (Queue.sizeUnsafe(this.queue) + changes.length > this.capacity) return this.tellAll()
    for (const change of changes) Queue.offerUnsafe(this.queue, change)
  }

  /** The changes from here on are in a list that comes later. */
  hold(): void {
    this.waits = true
  }

  tellAll(): void {
    this.waits = true
    if (this.listed) return
    this.listed = true
    Queue.offerUnsafe(this.queue, this)
  }

  /** The list, now that the reader has come to it. */
  take(): Event<unknown> {
    const { isCurrent, state } = this.state()
    this.listed = false
    this.waits = !isCurrent
    return { _tag: "List", present: list(state) }
  }

  end(): void {
    Queue.endUnsafe(this.queue)
  }
}
