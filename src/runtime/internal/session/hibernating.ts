/**
 * Hibernation: an idle session gives up its fiber and its mailbox until the next message. A hibernating session that nothing
 * refers to may then leave memory, and is in the store only.
 */
import * as Effect from "effect/Effect"
import * as EndReason from "../../../contract/EndReason.ts"
import { cancelTimers } from "./cancelTimers.ts"
import { emit } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"
import { ended } from "./status.ts"

/** Has the session checked for idleness, if its kind hibernates. */
export const scheduleHibernation = (session: LiveSession): void => {
  session.idleCheck = session.kind.hibernation?.add(session, session.host.now())
}

/** The session is not checked for idleness any more. */
export const cancelHibernation = (session: LiveSession): void => {
  if (session.idleCheck === undefined) return
  session.kind.hibernation!.remove(session.idleCheck)
  session.idleCheck = undefined
}

/** Gives up fiber and mailbox; `false` while the session has something to do. */
export const hibernate = (session: LiveSession): boolean => {
  const { doorbell, extras, kind } = session
  if (doorbell === undefined || session.hasWork || session.hibernating) return false
  session.hibernating = true
  session.doorbell = undefined
  doorbell(Effect.void)
  session.fiber = undefined
  session.mailbox = kind.noMailbox
  session.turnCache = undefined
  if (extras !== undefined) extras.context = undefined
  kind.hibernation!.count++
  emit(session, { _tag: "Hibernate" })
  kind.persistence?.hibernated(session)
  return true
}

/** The session does not hibernate any more; `false` when it did not. */
export const leaveHibernation = (session: LiveSession): boolean => {
  if (!session.hibernating) return false
  session.hibernating = false
  session.kind.hibernation!.count--
  return true
}

/** Wakes a hibernating session: gives it a fiber and a mailbox. */
export const wake = (session: LiveSession): void => {
  const { extras, kind } = session
  leaveHibernation(session)
  cancelHibernation(session)
  if (extras !== undefined) extras.leaving = undefined
  session.mailbox = kind.makeMailbox()
  session.follow(kind.runFork(session.turn))
  scheduleHibernation(session)
  emit(session, { _tag: "Wake" })
}

/** Saves the session and removes it from memory, if nothing refers to it and it holds no resources. */
export const passivate = (session: LiveSession): void => {
  const { lastActiveAt, kind: { persistence } } = session
  if (persistence === undefined || !isFree(session)) return
  const leaving = session.ensureExtras().leaving = {}
  persistence.saveIfReady(session, (saved) => {
    if (session.extras?.leaving !== leaving) return
    session.extras.leaving = undefined
    // It stays if anything happened to it while it was saved.
    if (!saved || session.lastActiveAt !== lastActiveAt || persistence.pends(session)) return
    if (session.hibernating && isFree(session)) leave(session)
  })
}

/** `true` without watchers, connections and resources. */
const isFree = ({ extras, watched }: LiveSession): boolean => {
  if (extras === undefined) return true
  const { connections, scope, watchers } = extras
  return !watched && watchers?.isShared !== true && connections?.isIdle !== false &&
    (scope === undefined || scope.state._tag === "Empty")
}

/** Removes it from memory. It has not ended: it is in the store. */
const leave = (session: LiveSession): void => {
  const { host, id, kind } = session
  emit(session, { _tag: "Passivate" })
  session.status = ended
  session.reason = EndReason.moved
  const alarmAt = host.dateOf(session.extras?.timers?.next ?? Infinity)
  leaveHibernation(session)
  cancelHibernation(session)
  host.expiry.remove(session)
  kind.persistence!.forget(session)
  cancelTimers(session)
  if (session.user !== undefined) host.assign(session, session.user, undefined)
  if (kind.sessions.get(id) === session) kind.sessions.delete(id)
  host.live--
  session.extras = undefined
  session.state = undefined
  if (alarmAt < Infinity) kind.persistence!.passivated(alarmAt)
}
