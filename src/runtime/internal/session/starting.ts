/**
 * The start of a session: `init`, then the continuation that goes on after `start` returned; and the start of
 * a new incarnation after a crash.
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
import type { Kept } from "../snapshots/SnapshotCodec.ts"
import { StartDeadline } from "../time/sessionDeadlines.ts"
import { note } from "./events.ts"
import { stayAwake } from "./hibernating.ts"
import type { LiveSession } from "./LiveSession.ts"
import { ending, running, starting } from "./status.ts"

/** Starts the fiber, which runs `init`. When that is pure, the session is running on return. */
export const launch = (session: LiveSession, args: unknown, options: StartOptions | undefined): void => {
  if (args !== undefined && session.runtime.supervision.onCrash === "reset") session.more().args = args
  if (options?.metadata !== undefined) session.more().metadata = options.metadata
  if (options?.user !== undefined) session.setUser(options.user)
  if (options?.idleTimeout !== undefined) session.idleTimeout = Duration.toMillis(options.idleTimeout)
  session.host.expiry.add(session)
  session.host.expiryAlarm.arm()
  session.follow(session.runtime.runFork(Effect.suspend(() => boot(session, args))))
}

/** Starts the fiber, which takes over what the store had. When that is pure, the session is running on return. */
export const relaunch = (session: LiveSession, kept: Kept): void => {
  const { args, clients, idleTimeout, metadata, quarantine, remembersSince, timers, user } = kept
  const { host, runtime } = session
  if (args !== undefined) session.more().args = args
  if (quarantine.length > 0) session.more().quarantine = quarantine
  if (Object.keys(metadata).length > 0) session.more().metadata = metadata
  if (user !== null) session.setUser(user)
  if (idleTimeout !== null) session.idleTimeout = idleTimeout
  session.stored!.remembersSince = remembersSince ?? Infinity
  if (clients.length > 0) session.answers.recall(clients)
  host.expiry.add(session)
  host.expiryAlarm.arm()
  session.stored!.expiry = host.dateOf(host.expiry.expiresAt(session))
  // Before the hook runs, which may set them anew.
  if (timers.length > 0) {
    session.timers.restore(
      timers.map(({ delay, every, key, payload, tag }) => ({
        route: runtime.route(tag),
        payload,
        delay,
        every,
        key: key ?? undefined
      }))
    )
  }
  session.follow(runtime.runFork(Effect.suspend(() => bootFrom(session, kept.state))))
}

/** From here on, the start may take so long. */
const limitStart = (session: LiveSession): void => {
  const { host, startTimeout } = session.runtime
  if (startTimeout === Infinity) return
  const deadline = session.more().startDeadline = new StartDeadline(session)
  host.deadlines.set(deadline, host.now() + startTimeout)
}

/** The start is done, or there will be none. */
export const freeStart = ({ extras, host }: LiveSession): void => {
  if (extras?.startDeadline === undefined) return
  host.deadlines.cancel(extras.startDeadline)
  extras.startDeadline = undefined
}

/** It took too long: whoever waits for it is told, and what runs is interrupted. What the store has stays there. */
export const startIsLate = (session: LiveSession): void => {
  const { counters, startTimeout } = session.runtime
  const error = StartTimeout.of(session.kind, session.id, startTimeout)
  freeStart(session)
  if (!session.hasStarted) {
    counters.startFailures++
    note(session, { _tag: "StartError", error })
    tellStarted(session, Exit.fail(error))
  }
  session.end(EndReason.crashed(error), false)
}

/** The first thing that the fiber does. */
const boot = (session: LiveSession, args: unknown): Effect.Effect<void> => {
  const start = { id: session.id, args, self: session.self }
  let state: unknown
  try {
    state = session.runtime.behavior.init(start)
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

/** The first thing that the fiber of a session from the store does. */
const bootFrom = (session: LiveSession, kept: unknown): Effect.Effect<void> => {
  const { restore } = session.runtime.behavior
  if (restore === undefined) return booted(session, kept, true)
  let state: unknown
  try {
    state = restore({ id: session.id, state: kept, self: session.self })
  } catch (defect) {
    return bootFailed(session, Cause.die(defect))
  }
  return Effect.isEffect(state) ? bootWith(session, state, true) : booted(session, state, true)
}

const booted = (session: LiveSession, state: unknown, restored = false): Effect.Effect<void> => {
  const { behavior, counters, host } = session.runtime
  freeStart(session)
  session.state = state
  session.version = 0
  const again = session.hasStarted
  if (!again) {
    session.hasStarted = true
    // An end may have been asked for while init ran.
    if (session.status === starting) session.status = running
    stayAwake(session)
    // One from the store has started before.
    if (!restored) {
      counters.started++
      if (host.events.active) note(session, { _tag: "Start", duration: host.now() - session.began })
    }
    tellStarted(session, Exit.succeed(session.ref))
  }
  // What the store has of it, if anything, is of another incarnation.
  if (!restored) session.keepsChanged()
  if (again && session.extras?.watchers !== undefined) session.tell(session.extras.watchers)
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
      // Whoever started the session can begin to watch it before it ends for what is found out here.
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
        session.runtime.counters.crashes++
        note(session, { _tag: "Crash", tag: "afterStart", defect, action: "stop", pause: 0 })
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
    // A reset that failed.
    session.end(EndReason.crashed(defect), false)
    return Effect.void
  }
  const declared = declaredError(cause)
  const error = declared === undefined
    ? (session.restores ? RestoreFailed : StartFailed).of(session.kind, session.id, defect)
    : declared.value
  session.runtime.counters.startFailures++
  note(session, { _tag: "StartError", error })
  tellStarted(session, Exit.fail(error))
  // Nothing has started, so there is nothing to drain.
  session.end(declared === undefined ? EndReason.crashed(defect) : EndReason.stopped(error), false)
  return Effect.void
}

/** The error with which it failed, unless it died as well. */
const declaredError = (cause: Cause.Cause<unknown>): { readonly value: unknown } | undefined => {
  const error = Cause.findErrorOption(cause)
  return error._tag === "Some" && !Cause.hasDies(cause) ? error : undefined
}

/** What somebody gets who came for a session that could not be restored, rather than to start it. */
export const restoreError = ({ id, kind }: { readonly kind: string; readonly id: string }, error: unknown): LoadError =>
  isLoadError(error) ? error : RestoreFailed.of(kind, id, error instanceof StartFailed ? error.defect : error)

/** ReplyCache those who wait for the start. The first answer counts. */
export const tellStarted = (session: LiveSession, exit: Exit.Exit<any, unknown>): void => {
  if (Exit.isFailure(exit)) session.more().startFailure ??= exit
  const waiters = session.extras?.startWaiters
  if (waiters === undefined) return
  session.extras!.startWaiters = undefined
  for (const waiter of waiters) waiter(exit)
}

/** Releases what the session holds and starts a new incarnation with the same arguments. */
export const reset = (session: LiveSession): Effect.Effect<void> =>
  Effect.suspend(() => {
    const extras = session.more()
    const { args, scope } = extras
    extras.scope = undefined
    extras.context = undefined
    session.cancelTimers(EndReason.crashed(new Error("the session was reset")))
    if (session.runtime.persistence !== undefined) {
      extras.claimed ??= session.epoch
      extras.versionsBefore += session.version + 1
    }
    session.epoch = session.host.nextEpoch(session.host.date())
    // Until there is a new state, the one that there is belongs to the incarnation before.
    session.version = -1
    const again = Effect.suspend(() => {
      // What is released may have set some.
      session.cancelTimers()
      return boot(session, args)
    })
    if (scope === undefined) return again
    return Effect.andThen(
      Effect.catchCause(Scope.close(scope, Exit.void), (cause) => session.cleanupFailed(Cause.squash(cause))),
      again
    )
  })
