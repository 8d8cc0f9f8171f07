/**
 * What happens to one session at a time: the deadline of an answer, and the limit of its end.
 */
import * as Exit from "effect/Exit"
import { CallTimeout } from "../../../contract/SessionError.ts"
import { begun, type Envelope, settled } from "../messages/Envelope.ts"
import { withdrawn } from "../messages/withdrawn.ts"
import { emit } from "../session/events.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { Deadline } from "./Deadlines.ts"

/** A caller has waited long enough. A message that has not begun is skipped. */
export class CallDeadline extends Deadline {
  private readonly session: LiveSession
  private readonly envelope: Envelope
  private readonly timeout: number

  constructor(session: LiveSession, envelope: Envelope, timeout: number) {
    super()
    this.session = session
    this.envelope = envelope
    this.timeout = timeout
  }

  due(): void {
    const { envelope, session, timeout } = this
    if (envelope.status === settled) return
    const error = CallTimeout.of(session.kind.name, session.id, envelope.route.tag, timeout, envelope.status === begun)
    session.kind.counters.timeouts++
    emit(session, { _tag: "CommunicationError", tag: envelope.route.tag, error })
    const hasBegun = envelope.status === begun
    envelope.settle(Exit.fail(error))
    if (!hasBegun) withdrawn(session)
  }
}

/** Whoever waits for the answer of an action has waited long enough. The action goes on. */
export class AnswerDeadline extends Deadline {
  readonly due: () => void

  constructor(due: () => void) {
    super()
    this.due = due
  }
}

/** `init`, `restore` or `afterStart` takes too long. */
export class StartDeadline extends Deadline {
  private readonly session: LiveSession

  constructor(session: LiveSession) {
    super()
    this.session = session
  }

  due(): void {
    this.session.startIsLate()
  }
}

/** The end takes too long. */
export class EndDeadline extends Deadline {
  private readonly session: LiveSession

  constructor(session: LiveSession) {
    super()
    this.session = session
  }

  due(): void {
    this.session.graceOver()
  }
}
