/**
 * The sleep of a session: without fiber and mailbox it keeps what it knows, until the next message. One that nobody has
 * to do with may leave memory from there, and is in the store only.
 */
import * as Effect from "effect/Effect"
import * as EndReason from "../../../contract/EndReason.ts"
import { note } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"
import { ended } from "./status.ts"

/** It is awake until it has had nothing to do for a while. */
export const stayAwake = (session: LiveSession): void => {
  session.rest = session.runtime.hibernation?.add(session, session.host.now())
}

/** It is not looked at any more. */
export const neverRest = (session: LiveSession): void => {
  if (session.rest === undefined) return
  session.runtime.hibernation!.remove(session.rest)
  session.rest = undefined
}

/** Gives up fiber and mailbox until there is something to do. `false` when there is. */
export const hibernate = (session: LiveSession): boolean => {
  const { doorbell, extras, runtime } = session
  if (doorbell === undefined || session.hasWork || session.asleep) return false
  session.asleep = true
  session.doorbell = undefined
  doorbell(Effect.void)
  session.fiber = undefined
  session.mailbox = runtime.noMailbox
  session.ownTurn = undefined
  if (extras !== undefined) extras.context = undefined
  runtime.hibernation!.count++
  note(session, { _tag: "Hibernate" })
  runtime.persistence?.rests(session)
  return true
}

/** It sleeps no longer. `false` when it did not sleep. */
export const leaveSleep = (session: LiveSession): boolean => {
  if (!session.asleep) return false
  session.asleep = false
  session.runtime.hibernation!.count--
  return true
}

/** Gets a fiber and a mailbox again. */
export const rouse = (session: LiveSession): void => {
  const { extras, runtime } = session
  leaveSleep(session)
  neverRest(session)
  if (extras !== undefined) extras.leaving = undefined
  session.mailbox = runtime.makeMailbox()
  session.follow(runtime.runFork(session.turn))
  stayAwake(session)
  note(session, { _tag: "Wake" })
}

/** Leaves memory for the store, if nobody has to do with it and it holds nothing. */
export const passivate = (session: LiveSession): void => {
  const { lastActiveAt, runtime: { persistence } } = session
  if (persistence === undefined || !isFree(session)) return
  const leaving = session.more().leaving = {}
  persistence.saveNow(session, (saved) => {
    if (session.extras?.leaving !== leaving) return
    session.extras.leaving = undefined
    // Whatever it did meanwhile, and whoever came, has it stay.
    if (!saved || session.lastActiveAt !== lastActiveAt || persistence.pends(session)) return
    if (session.asleep && isFree(session)) leave(session)
  })
}

/** Is there nobody who has to do with it, and nothing that it holds? */
const isFree = ({ extras, watched }: LiveSession): boolean => {
  if (extras === undefined) return true
  const { connections, scope, watchers } = extras
  return !watched && watchers?.isShared !== true && connections?.isIdle !== false &&
    (scope === undefined || scope.state._tag === "Empty")
}

/** Leaves memory without having ended: it is in the store. */
const leave = (session: LiveSession): void => {
  const { host, id, runtime } = session
  note(session, { _tag: "Passivate" })
  session.status = ended
  session.reason = EndReason.moved
  const alarmAt = host.dateOf(session.extras?.timers?.next ?? Infinity)
  leaveSleep(session)
  neverRest(session)
  host.expiry.remove(session)
  runtime.persistence!.forget(session)
  session.cancelTimers()
  if (session.user !== undefined) host.assign(session, session.user, undefined)
  if (runtime.sessions.get(id) === session) runtime.sessions.delete(id)
  host.live--
  session.extras = undefined
  session.state = undefined
  if (alarmAt < Infinity) runtime.persistence!.hasLeft(alarmAt)
}
