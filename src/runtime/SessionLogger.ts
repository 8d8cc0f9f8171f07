/**
 * Writes the events of sessions to the log.
 *
 * ```ts
 * const Logs = SessionLogger.layer({ Start: "Info", Stop: "Info", Call: "None", Cast: "None" })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import * as EndReason from "../contract/EndReason.ts"
import type { SessionEvent } from "../contract/SessionEvent.ts"
import { SessionEvents } from "./SessionEvents.ts"

/**
 * The level at which each event is logged. `"None"`: not at all.
 *
 * @since 0.1.0
 * @category models
 */
export type Levels = Readonly<Record<SessionEvent["_tag"], LogLevel.Severity | "None">>

/**
 * The default levels. Messages and watchers are logged at `Trace`, starts and ends at `Debug`, and failures at `Warn` or
 * `Error`.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultLevels: Levels = {
  Start: "Debug",
  StartError: "Warn",
  Stop: "Debug",
  Call: "Trace",
  Cast: "Trace",
  CommunicationError: "Warn",
  Crash: "Error",
  Cleanup: "Trace",
  CleanupError: "Error",
  AutoCleanup: "Debug",
  RateLimitCheck: "Trace",
  RateLimitExceeded: "Warn",
  Subscribe: "Trace",
  Unsubscribe: "Trace",
  Connect: "Debug",
  Disconnect: "Debug",
  Hibernate: "Trace",
  Wake: "Trace",
  Restore: "Debug",
  Passivate: "Trace",
  SnapshotError: "Error",
  SnapshotRecovery: "Info",
  Broadcast: "Debug",
  BroadcastReceive: "Trace",
  SelectorCacheHit: "Trace",
  SelectorCacheMiss: "Trace",
  WorkerStart: "Trace",
  WorkerTerminate: "Debug",
  Dispatch: "Trace",
  Notification: "Debug",
  Summary: "Debug"
}

/**
 * Logs every event at its level; `levels` overrides the defaults.
 *
 * **Gotchas:** the Layer listens to the events of all sessions, which costs each message about a microsecond. The level
 * `"None"` does not save that. Where it matters, do not use this Layer in production.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (levels?: Partial<Levels>): Layer.Layer<never, never, SessionEvents> =>
  Layer.effectDiscard(
    Effect.gen(function*() {
      const events = yield* SessionEvents
      const run = Effect.runForkWith(yield* Effect.context<never>())
      const all: Levels = { ...defaultLevels, ...levels }
      yield* events.listen((event) => {
        const level = all[event._tag]
        if (level === "None") return
        const { _tag, at: _at, id, kind, ...details } = event
        const about = id === "" ? {} : { session: `${kind}/${id}` }
        run(
          Effect.annotateLogs(Effect.logWithLevel(level)(describe(event)), { event: _tag, ...about, ...plain(details) })
        )
      })
    })
  )

const describe = (event: SessionEvent): string => {
  switch (event._tag) {
    case "Start":
      return "session started"
    case "StartError":
      return `session could not start: ${message(event.error)}`
    case "Stop":
      return `session ended: ${EndReason.format(event.reason)}`
    case "Call":
      return `call of ${event.tag}: ${event.outcome}`
    case "Cast":
      return `cast of ${event.tag}: ${event.outcome}`
    case "CommunicationError":
      return `${event.tag} was not handled as it should: ${message(event.error)}`
    case "Crash":
      return `the handler of ${event.tag} died: ${message(event.defect)}`
    case "Cleanup":
      return "session released what it held"
    case "CleanupError":
      return `the end of a session failed: ${message(event.error)}`
    case "AutoCleanup":
      return `sweep ended ${event.count} expired sessions`
    case "RateLimitCheck":
      return "rate of starts checked"
    case "RateLimitExceeded":
      return `the rate of ${event.limit} was exceeded`
    case "Subscribe":
      return "someone watches the session"
    case "Unsubscribe":
      return "someone stopped watching the session"
    case "Connect":
      return "a client connected"
    case "Disconnect":
      return "a client is gone"
    case "Hibernate":
      return "the session hibernates"
    case "Wake":
      return "the session woke up"
    case "Restore":
      return "session restored"
    case "Passivate":
      return "the session left memory"
    case "SnapshotError":
      return `snapshots failed: ${message(event.error)}`
    case "SnapshotRecovery":
      return `snapshots are written again, ${event.count} waited`
    case "Broadcast":
      return `broadcast of ${event.tag} to ${event.count} sessions`
    case "BroadcastReceive":
      return `broadcast of ${event.tag} received`
    case "SelectorCacheHit":
      return `selector ${event.selector} had it`
    case "SelectorCacheMiss":
      return `selector ${event.selector} computed it`
    case "WorkerStart":
      return "session forked work"
    case "WorkerTerminate":
      return `forked work is over: ${event.outcome}`
    case "Dispatch":
      return `action ${event.type}${event.changed ? "" : " changed nothing"}`
    case "Notification":
      return `notification ${event.notification}${event.isNew ? "" : " is there already"}`
    case "Summary":
      return `session lived ${Math.round(event.duration / 1_000)} s (${event.pattern}): ${
        EndReason.format(event.reason)
      }`
  }
}

const message = (error: unknown): string => error instanceof Error ? error.message : String(error)

/** The details that a structured log takes as they are: numbers and strings. The message contains the others. */
const plain = (details: object): Record<string, string | number> =>
  Object.fromEntries(
    Object.entries(details).filter(([, value]) => typeof value === "string" || typeof value === "number")
  )
