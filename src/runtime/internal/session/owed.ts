/**
 * What somebody had asked for and the session had put off, as a debounced action of a store: when the session is over before
 * its time comes, it is left over as any message that was accepted.
 */
import type { EndReason } from "../../../contract/EndReason.ts"
import { SessionEnded } from "../../../contract/SessionError.ts"
import type { SelfTimer } from "../time/SelfTimers.ts"
import { emit } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"

export const leaveOwed = (session: LiveSession, timer: SelfTimer, end: EndReason): void => {
  const { host, id, kind } = session
  const { payload, route: { tag } } = timer
  if (kind.behavior.owed?.has(tag) !== true) return
  kind.counters.deadLetters++
  host.letters.publish({ kind: kind.name, id, tag, payload, reason: { _tag: "Undelivered", end }, at: host.date() })
  emit(session, { _tag: "CommunicationError", tag, error: SessionEnded.of(kind.name, id, end, false) })
}
