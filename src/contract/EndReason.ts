/**
 * Why a session ended.
 *
 * Every end has one of these reasons. The end hook gets it, and so do callers that wait for the end, watchers of the
 * state, events, metrics and logs.
 *
 * ```ts
 * const reason = yield* ref.awaitEnd
 * yield* Effect.logInfo(EndReason.format(reason)) // "expired (idle timeout)"
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { describe } from "../internal/describe.ts"

/**
 * The session was ended by `ref.end()`, by `self.end()`, or by an `afterStart` that failed with the declared error of the
 * kind. `detail` is what `end` was given, or that error.
 *
 * @since 0.1.0
 * @category models
 */
export const Stopped = Schema.TaggedStruct("Stopped", { detail: Schema.optionalKey(Schema.Defect()) })

/**
 * The session expired: it reached its idle timeout (`limit: "idle"`) or its absolute timeout (`limit: "absolute"`).
 *
 * @since 0.1.0
 * @category models
 */
export const Expired = Schema.TaggedStruct("Expired", { limit: Schema.Literals(["idle", "absolute"]) })

/**
 * A defect ended the session: its supervision is `stop`, or it crashed too often. See `Supervision`.
 *
 * @since 0.1.0
 * @category models
 */
export const Crashed = Schema.TaggedStruct("Crashed", { defect: Schema.Defect() })

/**
 * The session was removed to make room for others. The library itself evicts no session; a program does it by
 * `ref.end({ reason: EndReason.evicted })`.
 *
 * @since 0.1.0
 * @category models
 */
export const Evicted = Schema.TaggedStruct("Evicted", {})

/**
 * The Layer that owns the sessions was closed.
 *
 * @since 0.1.0
 * @category models
 */
export const Shutdown = Schema.TaggedStruct("Shutdown", {})

/**
 * Another process has taken the session over, or has ended it in the store.
 *
 * @since 0.1.0
 * @category models
 */
export const Moved = Schema.TaggedStruct("Moved", {})

/**
 * The last client disconnected, and none connected within the `reconnectWindow` of the kind.
 *
 * @since 0.1.0
 * @category models
 */
export const Disconnected = Schema.TaggedStruct("Disconnected", {})

/**
 * The schema of the reasons.
 *
 * @since 0.1.0
 * @category models
 */
export const EndReason = Schema.Union([Stopped, Expired, Crashed, Evicted, Shutdown, Moved, Disconnected])

/**
 * Why a session ended.
 *
 * @since 0.1.0
 * @category models
 */
export type EndReason = typeof EndReason.Type

/**
 * The tags of all reasons.
 *
 * @since 0.1.0
 * @category constants
 */
export const tags = ["Stopped", "Expired", "Crashed", "Evicted", "Shutdown", "Moved", "Disconnected"] as const

/**
 * The reason of a session that was ended on request, with an optional detail.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stopped = (detail?: unknown): EndReason =>
  detail === undefined ? { _tag: "Stopped" } : { _tag: "Stopped", detail }

/**
 * The reason of a session that reached a timeout.
 *
 * @since 0.1.0
 * @category constructors
 */
export const expired = (limit: "idle" | "absolute"): EndReason => ({ _tag: "Expired", limit })

/**
 * The reason of a session that a defect ended.
 *
 * @since 0.1.0
 * @category constructors
 */
export const crashed = (defect: unknown): EndReason => ({ _tag: "Crashed", defect })

/**
 * The reason of a session that was removed to make room.
 *
 * @since 0.1.0
 * @category constructors
 */
export const evicted: EndReason = { _tag: "Evicted" }

/**
 * The reason of a session that another process has taken over.
 *
 * @since 0.1.0
 * @category constructors
 */
export const moved: EndReason = { _tag: "Moved" }

/**
 * The reason of a session to which no client connected again in time.
 *
 * @since 0.1.0
 * @category constructors
 */
export const disconnected: EndReason = { _tag: "Disconnected" }

/**
 * The reason of a session whose Layer was closed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const shutdown: EndReason = { _tag: "Shutdown" }

/**
 * Describes a reason in one line, for logs and messages.
 *
 * @since 0.1.0
 * @category rendering
 */
export const format = (reason: EndReason): string => {
  switch (reason._tag) {
    case "Stopped":
      return reason.detail === undefined ? "stopped" : `stopped (${describe(reason.detail)})`
    case "Expired":
      return `expired (${reason.limit} timeout)`
    case "Crashed":
      return `crashed (${describe(reason.defect)})`
    default:
      return reason._tag.toLowerCase()
  }
}
