/**
 * Bounds how deep sessions that message each other nest in one stack.
 *
 * A message to an idle session is handled in the stack of its sender. When that nests too deep (a session
 * messages a session messages a session, …), the message waits in the mailbox instead, and its session is woken
 * through the scheduler.
 */
import type * as Scheduler from "effect/Scheduler"

/** Something that can be woken. */
export interface Sleeper {
  /** `true` while it stands in the list of those to be woken. */
  listed: boolean
  /** Goes on with what waits; nothing when it is awake already or nothing waits. Must not throw. */
  wake(): void
}

const maxDepth = 24

export class WakeUps {
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private listed: Array<Sleeper> = []
  private depth = 0

  constructor(scheduler: Scheduler.Scheduler) {
    this.dispatcher = scheduler.makeDispatcher()
  }

  /** Goes one deeper; `false` when it is too deep. Each `true` needs a `leave`. */
  enter(): boolean {
    if (this.depth >= maxDepth) return false
    this.depth++
    return true
  }

  leave(): void {
    this.depth--
  }

  /** Wakes the sleeper soon, through the scheduler. */
  later(sleeper: Sleeper): void {
    if (sleeper.listed) return
    sleeper.listed = true
    if (this.listed.push(sleeper) === 1) this.dispatcher.scheduleTask(this.wakeAll, 0)
  }

  private readonly wakeAll = (): void => {
    const { listed } = this
    this.listed = []
    for (const sleeper of listed) {
      sleeper.listed = false
      sleeper.wake()
    }
  }
}
