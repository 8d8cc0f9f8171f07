/**
 * The errors of this library, as values.
 *
 * Each one has a message that a person can act on, says whether trying again is safe (`retrySafe`:
 * the operation certainly had no effect), when to try again if that is known (`retryAfter`, in
 * milliseconds), and which HTTP status it maps to (`httpStatus`, and the same as an annotation for
 * `effect/http-api`). Each method lists exactly the errors it can fail with.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { describe } from "../internal/describe.ts"
import { withoutStack } from "../internal/withoutStack.ts"
import * as EndReason from "./EndReason.ts"
import type { ActionForgotten, ActionOutOfOrder } from "./internal/onceErrors.ts"

export { ActionForgotten, ActionOutOfOrder } from "./internal/onceErrors.ts"

const Address = { kind: Schema.String, id: Schema.String }

/**
 * What a caller can do about an error: the members that all errors of this library share.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionErrorLike {
  readonly _tag: string
  readonly message: string
  /** `true`: the operation had no effect, so trying again cannot do anything twice. */
  readonly retrySafe: boolean
  /** The HTTP status for this error. */
  readonly httpStatus: number
}

/**
 * The id is not well-formed. See `SessionId`.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidSessionId extends Schema.TaggedError<InvalidSessionId>()(
  "InvalidSessionId",
  { id: Schema.String, message: Schema.String },
  { httpApiStatus: 400 }
) implements SessionErrorLike {
  /** Makes the error for an id, shortening what is quoted of it. */
  static of(id: unknown): InvalidSessionId {
    const text = String(id)
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text
    const why = text.length === 0
      ? "it is empty"
      : text.length > 128
      ? `it has ${text.length} characters, at most 128 are allowed`
      : "only letters, digits and . _ ~ : @ - are allowed"
    return withoutStack(() =>
      new InvalidSessionId({ id: shown, message: `${JSON.stringify(shown)} is not a session id: ${why}` })
    )
  }
  get httpStatus(): 400 {
    return 400
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * No kind of this name is registered: its Layer is missing from the program.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownKind extends Schema.TaggedError<UnknownKind>()(
  "UnknownKind",
  { kind: Schema.String, message: Schema.String },
  { httpApiStatus: 404 }
) implements SessionErrorLike {
  static of(kind: string, known: Iterable<string>): UnknownKind {
    const names = Array.from(known)
    return withoutStack(() =>
      new UnknownKind({
        kind,
        message: `no session kind "${kind}" is registered (known: ${names.length === 0 ? "none" : names.join(", ")})`
      })
    )
  }
  get httpStatus(): 404 {
    return 404
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * A message or an argument from outside does not fit the kind's schemas.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMessage extends Schema.TaggedError<InvalidMessage>()(
  "InvalidMessage",
  { kind: Schema.String, tag: Schema.String, message: Schema.String },
  { httpApiStatus: 400 }
) implements SessionErrorLike {
  get httpStatus(): 400 {
    return 400
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * As many sessions are live as the configuration allows. Reaching a live session never fails with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLimitReached extends Schema.TaggedError<SessionLimitReached>()(
  "SessionLimitReached",
  { limit: Schema.Number, message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike {
  static of(limit: number): SessionLimitReached {
    return withoutStack(() =>
      new SessionLimitReached({ limit, message: `the limit of ${limit} live sessions is reached` })
    )
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * Too many sessions were started lately. `retryAfter` is in milliseconds. Reaching a live session
 * never fails with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartRateExceeded extends Schema.TaggedError<StartRateExceeded>()(
  "StartRateExceeded",
  { limit: Schema.Number, window: Schema.Number, retryAfter: Schema.Number, message: Schema.String },
  { httpApiStatus: 429 }
) implements SessionErrorLike {
  static of(limit: number, window: number, retryAfter: number, scope = "all starts"): StartRateExceeded {
    return withoutStack(() =>
      new StartRateExceeded({
        limit,
        window,
        retryAfter,
        message: `more than ${limit} sessions in ${window / 1000} s (${scope}), try again in ${
          Math.ceil(retryAfter / 1000)
        } s`
      })
    )
  }
  get httpStatus(): 429 {
    return 429
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The session got more messages than its rate allows. `retryAfter` is in milliseconds. The message
 * was not accepted.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageRateExceeded extends Schema.TaggedError<MessageRateExceeded>()(
  "MessageRateExceeded",
  { ...Address, retryAfter: Schema.Number, message: Schema.String },
  { httpApiStatus: 429 }
) implements SessionErrorLike {
  static of(kind: string, id: string, retryAfter: number): MessageRateExceeded {
    return withoutStack(() =>
      new MessageRateExceeded({
        kind,
        id,
        retryAfter,
        message: `session ${kind}/${id} gets more messages than its rate allows, try again in ${
          Math.ceil(retryAfter)
        } ms`
      })
    )
  }
  get httpStatus(): 429 {
    return 429
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * No live session has this id.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionNotFound extends Schema.TaggedError<SessionNotFound>()(
  "SessionNotFound",
  { ...Address, message: Schema.String },
  { httpApiStatus: 404 }
) implements SessionErrorLike {
  static of(kind: string, id: string): SessionNotFound {
    return withoutStack(() =>
      new SessionNotFound({ kind, id, message: `no session ${kind}/${id} is live: start it first` })
    )
  }
  get httpStatus(): 404 {
    return 404
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The session ended after it had accepted the message and before it answered. `begun` tells whether
 * its handler had begun: when it had not, sending the message again is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionEnded extends Schema.TaggedError<SessionEnded>()(
  "SessionEnded",
  { ...Address, reason: EndReason.EndReason, begun: Schema.Boolean, message: Schema.String },
  { httpApiStatus: 410 }
) implements SessionErrorLike {
  static of(kind: string, id: string, reason: EndReason.EndReason, begun: boolean): SessionEnded {
    return withoutStack(() =>
      new SessionEnded({
        kind,
        id,
        reason,
        begun,
        message: `session ${kind}/${id} ended: ${EndReason.format(reason)}`
      })
    )
  }
  get httpStatus(): 410 {
    return 410
  }
  get retrySafe(): boolean {
    return !this.begun
  }
}

/**
 * The handler of this message died of a defect. The session's supervision goes on by its policy; the
 * message is in the dead letters and is not replayed.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionCrashed extends Schema.TaggedError<SessionCrashed>()(
  "SessionCrashed",
  { ...Address, tag: Schema.String, defect: Schema.Defect(), message: Schema.String },
  { httpApiStatus: 500 }
) implements SessionErrorLike {
  static of(kind: string, id: string, tag: string, defect: unknown): SessionCrashed {
    return withoutStack(() =>
      new SessionCrashed({
        kind,
        id,
        tag,
        defect,
        message: `session ${kind}/${id} crashed while handling ${tag}: ${describe(defect)}`
      })
    )
  }
  get httpStatus(): 500 {
    return 500
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The session could not be started: its `init` died of a defect.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartFailed extends Schema.TaggedError<StartFailed>()(
  "StartFailed",
  { ...Address, defect: Schema.Defect(), message: Schema.String },
  { httpApiStatus: 500 }
) implements SessionErrorLike {
  static of(kind: string, id: string, defect: unknown): StartFailed {
    return withoutStack(() =>
      new StartFailed({
        kind,
        id,
        defect,
        message: `session ${kind}/${id} could not start: ${describe(defect)}`
      })
    )
  }
  get httpStatus(): 500 {
    return 500
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The session's `init` or `restore` took longer than the kind's `startTimeout` and was interrupted. What the store has of
 * the session is untouched.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartTimeout extends Schema.TaggedError<StartTimeout>()(
  "StartTimeout",
  { ...Address, timeout: Schema.Number, message: Schema.String },
  { httpApiStatus: 504 }
) implements SessionErrorLike {
  static of(kind: string, id: string, timeout: number): StartTimeout {
    return withoutStack(() =>
      new StartTimeout({
        kind,
        id,
        timeout,
        message: `session ${kind}/${id} did not start within ${timeout} ms: its start was interrupted`
      })
    )
  }
  get httpStatus(): 504 {
    return 504
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The kind's `init` refused the start with its declared error, which is in `error`. Only where the kind is
 * known by its name; typed starts fail with the declared error itself.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartRefused extends Schema.TaggedError<StartRefused>()(
  "StartRefused",
  { ...Address, error: Schema.Defect(), message: Schema.String },
  { httpApiStatus: 422 }
) implements SessionErrorLike {
  static of(kind: string, id: string, error: unknown): StartRefused {
    return withoutStack(() =>
      new StartRefused({
        kind,
        id,
        error,
        message: `session ${kind}/${id} refused to start: ${describe(error)}`
      })
    )
  }
  get httpStatus(): 422 {
    return 422
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * No answer within the call's deadline. `begun` tells whether the handler had begun: when it had not,
 * the message is skipped and sending it again is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallTimeout extends Schema.TaggedError<CallTimeout>()(
  "CallTimeout",
  { ...Address, tag: Schema.String, timeout: Schema.Number, begun: Schema.Boolean, message: Schema.String },
  { httpApiStatus: 504 }
) implements SessionErrorLike {
  static of(kind: string, id: string, tag: string, timeout: number, begun: boolean): CallTimeout {
    return withoutStack(() =>
      new CallTimeout({
        kind,
        id,
        tag,
        timeout,
        begun,
        message: `session ${kind}/${id} did not answer ${tag} within ${timeout} ms${
          begun ? ", its handler goes on" : ": the message was skipped"
        }`
      })
    )
  }
  get httpStatus(): 504 {
    return 504
  }
  get retrySafe(): boolean {
    return !this.begun
  }
}

/**
 * The mailbox is full and the message's overflow policy does not wait, or the message was dropped for
 * a newer one of its kind. It was not handled.
 *
 * @since 0.1.0
 * @category errors
 */
export class MailboxFull extends Schema.TaggedError<MailboxFull>()(
  "MailboxFull",
  { ...Address, tag: Schema.String, capacity: Schema.Number, message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike {
  static of(kind: string, id: string, tag: string, capacity: number): MailboxFull {
    return withoutStack(() =>
      new MailboxFull({
        kind,
        id,
        tag,
        capacity,
        message: `the mailbox of session ${kind}/${id} is full (${capacity} messages): ${tag} was not handled`
      })
    )
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The sessions' Layer is closing or closed: nothing new is accepted.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionsClosed extends Schema.TaggedError<SessionsClosed>()(
  "SessionsClosed",
  { message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike {
  static of(): SessionsClosed {
    return withoutStack(() =>
      new SessionsClosed({ message: "the sessions are shutting down: nothing new is accepted" })
    )
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * A setting is not usable. Raised when a Layer is built, before anything runs.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidConfig extends Schema.TaggedError<InvalidConfig>()(
  "InvalidConfig",
  { setting: Schema.String, message: Schema.String },
  { httpApiStatus: 500 }
) implements SessionErrorLike {
  get httpStatus(): 500 {
    return 500
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The store in which the session is kept did not do what it was asked for: it is down, or too slow; or, with the `scope`
 * `"key"`, it cannot do that for this session, as when the key is missing with which it was encrypted.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>()(
  "StoreUnavailable",
  { kind: Schema.String, id: Schema.String, scope: Schema.Literals(["store", "key"]), message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike {
  static of(
    kind: string,
    id: string,
    why: string,
    { scope = "store", what = "loaded" }: {
      readonly scope?: "store" | "key" | undefined
      readonly what?: string | undefined
    } = {}
  ): StoreUnavailable {
    return withoutStack(() =>
      new StoreUnavailable({ kind, id, scope, message: `${kind}/${id} cannot be ${what}: ${why}` })
    )
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * What the store has of the session cannot be read by this program: its format is unknown, or it is damaged. It was set
 * aside, where a person can look at it, see `SnapshotStore.aside`; the next start begins anew.
 *
 * @since 0.1.0
 * @category errors
 */
export class SnapshotUnreadable extends Schema.TaggedError<SnapshotUnreadable>()(
  "SnapshotUnreadable",
  { kind: Schema.String, id: Schema.String, format: Schema.Int, message: Schema.String },
  { httpApiStatus: 500 }
) implements SessionErrorLike {
  static of(kind: string, id: string, format: number, why: string): SnapshotUnreadable {
    return new SnapshotUnreadable({
      kind,
      id,
      format,
      message: `the snapshot of ${kind}/${id} (format ${format}) cannot be read and was set aside: ${why}`
    })
  }
  get httpStatus(): 500 {
    return 500
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * The session is in the store, but its `restore` hook failed, with what is in `defect`. It stays there: the next attempt
 * runs the hook again.
 *
 * @since 0.1.0
 * @category errors
 */
export class RestoreFailed extends Schema.TaggedError<RestoreFailed>()(
  "RestoreFailed",
  { ...Address, defect: Schema.Defect(), message: Schema.String },
  { httpApiStatus: 503 }
) implements SessionErrorLike {
  static of(kind: string, id: string, defect: unknown): RestoreFailed {
    return withoutStack(() =>
      new RestoreFailed({
        kind,
        id,
        defect,
        message: `session ${kind}/${id} could not be restored: ${describe(defect)}`
      })
    )
  }
  get httpStatus(): 503 {
    return 503
  }
  get retrySafe(): boolean {
    return true
  }
}

/**
 * The metadata of a session that is kept in a store has a value that would not come back from there: only what JSON has
 * is kept. Nothing was changed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMetadata extends Schema.TaggedError<InvalidMetadata>()(
  "InvalidMetadata",
  { ...Address, path: Schema.String, message: Schema.String },
  { httpApiStatus: 422 }
) implements SessionErrorLike {
  static of(kind: string, id: string, path: string, what: string): InvalidMetadata {
    return withoutStack(() =>
      new InvalidMetadata({
        kind,
        id,
        path,
        message: `the metadata of ${kind}/${id} cannot be kept: ${path} is ${what}`
      })
    )
  }
  get httpStatus(): 422 {
    return 422
  }
  get retrySafe(): boolean {
    return false
  }
}

/**
 * What reaching a session that is in the store only can fail with. It never means that there is none. Kinds without
 * `snapshots` never do.
 *
 * @since 0.1.0
 * @category models
 */
export type LoadError = StoreUnavailable | SnapshotUnreadable | RestoreFailed

/**
 * What reaching a session can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type ReachError = SessionNotFound | LoadError

/**
 * What `start` can fail with, besides the kind's own declared error.
 *
 * @since 0.1.0
 * @category models
 */
export type StartError =
  | InvalidSessionId
  | SessionLimitReached
  | StartRateExceeded
  | StartFailed
  | StartTimeout
  | SessionsClosed
  | LoadError

/**
 * What `cast` can fail with.
 *
 * @since 0.1.0
 * @category models
 */
export type CastError = ReachError | SessionEnded | MailboxFull | MessageRateExceeded

/**
 * What `call` can fail with, besides the message's own declared error.
 *
 * @since 0.1.0
 * @category models
 */
export type CallError = CastError | SessionCrashed | CallTimeout

/**
 * What `callOnce` can fail with, besides what `call` can.
 *
 * @since 0.1.0
 * @category models
 */
export type OnceError = ActionForgotten | ActionOutOfOrder

/**
 * Every error of this library.
 *
 * @since 0.1.0
 * @category models
 */
export type SessionError =
  | CallError
  | OnceError
  | StartError
  | StartRefused
  | InvalidMessage
  | UnknownKind
  | InvalidConfig

/**
 * Is it one of the errors with which a session cannot be loaded from the store?
 *
 * @since 0.1.0
 * @category guards
 */
export const isLoadError = (error: unknown): error is LoadError =>
  loadErrors.some((loadError) => error instanceof loadError)

const loadErrors = [StoreUnavailable, SnapshotUnreadable, RestoreFailed]

const startErrors = [
  InvalidSessionId,
  SessionLimitReached,
  StartRateExceeded,
  StartFailed,
  StartTimeout,
  SessionsClosed,
  ...loadErrors
]

/**
 * Is it one of the errors with which this library refuses a start, rather than a kind's declared one?
 *
 * @since 0.1.0
 * @category guards
 */
export const isStartError = (error: unknown): error is StartError =>
  startErrors.some((startError) => error instanceof startError)

const callErrors = [
  SessionNotFound,
  SessionEnded,
  MailboxFull,
  MessageRateExceeded,
  SessionCrashed,
  CallTimeout,
  ...loadErrors
]

/**
 * Is it one of the errors of this library with which a call can fail, rather than the message's declared one? They
 * name the session's id: do not show them to strangers where knowing an id grants access.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCallError = (error: unknown): error is CallError =>
  callErrors.some((callError) => error instanceof callError)
