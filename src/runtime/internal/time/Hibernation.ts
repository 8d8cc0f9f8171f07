/**
 * Finds the sessions of a kind that have been idle for so long that they hibernate, and those that have hibernated for so long
 * that they leave memory. Activity costs nothing here: a deadline is checked, and moved on, when it comes.
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

/** The next check of a session. */
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
  /** How long a session hibernates before it leaves memory; `Infinity`: it stays. */
  private readonly leaveAfter: number
  private readonly deadlines: Deadlines
  private readonly wheel = new TimingWheel<IdleCheck>(100)
  /** When the next check is due; `Infinity`: never. */
  private dueAt = Infinity
  /** How many sessions hibernate. */
  count = 0

  constructor(after: number, leaveAfter: number, deadlines: Deadlines) {
    super()
    this.after = after
    this.leaveAfter = leaveAfter
    this.deadlines = deadlines
  }

  /** Checks a session from now on. */
  add(session: HibernatingSession, now: number): IdleCheck {
    const rest = new IdleCheck(session)
    this.wheel.insert(rest, now + this.after)
    this.arm()
    return rest
  }

  /** Checks it no longer. */
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
      // It has something to do without having had a message: it is checked again later.
      else if (!session.hibernate()) this.wheel.insert(rest, now + this.after)
      else if (this.leaveAfter === Infinity) session.idleCheck = undefined
      else this.wheel.insert(rest, now + this.leaveAfter)
    })
    this.arm()
  }
}
