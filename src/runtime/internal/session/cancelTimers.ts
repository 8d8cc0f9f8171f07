/**
 * Cancels the timers of a session.
 *
 * A timer may hold a message that a caller sent and the session deferred, such as a debounced action of a store. If the
 * session ends before the timer fires, that message becomes a dead letter, like any accepted message that was not handled.
 */
import type { EndReason } from "../../../contract/EndReason.ts"
import { SessionEnded } from "../../../contract/SessionError.ts"
import type { SelfTimer } from "../time/SelfTimers.ts"
import { emit } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"

/** Cancels all timers. Without an end, the session lives on elsewhere, and no message becomes a dead letter. */
export const cancelTimers = (session: LiveSession, end?: EndReason): void => {
  const timers = session.extras?.timers
  if (end === undefined) timers?.cancelAll()
  else timers?.cancelAll((timer) => deadLetterDeferred(session, timer, end))
}

const deadLetterDeferred = (session: LiveSession, timer: SelfTimer, end: EndReason): void => {
  const { host, id, kind } = session
  const { payload, route: { tag } } = timer
  if (kind.behavior.deferred?.has(tag) !== true) return
  kind.counters.deadLetters++
  host.letters.publish({ kind: kind.name, id, tag, payload, reason: { _tag: "Undelivered", end }, at: host.date() })
  emit(session, { _tag: "CommunicationError", tag, error: SessionEnded.of(kind.name, id, end, false) })
}
