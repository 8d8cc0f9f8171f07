/**
 * The errors that a client raises itself, without an answer of the server.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"

/**
 * The client already holds `queueLimit` actions that wait for their answers. This action was not accepted and not sent. Try
 * again when `pending` has fallen.
 *
 * @since 0.1.0
 * @category errors
 */
export class QueueFull extends taggedError<QueueFull>()("QueueFull", { limit: Schema.Number }, {
  status: 503,
  retrySafe: true,
  of: (limit: number) => ({
    limit,
    message: `${limit} actions wait for their answers: try again when some have come`
  })
}) {}

/**
 * The client was closed with its Scope before the answer came. An action that had been `sent` may have been handled, so
 * only one that had not been sent is safe to retry.
 *
 * @since 0.1.0
 * @category errors
 */
export class ClientClosed extends taggedError<ClientClosed>()("ClientClosed", { sent: Schema.Boolean }, {
  status: 503,
  retrySafe: (error) => !error.sent,
  of: (sent: boolean) => ({
    sent,
    message: sent ? "the client was closed before the answer came" : "the client is closed"
  })
}) {}

/**
 * The answer did not come within the `timeout` of the call, in milliseconds. The action is not withdrawn: it is still sent,
 * or sent again, and handled once. Its effect shows in the views, a failure in `rejections`. Do not send it again.
 *
 * @since 0.1.0
 * @category errors
 */
export class AnswerTimeout
  extends taggedError<AnswerTimeout>()("AnswerTimeout", { tag: Schema.String, timeout: Schema.Number }, {
    status: 504,
    retrySafe: false,
    of: (tag: string, timeout: number) => ({ tag, timeout, message: `no answer to ${tag} within ${timeout} ms` })
  })
{}

/**
 * The errors that the client itself adds to those of a call.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientError = QueueFull | ClientClosed | AnswerTimeout
