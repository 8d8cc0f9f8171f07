/**
 * A reader of `changes`, with a bounded queue. When the queue is full, or the topic restarted, one place in the queue
 * stands for a list of all that are present. The list is made when the reader takes it: it includes all changes until
 * then, and changes after that follow it.
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
  /** Are changes dropped, since a list that comes later includes them? */
  private waits = true

  /** The queue has room for one more than `capacity`: for a list. */
  constructor(queue: Queue.Queue<Item, any>, capacity: number, state: PresenceReader["state"]) {
    this.queue = queue
    this.capacity = capacity
    this.state = state
  }

  send(changes: ReadonlyArray<Change<unknown>>): void {
    if (this.waits) return
    if (Queue.sizeUnsafe(this.queue) + changes.length > this.capacity) return this.sendList()
    for (const change of changes) Queue.offerUnsafe(this.queue, change)
  }

  /** Drops changes until the next list, which includes them. */
  hold(): void {
    this.waits = true
  }

  sendList(): void {
    this.waits = true
    if (this.listed) return
    this.listed = true
    Queue.offerUnsafe(this.queue, this)
  }

  /** Makes the list, when the reader takes it from the queue. */
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
