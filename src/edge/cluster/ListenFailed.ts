/**
 * Why a node does not start.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../../contract/internal/taggedError.ts"

/**
 * A node cannot listen for the other nodes: its port is taken, or its address is not one of this machine.
 *
 * @since 0.1.0
 * @category errors
 */
export class ListenFailed extends taggedError<ListenFailed>()("ListenFailed", {
  host: Schema.String,
  port: Schema.Number,
  cause: Schema.Defect()
}, { status: 500, retrySafe: true }) {}
