/**
 * Timers that are not to ring any more.
 *
 * Some of them hold what a caller had asked for and the session had put off, such as a debounced action of a store. When the
 * session is over before their time comes, such a message becomes a dead letter, as any other message that was accepted.
 */
import type { EndReason } from "../../../contract/EndReason.ts"
import { SessionEnded } from "../../../contract/SessionError.ts"
import type { SelfTimer } from "../time/SelfTimers.ts"
import { emit } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"

/** Cancels all timers. Without an end, the session goes on elsewhere, and nothing becomes a dead letter. */
export const cancelTimers = (session: LiveSession, end?: EndReason): void => {
  const timers = session.extras?.timers
  if (end === undefined) timers?.cancelAll()
  else timers?.cancelAll((timer) => leaveOwed(session, timer, end))
}

const leaveOwed = (session: LiveSession, timer: SelfTimer, end: EndReason): void => {
  const { host, id, kind } = session
  const { payload, route: { tag } } = timer
  if (kind.behavior.owed?.has(tag) !== true) return
  kind.counters.deadLetters++
  host.letters.publish({ kind: kind.name, id, tag, payload, reason: { _tag: "Undelivered", end }, at: host.date() })
  emit(session, { _tag: "CommunicationError", tag, error: SessionEnded.of(kind.name, id, end, false) })
}
