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
import * as EndReason from "./EndReason.ts"
import type { ActionForgotten, ActionOutOfOrder } from "./internal/onceErrors.ts"
import { taggedError } from "./internal/taggedError.ts"

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
export class InvalidSessionId extends taggedError<InvalidSessionId>()("InvalidSessionId", { id: Schema.String }, {
  status: 400,
  retrySafe: false,
  of: (id: unknown) => {
    const text = String(id)
    const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text
    const why = text.length === 0
      ? "it is empty"
      : text.length > 128
      ? `it has ${text.length} characters, at most 128 are allowed`
      : "only letters, digits and . _ ~ : @ - are allowed"
    return { id: shown, message: `${JSON.stringify(shown)} is not a session id: ${why}` }
  }
}) {}

/**
 * No kind of this name is registered: its Layer is missing from the program.
 *
 * @since 0.1.0
 * @category errors
 */
export class UnknownKind extends taggedError<UnknownKind>()("UnknownKind", { kind: Schema.String }, {
  status: 404,
  retrySafe: false,
  of: (kind: string, known: Iterable<string>) => {
    const names = Array.from(known)
    return {
      kind,
      message: `no session kind "${kind}" is registered (known: ${names.length === 0 ? "none" : names.join(", ")})`
    }
  }
}) {}

/**
 * A message or an argument from outside does not fit the kind's schemas.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMessage
  extends taggedError<InvalidMessage>()("InvalidMessage", { kind: Schema.String, tag: Schema.String }, {
    status: 400,
    retrySafe: false
  })
{}

/**
 * As many sessions are live as the configuration allows. Reaching a live session never fails with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionLimitReached
  extends taggedError<SessionLimitReached>()("SessionLimitReached", { limit: Schema.Number }, {
    status: 503,
    retrySafe: true,
    of: (limit: number) => ({ limit, message: `the limit of ${limit} live sessions is reached` })
  })
{}

/**
 * Too many sessions were started lately. `retryAfter` is in milliseconds. Reaching a live session
 * never fails with it.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartRateExceeded extends taggedError<StartRateExceeded>()("StartRateExceeded", {
  limit: Schema.Number,
  window: Schema.Number,
  retryAfter: Schema.Number
}, {
  status: 429,
  retrySafe: true,
  of: (limit: number, window: number, retryAfter: number, scope = "all starts") => ({
    limit,
    window,
    retryAfter,
    message: `more than ${limit} sessions in ${window / 1000} s (${scope}), try again in ${
      Math.ceil(retryAfter / 1000)
    } s`
  })
}) {}

/**
 * The session got more messages than its rate allows. `retryAfter` is in milliseconds. The message
 * was not accepted.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageRateExceeded
  extends taggedError<MessageRateExceeded>()("MessageRateExceeded", { ...Address, retryAfter: Schema.Number }, {
    status: 429,
    retrySafe: true,
    of: (kind: string, id: string, retryAfter: number) => ({
      kind,
      id,
      retryAfter,
      message: `session ${kind}/${id} gets more messages than its rate allows, try again in ${Math.ceil(retryAfter)} ms`
    })
  })
{}

/**
 * No live session has this id.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionNotFound extends taggedError<SessionNotFound>()("SessionNotFound", { ...Address }, {
  status: 404,
  retrySafe: true,
  of: (kind: string, id: string) => ({ kind, id, message: `no session ${kind}/${id} is live: start it first` })
}) {}

/**
 * The session ended after it had accepted the message and before it answered. `begun` tells whether
 * its handler had begun: when it had not, sending the message again is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionEnded extends taggedError<SessionEnded>()("SessionEnded", {
  ...Address,
  reason: EndReason.EndReason,
  begun: Schema.Boolean
}, {
  status: 410,
  retrySafe: (error) => !error.begun,
  of: (kind: string, id: string, reason: EndReason.EndReason, begun: boolean) => ({
    kind,
    id,
    reason,
    begun,
    message: `session ${kind}/${id} ended: ${EndReason.format(reason)}`
  })
}) {}

/**
 * The handler of this message died of a defect. The session's supervision goes on by its policy; the
 * message is in the dead letters and is not replayed.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionCrashed
  extends taggedError<SessionCrashed>()("SessionCrashed", { ...Address, tag: Schema.String, defect: Schema.Defect() }, {
    status: 500,
    retrySafe: false,
    of: (kind: string, id: string, tag: string, defect: unknown) => ({
      kind,
      id,
      tag,
      defect,
      message: `session ${kind}/${id} crashed while handling ${tag}: ${describe(defect)}`
    })
  })
{}

/**
 * The session could not be started: its `init` died of a defect.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartFailed extends taggedError<StartFailed>()("StartFailed", { ...Address, defect: Schema.Defect() }, {
  status: 500,
  retrySafe: false,
  of: (kind: string, id: string, defect: unknown) => ({
    kind,
    id,
    defect,
    message: `session ${kind}/${id} could not start: ${describe(defect)}`
  })
}) {}

/**
 * The session's `init` or `restore` took longer than the kind's `startTimeout` and was interrupted. What the store has of
 * the session is untouched.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartTimeout extends taggedError<StartTimeout>()("StartTimeout", { ...Address, timeout: Schema.Number }, {
  status: 504,
  retrySafe: true,
  of: (kind: string, id: string, timeout: number) => ({
    kind,
    id,
    timeout,
    message: `session ${kind}/${id} did not start within ${timeout} ms: its start was interrupted`
  })
}) {}

/**
 * The kind's `init` refused the start with its declared error, which is in `error`. Only where the kind is
 * known by its name; typed starts fail with the declared error itself.
 *
 * @since 0.1.0
 * @category errors
 */
export class StartRefused extends taggedError<StartRefused>()("StartRefused", { ...Address, error: Schema.Defect() }, {
  status: 422,
  retrySafe: false,
  of: (kind: string, id: string, error: unknown) => ({
    kind,
    id,
    error,
    message: `session ${kind}/${id} refused to start: ${describe(error)}`
  })
}) {}

/**
 * No answer within the call's deadline. `begun` tells whether the handler had begun: when it had not,
 * the message is skipped and sending it again is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class CallTimeout extends taggedError<CallTimeout>()("CallTimeout", {
  ...Address,
  tag: Schema.String,
  timeout: Schema.Number,
  begun: Schema.Boolean
}, {
  status: 504,
  retrySafe: (error) => !error.begun,
  of: (kind: string, id: string, tag: string, timeout: number, begun: boolean) => ({
    kind,
    id,
    tag,
    timeout,
    begun,
    message: `session ${kind}/${id} did not answer ${tag} within ${timeout} ms${
      begun ? ", its handler goes on" : ": the message was skipped"
    }`
  })
}) {}

/**
 * The mailbox is full and the message's overflow policy does not wait, or the message was dropped for
 * a newer one of its kind. It was not handled.
 *
 * @since 0.1.0
 * @category errors
 */
export class MailboxFull
  extends taggedError<MailboxFull>()("MailboxFull", { ...Address, tag: Schema.String, capacity: Schema.Number }, {
    status: 503,
    retrySafe: true,
    of: (kind: string, id: string, tag: string, capacity: number) => ({
      kind,
      id,
      tag,
      capacity,
      message: `the mailbox of session ${kind}/${id} is full (${capacity} messages): ${tag} was not handled`
    })
  })
{}

/**
 * The sessions' Layer is closing or closed: nothing new is accepted.
 *
 * @since 0.1.0
 * @category errors
 */
export class SessionsClosed extends taggedError<SessionsClosed>()("SessionsClosed", {}, {
  status: 503,
  retrySafe: true,
  of: () => ({ message: "the sessions are shutting down: nothing new is accepted" })
}) {}

/**
 * A setting is not usable. Raised when a Layer is built, before anything runs.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidConfig
  extends taggedError<InvalidConfig>()("InvalidConfig", { setting: Schema.String }, { status: 500, retrySafe: false })
{}

/**
 * The store did not do what it was asked for: it is down or too slow. With the `scope` `"key"`, it cannot do it for
 * this session only, for example because the key by which the snapshot was encrypted is missing.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreUnavailable extends taggedError<StoreUnavailable>()("StoreUnavailable", {
  kind: Schema.String,
  id: Schema.String,
  scope: Schema.Literals(["store", "key"])
}, {
  status: 503,
  retrySafe: true,
  of: (
    kind: string,
    id: string,
    why: string,
    { scope = "store", what = "loaded" }: {
      readonly scope?: "store" | "key" | undefined
      readonly what?: string | undefined
    } = {}
  ) => ({ kind, id, scope, message: `${kind}/${id} cannot be ${what}: ${why}` })
}) {}

/**
 * This program cannot read the stored snapshot of the session: its format is unknown, or it is damaged. The snapshot was
 * moved into the quarantine, where a person can look at it: see `Sessions.quarantined`. The next start begins anew.
 *
 * @since 0.1.0
 * @category errors
 */
export class SnapshotUnreadable extends taggedError<SnapshotUnreadable>()("SnapshotUnreadable", {
  kind: Schema.String,
  id: Schema.String,
  format: Schema.Int
}, {
  status: 500,
  retrySafe: false,
  of: (kind: string, id: string, format: number, why: string) => ({
    kind,
    id,
    format,
    message: `the snapshot of ${kind}/${id} (format ${format}) cannot be read and was quarantined: ${why}`
  })
}) {}

/**
 * The session is in the store, but its `restore` hook failed, with what is in `defect`. It stays there: the next attempt
 * runs the hook again.
 *
 * @since 0.1.0
 * @category errors
 */
export class RestoreFailed
  extends taggedError<RestoreFailed>()("RestoreFailed", { ...Address, defect: Schema.Defect() }, {
    status: 503,
    retrySafe: true,
    of: (kind: string, id: string, defect: unknown) => ({
      kind,
      id,
      defect,
      message: `session ${kind}/${id} could not be restored: ${describe(defect)}`
    })
  })
{}

/**
 * No node of the cluster answers for the session: its place has no owner yet, its owner cannot be reached, or the owner runs
 * another version of the program, which does not know the message. Nothing was done. Only in a cluster.
 *
 * @since 0.1.0
 * @category errors
 */
export class NodeUnavailable extends taggedError<NodeUnavailable>()("NodeUnavailable", { ...Address }, {
  status: 503,
  retrySafe: true,
  of: (kind: string, id: string, why?: string) => ({
    kind,
    id,
    message: `no node of the cluster answers for session ${kind}/${id} now${why === undefined ? "" : `: ${why}`}`
  })
}) {}

/**
 * The node that owned the session was lost after the message was sent to it, and before it answered. Whether the message was
 * handled is not known. Only in a cluster. `callOnce` is retried instead.
 *
 * @since 0.1.0
 * @category errors
 */
export class NodeLost extends taggedError<NodeLost>()("NodeLost", { ...Address, tag: Schema.String }, {
  status: 504,
  retrySafe: false,
  of: (kind: string, id: string, tag: string) => ({
    kind,
    id,
    tag,
    message: `the node of session ${kind}/${id} was lost: whether it handled ${tag} is not known`
  })
}) {}

/**
 * The metadata of a stored session has a value that is not JSON and would not come back from the store. Nothing was
 * changed.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidMetadata
  extends taggedError<InvalidMetadata>()("InvalidMetadata", { ...Address, path: Schema.String }, {
    status: 422,
    retrySafe: false,
    of: (kind: string, id: string, path: string, what: string) => ({
      kind,
      id,
      path,
      message: `the metadata of ${kind}/${id} cannot be stored: ${path} is ${what}`
    })
  })
{}

/**
 * What reaching a session that is in the store only, or on another node, can fail with. It never means that there is none.
 * Kinds without `snapshots` never do in one process.
 *
 * @since 0.1.0
 * @category models
 */
export type LoadError = StoreUnavailable | SnapshotUnreadable | RestoreFailed | NodeUnavailable

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
export type CastError = ReachError | SessionEnded | MailboxFull | MessageRateExceeded | NodeLost

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
 * Is it one of the errors with which a session cannot be reached, although there may be one?
 *
 * @since 0.1.0
 * @category guards
 */
export const isLoadError = (error: unknown): error is LoadError =>
  loadErrors.some((loadError) => error instanceof loadError)

const loadErrors = [StoreUnavailable, SnapshotUnreadable, RestoreFailed, NodeUnavailable]

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
  NodeLost,
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
