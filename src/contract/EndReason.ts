/**
 * Why a session ended.
 *
 * Every end carries one of these reasons: to the end hook, to whoever waits for the end or watches
 * the state, to events, metrics and logs.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { describe } from "../internal/describe.ts"

/**
 * Someone asked for the end: `ref.end()`, `self.end()`, or a continuation that failed with the kind's
 * declared error. `detail` is what they gave as the cause.
 *
 * @since 0.1.0
 * @category models
 */
export const Stopped = Schema.TaggedStruct("Stopped", { detail: Schema.optionalKey(Schema.Defect()) })

/**
 * The session outlived its idle timeout (`limit: "idle"`) or its absolute one.
 *
 * @since 0.1.0
 * @category models
 */
export const Expired = Schema.TaggedStruct("Expired", { limit: Schema.Literals(["idle", "absolute"]) })

/**
 * A defect ended the session: its policy is to stop, or it crashed too often.
 *
 * @since 0.1.0
 * @category models
 */
export const Crashed = Schema.TaggedStruct("Crashed", { defect: Schema.Defect() })

/**
 * The session was removed to make room.
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
 * Another node took the session over.
 *
 * @since 0.1.0
 * @category models
 */
export const Moved = Schema.TaggedStruct("Moved", {})

/**
 * The last client left and did not come back in time.
 *
 * @since 0.1.0
 * @category models
 */
export const Disconnected = Schema.TaggedStruct("Disconnected", {})

/**
 * Why a session ended, as a schema.
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
 * The tags of all reasons, in the order of the documentation.
 *
 * @since 0.1.0
 * @category constants
 */
export const tags = ["Stopped", "Expired", "Crashed", "Evicted", "Shutdown", "Moved", "Disconnected"] as const

/**
 * Ended on request, with an optional detail.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stopped = (detail?: unknown): EndReason =>
  detail === undefined ? { _tag: "Stopped" } : { _tag: "Stopped", detail }

/**
 * Ended by a timeout.
 *
 * @since 0.1.0
 * @category constructors
 */
export const expired = (limit: "idle" | "absolute"): EndReason => ({ _tag: "Expired", limit })

/**
 * Ended by a defect.
 *
 * @since 0.1.0
 * @category constructors
 */
export const crashed = (defect: unknown): EndReason => ({ _tag: "Crashed", defect })

/**
 * Ended to make room.
 *
 * @since 0.1.0
 * @category constructors
 */
export const evicted: EndReason = { _tag: "Evicted" }

/**
 * The reason of a session that lives elsewhere now.
 *
 * @since 0.1.0
 * @category constructors
 */
export const moved: EndReason = { _tag: "Moved" }

/**
 * Ended because its last client did not come back.
 *
 * @since 0.1.0
 * @category constructors
 */
export const disconnected: EndReason = { _tag: "Disconnected" }

/**
 * Ended with its Layer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const shutdown: EndReason = { _tag: "Shutdown" }

/**
 * One line for logs and messages.
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
