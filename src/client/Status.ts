/**
 * How a client is connected.
 *
 *   Connecting ──→ Open ──→ Reconnecting ──→ Open ──→ …
 *        │          │            │
 *        └──────────┴────────────┴─→ Ended, Refused: until `reconnect`. Closed: for good.
 *
 * @since 0.1.0
 */
import type { SessionGone } from "../contract/LiveError.ts"

/**
 * The first connection is being made, or the first one after `reconnect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Connecting {
  readonly _tag: "Connecting"
}

/**
 * Connected, and greeted by the session.
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
 * The connection is lost, or could not be made; the client comes back by itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reconnecting {
  readonly _tag: "Reconnecting"
  /** Counts the attempts since the connection was lost: 1, 2, 3, … */
  readonly attempt: number
  /** When this attempt begins, in milliseconds since 1970. In the past while it is under way. */
  readonly at: number
  /** When the connection was lost, in milliseconds since 1970. */
  readonly since: number
}

/**
 * The session has ended, for this reason; `null` when there was none. Coming back would start another one, so the client
 * waits for `reconnect`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ended {
  readonly _tag: "Ended"
  readonly reason: Exclude<SessionGone["reason"], "Shutdown" | "Moved">
}

/**
 * The server does not let this client in, or threw it out. The client waits for `reconnect`. Actions wait too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refused {
  readonly _tag: "Refused"
  /** What the server said, in words; may be empty. */
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
 * How a client is connected.
 *
 * @since 0.1.0
 * @category models
 */
export type Status = Connecting | Open | Reconnecting | Ended | Refused | Closed

/**
 * How every client begins.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connecting: Status = { _tag: "Connecting" }

/**
 * How every client ends.
 *
 * @since 0.1.0
 * @category constructors
 */
export const closed: Status = { _tag: "Closed" }
