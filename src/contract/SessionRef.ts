/**
 * The address of a session.
 *
 * A ref names a session by kind and id and sends it messages. It is not a pointer: it stays valid
 * when the session restarts after a crash, when it ends and is started again under the same id, and
 * when it lives elsewhere. Refs are cheap; keep them or look them up each time, as you like.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Equivalence from "effect/Equivalence"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import type { EndReason } from "./EndReason.ts"
import type {
  CallError,
  CastError,
  InvalidMetadata,
  LoadError,
  OnceError,
  ReachError,
  SessionEnded
} from "./SessionError.ts"

/**
 * The tags of a protocol.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Tag<Protocol extends Rpc.Any> = Protocol["_tag"]

/**
 * The message of a protocol that has this tag.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Message<Protocol extends Rpc.Any, T extends string> = Extract<Protocol, { readonly _tag: T }>

/**
 * The payload argument of a message: none when its payload is void.
 *
 * @since 0.1.0
 * @category utility types
 */
export type PayloadArg<R extends Rpc.Any> = void extends Rpc.Payload<R> ? [payload?: Rpc.Payload<R>]
  : [payload: Rpc.Payload<R>]

/**
 * Options of one call.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** How long to wait for the answer, the wait for room in the mailbox included. Default: the kind's `callTimeout`. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Names an action of a client, so that sending it again does not do it again: see `SessionRef.callOnce`.
 *
 * @since 0.1.0
 * @category models
 */
export interface OnceOptions extends CallOptions {
  /** Names the client; random, so that no two have the same. At most 64 characters. */
  readonly client: string
  /** Counts the client's actions: 1, 2, 3, … */
  readonly sequence: number
  /** Was it sent before? */
  readonly again?: boolean | undefined
  /** The incarnation of the session to which it was sent first, if the client knows. */
  readonly epoch?: number | undefined
  /**
   * How many actions that incarnation had accepted, as far as the client knew when it first sent this one: see
   * `SessionInfo.accepted`. It proves of an action that is sent again that it was not handled where the session has forgotten
   * other clients meanwhile.
   */
  readonly accepted?: number | undefined
}

/**
 * Options of ending a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndOptions {
  /** Why it ends. Default: `Stopped`. */
  readonly reason?: EndReason | undefined
  /**
   * `true` (default): messages accepted so far are handled first, within the grace period. `false`: the
   * running handler is interrupted, waiting callers get `SessionEnded`, waiting casts become dead letters.
   */
  readonly drain?: boolean | undefined
}

/**
 * What an operator sees of a live session.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionInfo<State = unknown> {
  readonly kind: string
  readonly id: string
  readonly status: "starting" | "running" | "hibernating" | "recovering" | "ending"
  readonly state: State
  /** The incarnation: grows each time the session starts or is reset. */
  readonly epoch: number
  /** How often the state changed in this incarnation; -1 while it has none of its own yet. */
  readonly version: number
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds since 1970. */
  readonly lastActiveAt: number
  /** Milliseconds since 1970; `undefined` when it never expires. */
  readonly expiresAt: number | undefined
  /** When it ends whatever its activity, in milliseconds since 1970; `undefined` when it may stay for ever. */
  readonly endsAt: number | undefined
  /** Messages that wait in the mailbox. */
  readonly mailbox: number
  /** Crashes since the session started. */
  readonly crashes: number
  /** Streams and subscriptions that watch its state. */
  readonly watchers: number
  /** Clients that are connected: see `attach`. */
  readonly connections: number
  /** How many answers it remembers of each client: see `callOnce`. */
  readonly remembers: number
  /** How many actions of `callOnce` it has accepted since it was started or loaded: see `OnceOptions.accepted`. */
  readonly accepted: number
  readonly user: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
}

/**
 * What a visitor's request needs to know of a session: all but its state.
 *
 * @since 0.1.0
 * @category models
 */
export type ReachedInfo = Omit<SessionInfo, "state">

/**
 * A session that was found for a visitor with a credential: see `SessionKind.reach`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reached<in out State, in out Protocol extends Rpc.Any> {
  readonly session: SessionRef<State, Protocol>
  readonly info: ReachedInfo
}

/**
 * Callbacks that follow a session's state: see `SessionRef.watch`. They run in the stack of whatever changed the
 * session, so they should only note what happened. What they throw is logged.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watcher<in State> {
  /** The state has changed. Called for each change, in order. */
  readonly changed?: (state: State, version: number, epoch: number) => void
  /** Its user or its metadata have changed, or were set anew: what depended on them is to be looked at again. */
  readonly identified?: (identity: Identity) => void
  /** The session has ended; nothing comes after it. */
  readonly ended: (reason: EndReason) => void
}

/**
 * Whose a session is, and what is noted about it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  readonly user: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
}

/**
 * A state and when it was that.
 *
 * @since 0.1.0
 * @category models
 */
export interface VersionedState<out State> {
  readonly state: State
  /** The incarnation: grows each time the session starts or is reset. */
  readonly epoch: number
  /** How often the state had changed in this incarnation; -1 while it has none of its own yet. */
  readonly version: number
}

/**
 * The address of a session of one kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionRef<in out State, in out Protocol extends Rpc.Any> {
  readonly kind: string
  readonly id: string

  /**
   * Sends a message and waits for its answer.
   *
   * Fails with the message's own declared error, with `SessionNotFound` when nothing is live under this
   * address, with a `LoadError` when it is in a store and cannot be loaded from there, `CallTimeout` when no answer comes in time (default 5 s), `SessionCrashed` when the handler
   * dies, `SessionEnded` when the session ends first, `MailboxFull` and `MessageRateExceeded` when the
   * message was not accepted. Interrupting the caller withdraws a message that has not begun.
   */
  call<const T extends Tag<Protocol>>(
    tag: T,
    ...args: [...payload: PayloadArg<Message<Protocol, T>>, options?: CallOptions]
  ): Effect.Effect<Rpc.Success<Message<Protocol, T>>, Rpc.Error<Message<Protocol, T>> | CallError>

  /**
   * `call` for clients whose connection may break before the reply comes. A client that sends an action again, under
   * the same client name and sequence number, gets the reply that the action had, or has once it is handled. Actions
   * are handled in the order of their numbers.
   *
   * The session remembers the last replies of its latest clients: see `KindOptions.remember`. Beyond that, the call
   * fails with `ActionForgotten`, because it is unknown whether the action took effect. So does an action that was
   * sent before (`again`) to an incarnation (`epoch`) whose replies are lost, or by an unknown client, unless no
   * client was forgotten since (`accepted`). A reset keeps the replies, and so does a stored session.
   *
   * An action that comes before its turn fails with `ActionOutOfOrder`. So does an action of a forgotten client that
   * was certainly not handled: the client begins again with 1 under a new name. An action that the session did not
   * accept (`MailboxFull`, `MessageRateExceeded`) leaves its number free; it neither waits for room nor is dropped
   * for a newer one. Interrupting the caller does not withdraw the action.
   */
  callOnce<const T extends Tag<Protocol>>(
    tag: T,
    payload: Rpc.Payload<Message<Protocol, T>>,
    options: OnceOptions
  ): Effect.Effect<Rpc.Success<Message<Protocol, T>>, Rpc.Error<Message<Protocol, T>> | CallError | OnceError>

  /**
   * Sends a message and returns when the mailbox has accepted it. Its answer is dropped; a failure of its
   * handler becomes an event.
   */
  cast<const T extends Tag<Protocol>>(
    tag: T,
    ...payload: PayloadArg<Message<Protocol, T>>
  ): Effect.Effect<void, CastError>

  /**
   * `cast` for callers outside Effect: `true` if the mailbox accepted the message. It never waits. It refuses a
   * message whose policy is to wait when the mailbox is full, and a message to a session that is only in the store,
   * which it does not load.
   */
  castUnsafe<const T extends Tag<Protocol>>(tag: T, ...payload: PayloadArg<Message<Protocol, T>>): boolean

  /**
   * The committed state, read at once without passing through the mailbox. Does not count as activity.
   */
  readonly state: Effect.Effect<State, ReachError>

  /**
   * The selected part of the state: its value at once, then each time it changed. Values are distinct and
   * conflated: a slow reader skips to the newest. The stream goes on over crashes and resets, and fails
   * with `SessionEnded` and its reason when the session ends.
   */
  changes(): Stream.Stream<State, ReachError | SessionEnded>
  changes<A>(
    select: (state: State) => A,
    options?: { readonly equivalence?: Equivalence.Equivalence<A> | undefined }
  ): Stream.Stream<A, ReachError | SessionEnded>

  /**
   * Follows the state with callbacks for as long as the Scope lives: what the edges build on, at a hundredth of the
   * cost of a stream. Gives the state from which the first change goes on.
   */
  watch(watcher: Watcher<State>): Effect.Effect<VersionedState<State>, ReachError, Scope.Scope>

  /**
   * The state as a `SubscriptionRef`, for code that wants one. The session is its only writer: what others
   * set in it is overwritten by the next change. It stays at the last value when the session ends.
   */
  readonly subscriptionRef: Effect.Effect<SubscriptionRef.SubscriptionRef<State>, ReachError>

  /** Waits for the end of the session and gives its reason. */
  readonly awaitEnd: Effect.Effect<EndReason, ReachError>

  /**
   * Ends the session and waits until it has ended, and, if it is stored, until the store has recorded it. Returns
   * `false` if there was none. A session that is only in the store is restored first, so that its end hook runs; if
   * it cannot be restored, it is removed.
   *
   * Fails with `StoreUnavailable` if the store does not record the end. The session has then ended in this process,
   * and the store is updated as soon as possible. If the process dies before, the session comes back. Ending it again
   * is safe.
   */
  end(options?: EndOptions): Effect.Effect<boolean, LoadError>

  /** Counts as activity: moves the idle deadline. */
  readonly touch: Effect.Effect<void, ReachError>

  /** Replaces this session's idle timeout, counted from now. */
  setIdleTimeout(timeout: Duration.Input): Effect.Effect<void, ReachError>

  /**
   * Sets the user to whom the session belongs; `undefined` for none. If the session is stored, the user is written
   * before this returns, whatever the kind's save policy, so that no crash takes it back. If it cannot be written
   * now, this fails with `StoreUnavailable` and changes nothing.
   */
  setUser(user: string | undefined): Effect.Effect<void, ReachError>

  /**
   * Adds to the metadata. It is written before this returns, like the user of `setUser`, unless `durable` is `false`:
   * then the kind's save policy decides. Fails with `InvalidMetadata` if the session is stored and the metadata is
   * not JSON.
   */
  setMetadata(
    metadata: Readonly<Record<string, unknown>>,
    options?: { readonly durable?: boolean | undefined }
  ): Effect.Effect<void, ReachError | InvalidMetadata>

  /**
   * Adds to the metadata, and names the user if `change` has one (`undefined`: nobody), as long as the metadata still has
   * the `expected` values; gives whether it has. It is one step: of two that expect the same, one finds it changed. It is
   * written before this returns, as what `setUser` changes.
   */
  compareAndSet(
    expected: Readonly<Record<string, unknown>>,
    change: Partial<Identity>
  ): Effect.Effect<boolean, ReachError | InvalidMetadata>

  /**
   * A client is connected to the session for as long as the Scope lives. Counts as activity. When the last one goes,
   * a kind with a `reconnectWindow` waits that long for one to come back, and ends with `Disconnected`.
   */
  readonly attach: Effect.Effect<void, ReachError, Scope.Scope>

  /** Is there a session under this address, in memory or in the store? */
  readonly isLive: Effect.Effect<boolean, LoadError>

  /** What an operator sees of the session. Does not count as activity. */
  readonly info: Effect.Effect<SessionInfo<State>, ReachError>
}

/**
 * A ref of any kind.
 *
 * @since 0.1.0
 * @category models
 */
export type Any = SessionRef<any, any>
