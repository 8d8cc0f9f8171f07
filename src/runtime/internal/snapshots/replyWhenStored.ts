/**
 * When the replies of a session with snapshots are sent.
 */
import * as Exit from "effect/Exit"
import { SessionCrashed, SessionEnded } from "../../../contract/SessionError.ts"
import type { Envelope } from "../messages/Envelope.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import type { Persistence } from "./Persistence.ts"

/**
 * Sends a reply: at once; or, under write-ahead, when the changes that it confirms are written. Changes that revoke rights
 * (another user, other metadata, the end) are always written first.
 */
export const replyWhenStored = (
  session: LiveSession,
  envelope: Envelope,
  exit: Exit.Exit<any, any>,
  persistence: Persistence
): void => {
  // The reply cache is stored, too.
  if (envelope.isRemembered) session.metaChanged()
  const { extras } = session
  if (extras?.writesAhead === true) {
    extras.writesAhead = false
    return replyAhead(session, envelope, exit, persistence)
  }
  if (!persistence.isWriteAhead || !persistence.pends(session)) return envelope.settle(exit)
  envelope.decided?.(exit)
  persistence.whenSaved(session, (written) => envelope.settle(written ? exit : Exit.fail(unwritten(session, envelope))))
}

const replyAhead = (
  session: LiveSession,
  envelope: Envelope,
  exit: Exit.Exit<any, any>,
  persistence: Persistence
): void => {
  envelope.decided?.(exit)
  const resume = (written: boolean) => envelope.settle(written ? exit : Exit.fail(unwritten(session, envelope)))
  if (session.ending) persistence.whenGone(session, resume)
  else persistence.save(session, resume)
}

const unwritten = (
  { id, kind, reason }: LiveSession,
  { route: { tag } }: Envelope
): SessionEnded | SessionCrashed =>
  reason === undefined
    ? SessionCrashed.of(kind.name, id, tag, new Error("its state could not be written"))
    : SessionEnded.of(kind.name, id, reason, true)
