/**
 * The state of a client's connection.
 *
 *   Connecting ──→ Open ──→ Reconnecting ──→ Open ──→ …
 *        │          │            │
 *        └──────────┴────────────┴─→ Ended, Refused: until `reconnect`. Closed: for good.
 *
 * @since 0.1.0
 */
import type { SessionGone } from "../contract/LiveError.ts"

/**
 * The client makes its first connection, or the first one after `reconnect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connecting {
  readonly _tag: "Connecting"
}

/**
 * The client is connected, and the session has answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Open {
  readonly _tag: "Open"
  /** The incarnation of the session. */
  readonly epoch: number
}

/**
 * The connection was lost or could not be made. The client connects again by itself, after a pause.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reconnecting {
  readonly _tag: "Reconnecting"
  /** Counts the attempts since the connection was lost: 1, 2, 3, … */
  readonly attempt: number
  /** When this attempt begins, in milliseconds since 1970. In the past if the attempt is in progress. */
  readonly at: number
  /** When the connection was lost, in milliseconds since 1970. */
  readonly since: number
}

/**
 * The session has ended for this reason; `null` if there was none. A new connection would start another session, so the
 * client waits for `reconnect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ended {
  readonly _tag: "Ended"
  readonly reason: Exclude<SessionGone["reason"], "Shutdown" | "Moved">
}

/**
 * The server does not admit this client, or has disconnected it. The client waits for `reconnect`, and so do its actions.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly _tag: "Refused"
  /** The reason that the server gave, as text; may be empty. */
  readonly reason: string
}

/**
 * The client was closed with its Scope.
 *
 * @since 0.1.0
 * @category models
 */
export interface Closed {
  readonly _tag: "Closed"
}

/**
 * The state of a client's connection.
 *
 * ```ts
 * const label = (status: Status.Status) =>
 *   status._tag === "Open" ? "live" : status._tag === "Reconnecting" ? `offline, attempt ${status.attempt}` : "offline"
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Status = Connecting | Open | Reconnecting | Ended | Refused | Closed

/**
 * The first status of every client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connecting: Status = { _tag: "Connecting" }

/**
 * The last status of every client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const closed: Status = { _tag: "Closed" }
