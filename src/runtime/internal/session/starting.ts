/**
 * The start of a session: `init` or `restore`, then `afterStart`, which runs after `start` has returned; and the start of a
 * new incarnation after a crash.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as EndReason from "../../../contract/EndReason.ts"
import type { StartOptions } from "../../../contract/Session.ts"
import {
  isLoadError,
  type LoadError,
  RestoreFailed,
  StartFailed,
  StartTimeout
} from "../../../contract/SessionError.ts"
import type { Kind } from "../host/Kind.ts"
import type { StoredSession } from "../snapshots/SnapshotCodec.ts"
import { CallbackDeadline } from "../time/Deadlines.ts"
import { cancelTimers } from "./cancelTimers.ts"
import { emit } from "./events.ts"
import { scheduleHibernation } from "./hibernating.ts"
import type { LiveSession } from "./LiveSession.ts"
import { ending, running, starting } from "./status.ts"

/** Starts the fiber, which runs `init`. If `init` is pure, the session is running on return. */
export const launch = (session: LiveSession, args: unknown, options: StartOptions | undefined): void => {
  if (args !== undefined && session.kind.supervision.onCrash === "reset") session.ensureExtras().args = args
  if (options?.metadata !== undefined) session.ensureExtras().metadata = options.metadata
  if (options?.user !== undefined) session.setUser(options.user)
  if (options?.idleTimeout !== undefined) session.idleTimeout = Duration.toMillis(options.idleTimeout)
  session.host.expiry.add(session)
  session.host.expiryAlarm.arm()
  session.follow(session.kind.runFork(Effect.suspend(() => boot(session, args))))
}

/** Restores a session from its snapshot and starts its fiber. If `restore` is pure, the session is running on return. */
export const restore = (session: LiveSession, stored: StoredSession): void => {
  const { args, clients, idleTimeout, metadata, quarantine, remembersSince, timers, user } = stored
  const { host, kind } = session
  if (args !== undefined) session.ensureExtras().args = args
  if (quarantine.length > 0) session.ensureExtras().quarantine = quarantine
  if (Object.keys(metadata).length > 0) session.ensureExtras().metadata = metadata
  if (user !== null) session.setUser(user)
  if (idleTimeout !== null) session.idleTimeout = idleTimeout
  session.stored!.remembersSince = remembersSince ?? Infinity
  if (clients.length > 0) session.replies.restore(clients)
  host.expiry.add(session)
  host.expiryAlarm.arm()
  session.stored!.expiry = host.dateOf(host.expiry.expiresAt(session))
  // Before `restore` runs, which may set the same timers again.
  if (timers.length > 0) {
    session.timers.restore(
      timers.map(({ delay, every, key, payload, tag }) => ({
        route: kind.route(tag),
        payload,
        delay,
        every,
        key: key ?? undefined
      }))
    )
  }
  session.follow(kind.runFork(Effect.suspend(() => bootFrom(session, stored.state))))
}

/** Starts the time limit of the start. */
const limitStart = (session: LiveSession): void => {
  const { host, startTimeout } = session.kind
  if (startTimeout === Infinity) return
  const deadline = session.ensureExtras().startDeadline = new CallbackDeadline(() => startIsLate(session))
  host.deadlines.set(deadline, host.now() + startTimeout)
}

/** Cancels the time limit of the start. */
export const freeStart = ({ extras, host }: LiveSession): void => {
  if (extras?.startDeadline === undefined) return
  host.deadlines.cancel(extras.startDeadline)
  extras.startDeadline = undefined
}

/** The start took too long: callers get `StartTimeout`, and the hook is interrupted. The snapshot stays in the store. */
const startIsLate = (session: LiveSession): void => {
  const { counters, startTimeout } = session.kind
  const error = StartTimeout.of(session.kind.name, session.id, startTimeout)
  freeStart(session)
  if (!session.hasStarted) {
    counters.startFailures++
    emit(session, { _tag: "StartError", error })
    settleStart(session, Exit.fail(error))
  }
  session.end(EndReason.crashed(error), false)
}

/** What the fiber of a new session does first. */
const boot = (session: LiveSession, args: unknown): Effect.Effect<void> => {
  const start = { id: session.id, args, self: session.self }
  let state: unknown
  try {
    state = session.kind.behavior.init(start)
  } catch (defect) {
    return bootFailed(session, Cause.die(defect))
  }
  return Effect.isEffect(state) ? bootWith(session, state, false) : booted(session, state)
}

const bootWith = (
  session: LiveSession,
  effect: Effect.Effect<unknown, unknown, unknown>,
  restored: boolean
): Effect.Effect<void> => {
  limitStart(session)
  return Effect.matchCauseEffect(session.provided(effect), {
    onFailure: (cause) => bootFailed(session, cause),
    onSuccess: (state) => booted(session, state, restored)
  })
}

/** What the fiber of a restored session does first. */
const bootFrom = (session: LiveSession, stored: unknown): Effect.Effect<void> => {
  const { restore } = session.kind.behavior
  if (restore === undefined) return booted(session, stored, true)
  let state: unknown
  try {
    state = restore({ id: session.id, state: stored, self: session.self })
  } catch (defect) {
    return bootFailed(session, Cause.die(defect))
  }
  return Effect.isEffect(state) ? bootWith(session, state, true) : booted(session, state, true)
}

const booted = (session: LiveSession, state: unknown, restored = false): Effect.Effect<void> => {
  const { behavior, counters, host } = session.kind
  freeStart(session)
  session.state = state
  session.version = 0
  const again = session.hasStarted
  if (!again) {
    session.hasStarted = true
    // The end may have begun while `init` ran.
    if (session.status === starting) session.status = running
    scheduleHibernation(session)
    // A restored session has started before.
    if (!restored) {
      counters.started++
      if (host.events.active) emit(session, { _tag: "Start", duration: host.now() - session.began })
    }
    settleStart(session, Exit.succeed(session.ref))
  }
  // What the store may have is of another incarnation.
  if (!restored) session.metaChanged()
  if (again && session.extras?.watchers !== undefined) session.notify(session.extras.watchers)
  if (behavior.afterStart !== undefined && session.status < ending) return continued(session, behavior.afterStart)
  session.extras?.timers?.settle()
  return session.proceed()
}

const continued = (
  session: LiveSession,
  afterStart: NonNullable<Kind["behavior"]["afterStart"]>
): Effect.Effect<void> => {
  limitStart(session)
  return Effect.matchCauseEffect(
    session.provided(
      // The caller of `start` can begin to watch the session before this hook ends it.
      Effect.andThen(
        Effect.yieldNow,
        Effect.suspend(() => afterStart({ state: session.state, payload: undefined, self: session.self }))
      )
    ),
    {
      onFailure: (cause) => {
        freeStart(session)
        if (session.killed) return Effect.void
        const error = declaredError(cause)
        if (error !== undefined) {
          session.end(EndReason.stopped(error.value), true)
          return session.turn
        }
        const defect = Cause.squash(cause)
        session.kind.counters.crashes++
        emit(session, { _tag: "Crash", tag: "afterStart", defect, action: "stop", pause: 0 })
        session.end(EndReason.crashed(defect), false)
        return Effect.void
      },
      onSuccess: (state) => {
        session.extras?.timers?.settle()
        freeStart(session)
        if (state !== undefined) session.commit(state)
        return session.turn
      }
    }
  )
}

const bootFailed = (session: LiveSession, cause: Cause.Cause<unknown>): Effect.Effect<void> => {
  const defect = Cause.squash(cause)
  freeStart(session)
  if (session.hasStarted) {
    // A reset has failed.
    session.end(EndReason.crashed(defect), false)
    return Effect.void
  }
  const declared = declaredError(cause)
  const error = declared === undefined
    ? (session.restores ? RestoreFailed : StartFailed).of(session.kind.name, session.id, defect)
    : declared.value
  session.kind.counters.startFailures++
  emit(session, { _tag: "StartError", error })
  settleStart(session, Exit.fail(error))
  // Nothing has started, so there is nothing to drain.
  session.end(declared === undefined ? EndReason.crashed(defect) : EndReason.stopped(error), false)
  return Effect.void
}

/** The declared error of a failure; `undefined` when it also died. */
const declaredError = (cause: Cause.Cause<unknown>): { readonly value: unknown } | undefined => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" && !Cause.hasDies(cause) ? error : undefined
}

/** The error for a caller that reached for a session, and did not start it, when it could not be restored. */
export const restoreError = (kind: string, id: string, error: unknown): LoadError =>
  isLoadError(error) ? error : RestoreFailed.of(kind, id, error instanceof StartFailed ? error.defect : error)

/** Settles the start for everyone who waits for it. The first outcome counts. */
export const settleStart = (session: LiveSession, exit: Exit.Exit<any, unknown>): void => {
  if (Exit.isFailure(exit)) session.ensureExtras().startFailure ??= exit
  const waiters = session.extras?.startWaiters
  if (waiters === undefined) return
  session.extras!.startWaiters = undefined
  for (const waiter of waiters) waiter(exit)
}

/** Closes the Scope of the session and starts a new incarnation with the same arguments. */
export const reset = (session: LiveSession): Effect.Effect<void> =>
  Effect.suspend(() => {
    const extras = session.ensureExtras()
    const { args, scope } = extras
    extras.scope = undefined
    extras.context = undefined
    cancelTimers(session, EndReason.crashed(new Error("the session was reset")))
    if (session.kind.persistence !== undefined) {
      extras.claimed ??= session.epoch
      extras.versionsBefore += session.version + 1
    }
    session.epoch = session.host.nextEpoch(session.host.date())
    // Until `init` gives a new state, the present one belongs to the incarnation before.
    session.version = -1
    const again = Effect.suspend(() => {
      // A finalizer may have set some.
      cancelTimers(session)
      return boot(session, args)
    })
    if (scope === undefined) return again
    return Effect.andThen(
      Effect.catchCause(Scope.close(scope, Exit.void), (cause) => session.cleanupFailed(Cause.squash(cause))),
      again
    )
  })
