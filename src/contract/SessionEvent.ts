/**
 * What happens to sessions, as typed events.
 *
 * Subscribe with `SessionEvents`; write events to the log with `SessionLogger.layer`. Every event has the `kind` and `id`
 * of its session (both empty if it concerns all sessions) and its time `at`, in milliseconds since 1970. Durations are in
 * milliseconds. Events are created only while there is a listener.
 *
 * ```ts
 * const describe = (event: SessionEvent.SessionEvent) =>
 *   event._tag === "Stop" ? `${event.id} lived ${event.duration} ms` : event._tag
 * ```
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
 * A session could not be started. `error` is the error of `start`.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartError extends Base {
  readonly _tag: "StartError"
  readonly error: unknown
}

/**
 * A session ended. `duration` is the time since its start, `messages` how many messages it handled, `connections` how many
 * times a client connected to it, and `user` the user to whom it belonged, if any.
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
 * A call was answered. `duration` is the time from sending the message to the answer.
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
 * A cast was handled. `duration` is the time from sending the message to the end of its handler.
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
 * A message was not answered as it should have been: it was refused or dropped, it timed out, or its session ended first.
 * Also a cast that failed with its declared error, for which there is no caller.
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
 * A handler died of a defect. `action` is what supervision does, after `pause` milliseconds.
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
 * A session has released its resources: its end hook ran and its Scope was closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cleanup extends Base {
  readonly _tag: "Cleanup"
  readonly duration: number
}

/**
 * The end hook or a finalizer died, or took longer than `shutdownGrace`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CleanupError extends Base {
  readonly _tag: "CleanupError"
  readonly error: unknown
}

/**
 * A sweep is complete. `count` is how many sessions it ended, `duration` how long it took.
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
 * The `StartLimiter` was asked and allowed the start.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimitCheck extends Base {
  readonly _tag: "RateLimitCheck"
}

/**
 * A start or a message was refused because of its rate. `retryAfter` is in milliseconds.
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
 * A watcher of a session's state was added. `watchers` is their number now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subscribe extends Base {
  readonly _tag: "Subscribe"
  readonly watchers: number
}

/**
 * A watcher of a session's state was removed. `watchers` is their number now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unsubscribe extends Base {
  readonly _tag: "Unsubscribe"
  readonly watchers: number
}

/**
 * A client connected to a session. `connections` is the number of connected clients now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connect extends Base {
  readonly _tag: "Connect"
  readonly connections: number
}

/**
 * A client disconnected from a session after `duration`. `connections` is the number of connected clients now.
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
 * A session was idle for its kind's `hibernateAfter`, and released its fiber and mailbox.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hibernate extends Base {
  readonly _tag: "Hibernate"
}

/**
 * A hibernating session woke because there is work for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake extends Base {
  readonly _tag: "Wake"
}

/**
 * A session was loaded from the store. `duration` is how long that took.
 *
 * @since 0.1.0
 * @category models
 */
export interface Restore extends Base {
  readonly _tag: "Restore"
  readonly duration: number
}

/**
 * A hibernating session left memory. It is in the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Passivate extends Base {
  readonly _tag: "Passivate"
}

/**
 * Sessions could not be saved or loaded, or a loaded snapshot could not be read. `id` is empty if the error concerns
 * several sessions. After a failure to save, the sessions go on, and the save is retried in `retryIn` milliseconds.
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
 * Saving works again after a failure. `count` is how many sessions had waited for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnapshotRecovery extends Base {
  readonly _tag: "SnapshotRecovery"
  readonly count: number
}

/**
 * A message was cast to all sessions of a kind, or to the members of a group, which `kind` and `id` then name. `count` is
 * how many sessions accepted it at once.
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
 * A session accepted a message that was cast to all sessions of its kind, to all sessions of its user, or to a group.
 * `from` is the id of the group; it is empty otherwise. The event comes before `Broadcast`, unless the message had to wait
 * for the session.
 *
 * On a cluster also: a node took an action of a store from another node, through `SessionCluster.broadcasts`. Then `tag` is the
 * type of the action, and `from` is the node that published it, as host and port.
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
 * A selector (`Selector.make`) returned its cached result for the state of a session. `selector` is its name.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectorCacheHit extends Base {
  readonly _tag: "SelectorCacheHit"
  readonly selector: string
}

/**
 * A selector (`Selector.make`) computed its result for the state of a session. `selector` is its name.
 *
 * @since 0.1.0
 * @category models
 */
export interface SelectorCacheMiss extends Base {
  readonly _tag: "SelectorCacheMiss"
  readonly selector: string
}

/**
 * A session forked a fiber with `self.fork`.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorkerStart extends Base {
  readonly _tag: "WorkerStart"
}

/**
 * A fiber that a session had forked has ended. `error` is what it failed with, if it did.
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
 * A `Store` handled an action. `changed` says whether the state changed.
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
 * A notification was pushed to the inbox of the user `id`. `notification` is its kind and `notificationId` its number.
 * `isNew` is `false` if the inbox already had a notification with its key: then `notificationId` is the number of that.
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
 * The summary of a session that has ended, published by `SessionAnalytics`.
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
