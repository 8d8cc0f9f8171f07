/**
 * A summary of a session, published when it has ended: see `SessionAnalytics`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { EndReason } from "./EndReason.ts"

/**
 * How the activity of a session was spread over its life:
 *
 * - `"idle"`: it handled no message;
 * - `"glance"`: from its start to the last activity it took less time than a pause;
 * - `"bursty"`: it was quiet for longer, in its pauses, than it was active;
 * - `"steady"`: any other.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Pattern = Schema.Literals(["idle", "glance", "bursty", "steady"])

/**
 * How the activity of a session was spread over its life.
 *
 * @since 0.1.0
 * @category models
 */
export type Pattern = typeof Pattern.Type

/**
 * The life of a session, from its start to its end. Times are in milliseconds since 1970, durations in milliseconds.
 *
 * A message that was handled and a client that connected are activity. Between two of them the session was active, if that
 * was shorter than a pause; else it paused. What came after the last one is active time if it was shorter than a pause,
 * and nothing otherwise: a session that expired has not paused for its timeout.
 *
 * `messages` and all that is about activity count from `observedAt`, when the session was first seen: at its start, unless
 * nobody listened by then, or it came from the store of another process.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionSummary = Schema.Struct({
  kind: Schema.String,
  id: Schema.String,
  /** To whom it belonged at its end, if that was known. */
  user: Schema.NullOr(Schema.String),
  startedAt: Schema.Number,
  observedAt: Schema.Number,
  endedAt: Schema.Number,
  /** From `startedAt` to `endedAt`. */
  duration: Schema.Number,
  reason: EndReason,
  /** Messages that it handled, those that failed included. */
  messages: Schema.Int,
  /** Handlers that died of a defect. */
  crashes: Schema.Int,
  /** How many times a client connected. */
  connections: Schema.Int,
  activeTime: Schema.Number,
  pauses: Schema.Int,
  longestPause: Schema.Number,
  /** The most messages in one minute, counted in whole minutes from `observedAt`. */
  busiestMinute: Schema.Int,
  /** `messages` by the minutes of `activeTime`, of which one at least is counted. */
  messagesPerActiveMinute: Schema.Number,
  pattern: Pattern
})

/**
 * The life of a session.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionSummary = typeof SessionSummary.Type
