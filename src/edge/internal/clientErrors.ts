/**
 * The errors of a session, as clients get them: those of `LiveError`, which name no session.
 */
import { Busy, Crashed, SessionGone, Unanswered } from "../../contract/LiveError.ts"
import { isCallError, type ReachError } from "../../contract/SessionError.ts"

/** When a client may try again after `MailboxFull`, in milliseconds. */
const fullMailboxPause = 100

/** When a client may try again while the session cannot be loaded, in milliseconds. */
const unavailablePause = 1_000

/** The error for a session that cannot be reached. Only one whose snapshot is unreadable stays unreachable. */
export const ofReach = (error: ReachError): SessionGone | Busy =>
  error._tag === "StoreUnavailable" || error._tag === "RestoreFailed" || error._tag === "NodeUnavailable"
    ? Busy.of(unavailablePause, "the session cannot be loaded now")
    : SessionGone.of(null)

/** The error for an action that failed. The errors that the kind declares stay as they are. */
export const ofCall = (error: unknown): unknown => {
  if (!isCallError(error)) return error
  switch (error._tag) {
    case "SessionEnded":
      return SessionGone.of(error.reason._tag)
    case "MailboxFull":
      return Busy.of(fullMailboxPause)
    case "MessageRateExceeded":
      return Busy.of(error.retryAfter)
    case "SessionCrashed":
      return Crashed.of()
    case "CallTimeout":
    case "NodeLost":
      return Unanswered.of()
    default:
      return ofReach(error)
  }
}
