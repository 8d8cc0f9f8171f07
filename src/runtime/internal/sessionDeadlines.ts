/**
 * What happens to one session at a time: its timers, the deadline of an answer, the limit of its end, and its
 * expiry while someone watches.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Timer } from "../../contract/Session.ts"
import { CallTimeout } from "../../contract/SessionError.ts"
import { begun, Envelope, type Route, settled } from "./Envelope.ts"
import type { LiveSession } from "./LiveSession.ts"
import { note } from "./notes.ts"
import { Deadline } from "./Timers.ts"

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
    const error = CallTimeout.of(session.kind, session.id, envelope.route.tag, timeout, envelope.status === begun)
    session.runtime.counters.timeouts++
    note(session, { _tag: "CommunicationError", tag: envelope.route.tag, error })
    envelope.settle(Exit.fail(error))
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

/** How soon a timer tries again when the mailbox is full. */
const retryMillis = 10

/** Sends a message to its own session, once or again and again. */
export class SelfTimer extends Deadline implements Timer {
  private readonly session: LiveSession
  readonly route: Route
  private readonly payload: unknown
  private readonly interval: number
  private next: number
  readonly key: unknown
  private over = false

  constructor(
    session: LiveSession,
    route: Route,
    payload: unknown,
    delay: number,
    interval: number,
    key: string | undefined
  ) {
    super()
    this.session = session
    this.route = route
    this.payload = payload
    this.interval = interval
    this.key = key ?? this
    this.next = session.hub.now() + delay
    session.hub.timers.set(this, this.next)
  }

  /** Its message was handled, or will not be. */
  done(): void {
    if (this.interval > 0) return
    this.session.forgetTimer(this)
    this.session.keepsChanged()
  }

  /** What is kept of it in a snapshot. */
  get kept() {
    const { interval, key, next, payload, route, session: { hub } } = this
    return { key: typeof key === "string" ? key : null, tag: route.tag, payload, at: hub.dateOf(next), every: interval }
  }

  due(now: number): void {
    if (this.over) return
    const { hub } = this.session
    const envelope = new Envelope(this.route, this.payload, false, undefined)
    envelope.timer = this
    if (!this.session.take(envelope)) {
      return hub.timers.set(this, now + retryMillis)
    }
    this.session.runtime.counters.casts++
    if (this.over) return
    if (this.interval === 0) {
      // It is kept until its message is handled: a crash in between must not lose it.
      this.stop()
    } else {
      // Missed times are not made up for.
      this.next = Math.max(this.next + this.interval, now + 1)
      hub.timers.set(this, this.next)
      this.session.keepsChanged()
    }
  }

  stop(): boolean {
    if (this.over) return false
    this.over = true
    this.session.hub.timers.cancel(this)
    return true
  }

  get cancel(): Effect.Effect<boolean> {
    return Effect.sync(() => {
      const wasSet = this.stop()
      if (wasSet) {
        this.session.forgetTimer(this)
        this.session.keepsChanged()
      }
      return wasSet
    })
  }
}
