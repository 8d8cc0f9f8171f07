/**
 * A summary of a session, published when it has ended: see `SessionAnalytics`.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { EndReason } from "./EndReason.ts"

/**
 * How the activity of a session was distributed over its life:
 *
 * - `"idle"`: the session handled no message;
 * - `"glance"`: its last activity came sooner after its start than the length of a pause;
 * - `"bursty"`: its pauses together were longer than its active time;
 * - `"steady"`: any other session.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Pattern = Schema.Literals(["idle", "glance", "bursty", "steady"])

/**
 * How the activity of a session was distributed over its life.
 *
 * @since 0.1.0
 * @category models
 */
export type Pattern = typeof Pattern.Type

/**
 * The life of a session, from its start to its end. Times are in milliseconds since 1970, durations in milliseconds.
 *
 * A message that is handled and a client that connects are activity. The time between two activities is active time if it
 * is shorter than a pause (`SessionAnalytics.Options.pause`), otherwise it is a pause. The time after the last activity is
 * active time if it is shorter than a pause, otherwise it counts as neither: the idle time before a session expires is no
 * pause.
 *
 * `messages` and all fields about activity count from `observedAt`, when the analytics first saw the session. That is its
 * start, unless the analytics started later, or another process had stored the session.
 *
 * @since 0.1.0
 * @category schemas
 */
export const SessionSummary = Schema.Struct({
  kind: Schema.String,
  id: Schema.String,
  /** The user to whom the session belonged at its end; `null` if there was none. */
  user: Schema.NullOr(Schema.String),
  startedAt: Schema.Number,
  /** From when on messages and activity were counted. */
  observedAt: Schema.Number,
  endedAt: Schema.Number,
  /** From `startedAt` to `endedAt`. */
  duration: Schema.Number,
  reason: EndReason,
  /** The messages that the session handled, including those that failed. */
  messages: Schema.Int,
  /** Handlers that died of a defect. */
  crashes: Schema.Int,
  /** How many times a client connected. */
  connections: Schema.Int,
  /** The total active time in milliseconds. */
  activeTime: Schema.Number,
  /** The number of pauses. */
  pauses: Schema.Int,
  /** The longest pause in milliseconds. */
  longestPause: Schema.Number,
  /** The most messages in one minute; the minutes begin at `observedAt`. */
  busiestMinute: Schema.Int,
  /** `messages` divided by the minutes of `activeTime`; less than one minute counts as one. */
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
