/**
 * What somebody had asked for and the session had put off, as a debounced action of a store: when the session is over before
 * its time comes, it is left over as any message that was accepted.
 */
import type { EndReason } from "../../../contract/EndReason.ts"
import { SessionEnded } from "../../../contract/SessionError.ts"
import type { SelfTimer } from "../time/SelfTimers.ts"
import { note } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"

export const leaveOwed = (session: LiveSession, timer: SelfTimer, end: EndReason): void => {
  const { host, id, kind, runtime } = session
  const { payload, route: { tag } } = timer
  if (runtime.behavior.owed?.has(tag) !== true) return
  runtime.counters.deadLetters++
  host.letters.publish({ kind, id, tag, payload, reason: { _tag: "Undelivered", end }, at: host.date() })
  note(session, { _tag: "CommunicationError", tag, error: SessionEnded.of(kind, id, end, false) })
}
