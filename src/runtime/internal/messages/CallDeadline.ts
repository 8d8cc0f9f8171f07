/**
 * The deadline of a call.
 */
import * as Exit from "effect/Exit"
import { CallTimeout } from "../../../contract/SessionError.ts"
import { emit, type EventSource } from "../session/events.ts"
import { Deadline } from "../time/Deadlines.ts"
import { begun, type Envelope, settled } from "./Envelope.ts"
import { type MailboxOwner, withdrawn } from "./withdrawn.ts"

interface Callee extends EventSource, MailboxOwner {
  readonly kind: { readonly name: string; readonly counters: { timeouts: number } }
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
    const { id, kind } = session
    const hasBegun = envelope.status === begun
    const error = CallTimeout.of(kind.name, id, envelope.route.tag, timeout, hasBegun)
    kind.counters.timeouts++
    emit(session, { _tag: "CommunicationError", tag: envelope.route.tag, error })
    envelope.settle(Exit.fail(error))
    if (!hasBegun) withdrawn(session)
  }
}
