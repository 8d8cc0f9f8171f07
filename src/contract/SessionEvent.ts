/**
 * What happens to sessions, as typed events.
 *
 * Subscribe with `SessionEvents`, write them to the log with `SessionLogger.layer`. Every event names the
 * kind and id it concerns (empty where it concerns all sessions) and its time `at`, in milliseconds since
 * 1970; durations are in milliseconds. Events are made only while someone listens.
 *
 * @since 0.1.0
 */
import type { EndReason } from "./EndReason.ts"
import type { SessionSummary } from "./SessionSummary.ts"

interface Base {
  readonly kind: string
  readonly id: string
  readonly at: number
}

/**
 * A session started. `duration` is how long its `init` took.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start extends Base {
  readonly _tag: "Start"
  readonly duration: number
}

/**
 * A session could not be started; `error` is what `start` failed with.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartError extends Base {
  readonly _tag: "StartError"
  readonly error: unknown
}

/**
 * A session ended. `duration` is how long it lived, `messages` how many messages it handled, `connections` how many
 * times a client connected to it; `user` to whom it belonged, if to anybody.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stop extends Base {
  readonly _tag: "Stop"
  readonly reason: EndReason
  readonly duration: number
  readonly messages: number
  readonly connections: number
  readonly user?: string
}

/**
 * A call was answered. `duration` counts from sending to the answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call extends Base {
  readonly _tag: "Call"
  readonly tag: string
  readonly outcome: "success" | "failure"
  readonly duration: number
}

/**
 * A cast was handled. `duration` counts from sending to the end of its handler.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cast extends Base {
  readonly _tag: "Cast"
  readonly tag: string
  readonly outcome: "success" | "failure"
  readonly duration: number
}

/**
 * A message was not answered as it should: refused, dropped, timed out, or left over when its session ended;
 * or a cast failed with its declared error, which nobody else sees.
 *
 * @since 0.1.0
 * @category models
 */
export interface CommunicationError extends Base {
  readonly _tag: "CommunicationError"
  readonly tag: string
  readonly error: unknown
}

/**
 * A handler died of a defect. `action` is what supervision does about it, after `pause` milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Crash extends Base {
  readonly _tag: "Crash"
  readonly tag: string
  readonly defect: unknown
  readonly action: "resume" | "reset" | "stop"
  readonly pause: number
}

/**
 * What a session held was released: its Scope was closed and its end hook ran.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cleanup extends Base {
  readonly _tag: "Cleanup"
  readonly duration: number
}

/**
 * The end hook or a release died, or took longer than the grace period.
 *
 * @since 0.1.0
 * @category models
 */
export interface CleanupError extends Base {
  readonly _tag: "CleanupError"
  readonly error: unknown
}

/**
 * A sweep has ended. `count` is how many sessions it ended, `duration` how long it took.
 *
 * @since 0.1.0
 * @category models
 */
export interface AutoCleanup extends Base {
  readonly _tag: "AutoCleanup"
  readonly count: number
  readonly duration: number
}

/**
 * The rate of starts was checked and allowed the start.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimitCheck extends Base {
  readonly _tag: "RateLimitCheck"
}

/**
 * The rate of starts or of messages was exceeded. `retryAfter` is in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimitExceeded extends Base {
  readonly _tag: "RateLimitExceeded"
  readonly limit: "starts" | "messages"
  readonly retryAfter: number
}

/**
 * Someone began to watch a session's state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subscribe extends Base {
  readonly _tag: "Subscribe"
  readonly watchers: number
}

/**
 * Someone stopped watching a session's state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unsubscribe extends Base {
  readonly _tag: "Unsubscribe"
  readonly watchers: number
}

/**
 * A client connected to a session; `connections` are connected now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connect extends Base {
  readonly _tag: "Connect"
  readonly connections: number
}

/**
 * A client of a session is gone, after `duration`; `connections` are left.
 *
 * @since 0.1.0
 * @category models
 */
export interface Disconnect extends Base {
  readonly _tag: "Disconnect"
  readonly connections: number
  readonly duration: number
}

/**
 * A session had nothing to do for its kind's `hibernateAfter` and gave up its fiber and mailbox.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hibernate extends Base {
  readonly _tag: "Hibernate"
}

/**
 * A session that hibernated has something to do again.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake extends Base {
  readonly _tag: "Wake"
}

/**
 * A session came from the store; `duration` of the loading. Nothing of it was in memory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Restore extends Base {
  readonly _tag: "Restore"
  readonly duration: number
}

/**
 * A session that hibernated left memory; it is in the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Passivate extends Base {
  readonly _tag: "Passivate"
}

/**
 * Sessions could not be saved, or loaded, or what was loaded could not be read; `id` is empty when it is not about one.
 * After a failure to save, sessions go on, and saving is tried again in `retryIn` milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnapshotError extends Base {
  readonly _tag: "SnapshotError"
  readonly error: unknown
  readonly retryIn: number
}

/**
 * Sessions are saved again, after a time in which they were not; `count` waited for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnapshotRecovery extends Base {
  readonly _tag: "SnapshotRecovery"
  readonly count: number
}

/**
 * A message was cast to all sessions of a kind, or to the members of a group, whose `kind` and `id` these are then; `count`
 * accepted it at once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broadcast extends Base {
  readonly _tag: "Broadcast"
  readonly tag: string
  readonly count: number
}

/**
 * A session took a message that was cast to all of its kind, to all of its user, or to a group, whose id is `from`, which is
 * empty otherwise. It comes before `Broadcast`, unless the message had to wait for the session.
 *
 * @since 0.1.0
 * @category models
 */
export interface BroadcastReceive extends Base {
  readonly _tag: "BroadcastReceive"
  readonly tag: string
  readonly from: string
}

/**
 * A selector (`Selector.make`) was asked about the state of a session, and gave again what it had; `selector` is its name.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectorCacheHit extends Base {
  readonly _tag: "SelectorCacheHit"
  readonly selector: string
}

/**
 * A selector was asked about the state of a session, and computed it; `selector` is its name.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectorCacheMiss extends Base {
  readonly _tag: "SelectorCacheMiss"
  readonly selector: string
}

/**
 * A session forked work that runs beside it.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerStart extends Base {
  readonly _tag: "WorkerStart"
}

/**
 * Work that a session had forked has ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerTerminate extends Base {
  readonly _tag: "WorkerTerminate"
  readonly outcome: "success" | "failure" | "interrupted"
  readonly error: unknown
}

/**
 * A store handled an action. `changed` tells whether it changed the state.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dispatch extends Base {
  readonly _tag: "Dispatch"
  readonly type: string
  readonly changed: boolean
}

/**
 * A notification was pushed to an inbox, whose user is `id`; `notification` is its kind. `isNew` is `false` when one with
 * its key was there already, which is `notificationId` then.
 *
 * @since 0.1.0
 * @category models
 */
export interface Notification extends Base {
  readonly _tag: "Notification"
  readonly notification: string
  readonly notificationId: number
  readonly isNew: boolean
}

/**
 * The life of a session that has ended, as `SessionAnalytics` saw it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Summary extends Base, Omit<SessionSummary, "kind" | "id"> {
  readonly _tag: "Summary"
}

/**
 * Any event.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionEvent =
  | Start
  | StartError
  | Stop
  | Call
  | Cast
  | CommunicationError
  | Crash
  | Cleanup
  | CleanupError
  | AutoCleanup
  | RateLimitCheck
  | RateLimitExceeded
  | Subscribe
  | Unsubscribe
  | Connect
  | Disconnect
  | Hibernate
  | Wake
  | Restore
  | Passivate
  | SnapshotError
  | SnapshotRecovery
  | Broadcast
  | BroadcastReceive
  | SelectorCacheHit
  | SelectorCacheMiss
  | WorkerStart
  | WorkerTerminate
  | Dispatch
  | Notification
  | Summary

/**
 * The events of one tag.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Of<T extends SessionEvent["_tag"]> = Extract<SessionEvent, { readonly _tag: T }>
