/**
 * Limits how deep sessions that send to each other nest in one stack.
 *
 * A message to an idle session is handled in the stack of its sender. When that nests too deep (a session
 * sends to a session that sends to a session, …), the message waits in the mailbox instead, and its session is woken
 * through the scheduler.
 */
import type * as Scheduler from "effect/Scheduler"

/** Something that can be woken. */
export interface Wakeable {
  /** `true` while it is in the list to be woken. */
  listed: boolean
  /** Handles what waits. Does nothing when it is awake already or nothing waits. Must not throw. */
  wake(): void
}

const maxDepth = 24

export class WakeUps {
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private listed: Array<Wakeable> = []
  private depth = 0

  constructor(scheduler: Scheduler.Scheduler) {
    this.dispatcher = scheduler.makeDispatcher()
  }

  /** Enters one level; `false` when the limit is reached. Each `true` needs a `leave`. */
  enter(): boolean {
    if (this.depth >= maxDepth) return false
    this.depth++
    return true
  }

  leave(): void {
    this.depth--
  }

  /** Wakes it soon, through the scheduler. */
  later(wakeable: Wakeable): void {
    if (wakeable.listed) return
    wakeable.listed = true
    if (this.listed.push(wakeable) === 1) this.dispatcher.scheduleTask(this.wakeAll, 0)
  }

  private readonly wakeAll = (): void => {
    const { listed } = this
    this.listed = []
    for (const wakeable of listed) {
      wakeable.listed = false
      wakeable.wake()
    }
  }
}
