/**
 * What a client fails with by itself, without having asked the server.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { taggedError } from "../contract/internal/taggedError.ts"

/**
 * As many actions wait for their answers as the client keeps (`queueLimit`). This one was not taken.
 *
 * @since 0.1.0
 * @category errors
 */
export class QueueFull
  extends taggedError<QueueFull>()("QueueFull", { limit: Schema.Number }, { status: 503, retrySafe: true })
{
  static of(limit: number): QueueFull {
    return new QueueFull({ limit, message: `${limit} actions wait for their answers: try again when some have come` })
  }
}

/**
 * The client was closed with its Scope before the answer came. `sent` tells whether the action had been sent: when it
 * had, it may have been handled.
 *
 * @since 0.1.0
 * @category errors
 */
export class ClientClosed extends taggedError<ClientClosed>()("ClientClosed", { sent: Schema.Boolean }, {
  status: 503,
  retrySafe: (error) => !error.sent
}) {
  static of(sent: boolean): ClientClosed {
    return new ClientClosed({
      sent,
      message: sent ? "the client was closed before the answer came" : "the client is closed"
    })
  }
}

/**
 * The answer did not come within the call's `timeout`, which is in milliseconds. The action stays where it is: it is
 * sent, or sent again, and handled once. What becomes of it shows in the views, and a failure in `rejections`.
 *
 * @since 0.1.0
 * @category errors
 */
export class AnswerTimeout
  extends taggedError<AnswerTimeout>()("AnswerTimeout", { tag: Schema.String, timeout: Schema.Number }, {
    status: 504,
    retrySafe: false
  })
{
  static of(tag: string, timeout: number): AnswerTimeout {
    return new AnswerTimeout({ tag, timeout, message: `no answer to ${tag} within ${timeout} ms` })
  }
}

/**
 * What a call can fail with by the client's own doing.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientError = QueueFull | ClientClosed | AnswerTimeout
