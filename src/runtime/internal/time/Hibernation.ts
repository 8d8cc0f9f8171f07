/**
 * Finds the sessions of a kind that had nothing to do for a while, so that they go to sleep, and those that have slept for
 * so long that they may leave memory. Activity costs nothing; looking costs as much as there is due.
 */
import { Deadline, type Deadlines } from "./Deadlines.ts"
import { type Entry, nowhere, TimingWheel } from "./TimingWheel.ts"

/** A session that may hibernate. */
export interface HibernatingSession {
  readonly lastActiveAt: number
  readonly hibernating: boolean
  idleCheck: IdleCheck | undefined
  /** Gives up its fiber and its mailbox; `false` while it has something to do. */
  hibernate(): boolean
  /** Leaves memory, if nothing needs it there. */
  passivate(): void
}

/** When a session is to be looked at. */
export class IdleCheck implements Entry {
  wheelTick = nowhere
  wheelIndex = 0
  readonly session: HibernatingSession

  constructor(session: HibernatingSession) {
    this.session = session
  }
}

export class Hibernation extends Deadline {
  private readonly after: number
  /** How long one sleeps before it leaves memory; `Infinity`: it does not. */
  private readonly leaveAfter: number
  private readonly deadlines: Deadlines
  private readonly wheel = new TimingWheel<IdleCheck>(100)
  /** When it is due; `Infinity` when it is not. */
  private dueAt = Infinity
  /** How many are asleep. */
  count = 0

  constructor(after: number, leaveAfter: number, deadlines: Deadlines) {
    super()
    this.after = after
    this.leaveAfter = leaveAfter
    this.deadlines = deadlines
  }

  /** Looks after a session that is awake from now on, whatever woke it. */
  add(session: HibernatingSession, now: number): IdleCheck {
    const rest = new IdleCheck(session)
    this.wheel.insert(rest, now + this.after)
    this.arm()
    return rest
  }

  /** Looks after it no longer. */
  remove(rest: IdleCheck): void {
    this.wheel.remove(rest)
  }

  private arm(): void {
    const next = this.wheel.next()
    if (next >= this.dueAt) return
    this.deadlines.cancel(this)
    this.dueAt = next
    this.deadlines.set(this, next)
  }

  due(now: number): void {
    this.dueAt = Infinity
    this.wheel.advance(now, (rest) => {
      const { session } = rest
      const at = session.lastActiveAt + this.after
      if (session.hibernating) {
        session.passivate()
        this.wheel.insert(rest, now + this.leaveAfter)
      } else if (at > now) this.wheel.insert(rest, at)
      // One that is busy without having been asked for anything is looked at again after as long.
      else if (!session.hibernate()) this.wheel.insert(rest, now + this.after)
      else if (this.leaveAfter === Infinity) session.idleCheck = undefined
      else this.wheel.insert(rest, now + this.leaveAfter)
    })
    this.arm()
  }
}
