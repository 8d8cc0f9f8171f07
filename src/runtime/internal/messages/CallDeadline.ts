/**
 * The deadline of a call.
 */
import * as Exit from "effect/Exit"
import { CallTimeout } from "../../../contract/SessionError.ts"
import { emit, type EventSource } from "../session/events.ts"
import { Deadline } from "../time/Deadlines.ts"
import { begun, type Envelope, settled } from "./Envelope.ts"
import { type MailboxOwner, withdrawn } from "./withdrawn.ts"

/** The session that is called. */
export interface Callee extends EventSource, MailboxOwner {
  readonly kind: { readonly name: string; readonly counters: { timeouts: number } }
}

/** The error of a call that had no answer in time: counted, and published as an event. */
export const timedOut = (session: Callee, tag: string, timeout: number, hasBegun: boolean): CallTimeout => {
  const error = CallTimeout.of(session.kind.name, session.id, tag, timeout, hasBegun)
  session.kind.counters.timeouts++
  emit(session, { _tag: "CommunicationError", tag, error })
  return error
}

/** Fails the call. A message that has not begun is skipped. */
export class CallDeadline extends Deadline {
  private readonly session: Callee
  private readonly envelope: Envelope
  private readonly timeout: number

  constructor(session: Callee, envelope: Envelope, timeout: number) {
    super()
    this.session = session
    this.envelope = envelope
    this.timeout = timeout
  }

  due(): void {
    const { envelope, session, timeout } = this
    if (envelope.status === settled) return
    const hasBegun = envelope.status === begun
    envelope.settle(Exit.fail(timedOut(session, envelope.route.tag, timeout, hasBegun)))
    if (!hasBegun) withdrawn(session)
  }
}
