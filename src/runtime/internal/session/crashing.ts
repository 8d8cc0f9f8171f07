/**
 * The crash of a handler. Its message is not replayed: it becomes a dead letter, its caller gets `SessionCrashed`, and the
 * supervision policy decides how the session goes on.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as EndReason from "../../../contract/EndReason.ts"
import { SessionCrashed } from "../../../contract/SessionError.ts"
import * as Supervision from "../../../policy/Supervision.ts"
import type { Envelope } from "../messages/Envelope.ts"
import { emit, emitHandled } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"
import { reset } from "./starting.ts"

/** Returns what the fiber does next; `undefined` when the session goes on at once. */
export const crashed = (
  session: LiveSession,
  envelope: Envelope,
  cause: Cause.Cause<unknown>
): Effect.Effect<void> | undefined => {
  const { host, id, kind } = session
  const { payload, route: { tag } } = envelope
  const defect = Cause.squash(cause)
  const now = host.now()
  const extras = session.ensureExtras()
  extras.crashes++
  kind.counters.crashes++
  kind.counters.deadLetters++
  host.letters.publish({ kind: kind.name, id, tag, payload, reason: { _tag: "Crashed", cause }, at: host.date() })
  const decision = Supervision.decide(kind.supervision, extras.recentCrashes ??= [], now)
  const pause = decision._tag === "stop" ? 0 : decision.pauseMillis
  emitHandled(session, envelope, "failure")
  emit(session, { _tag: "Crash", tag, defect, action: decision._tag, pause })
  const next = proceed(session, decision, defect)
  // Last: when its caller resumes, the session is in the state in which it goes on.
  envelope.settle(Exit.fail(SessionCrashed.of(kind.name, id, tag, defect)))
  return next
}

const proceed = (
  session: LiveSession,
  decision: Supervision.Decision,
  defect: unknown
): Effect.Effect<void> | undefined => {
  switch (decision._tag) {
    case "stop":
      // The end settles all other messages; this one gets `SessionCrashed`.
      session.current = undefined
      session.end(EndReason.crashed(defect), false)
      return Effect.void
    case "reset":
      return afterPause(session, decision.pauseMillis, reset(session))
    case "resume":
      return decision.pauseMillis === 0 ? undefined : afterPause(session, decision.pauseMillis, session.turn)
  }
}

const afterPause = (session: LiveSession, pause: number, next: Effect.Effect<void>): Effect.Effect<void> => {
  if (pause === 0) return next
  const extras = session.ensureExtras()
  extras.recovering = true
  return Effect.andThen(
    Effect.sleep(pause),
    Effect.suspend(() => {
      extras.recovering = false
      return next
    })
  )
}
