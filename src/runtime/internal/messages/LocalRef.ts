/**
 * The address of a session in this process.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Equivalence from "effect/Equivalence"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import * as EndReason from "../../../contract/EndReason.ts"
import {
  CallTimeout,
  type InvalidMetadata,
  type LoadError,
  type ReachError,
  SessionEnded,
  SessionNotFound
} from "../../../contract/SessionError.ts"
import type {
  CallOptions,
  EndOptions,
  Identity,
  OnceOptions,
  SessionInfo,
  SessionRef,
  VersionedState,
  Watcher
} from "../../../contract/SessionRef.ts"
import { observed } from "../../../store/internal/observed.ts"
import type { Kind } from "../host/Kind.ts"
import { emit } from "../session/events.ts"
import { checkIdleTimeout } from "../session/idleTimeout.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { restoreError } from "../session/starting.ts"
import { ending, starting } from "../session/status.ts"
import { callOnce } from "./callOnce.ts"
import { Call, Cast, castUnsafe, type Target } from "./deliver.ts"
import type { CastRequest, Message } from "./Request.ts"

export class LocalRef implements SessionRef<any, any>, Target {
  readonly home: Kind
  readonly id: string
  /** The last session found under this address; looked up again once it has ended. */
  private session: LiveSession | undefined

  constructor(home: Kind, id: string, session: LiveSession | undefined) {
    this.home = home
    this.id = id
    this.session = session
  }

  get kind(): string {
    return this.home.name
  }

  /** The session that is live under this address now. */
  live(now: number): LiveSession | undefined {
    let { session } = this
    if (session === undefined || session.status >= ending) {
      session = this.session = this.home.sessions.get(this.id)
      if (session === undefined) return undefined
    }
    return session.isLive(now) ? session : undefined
  }

  call(tag: string, payload?: unknown, options?: CallOptions): Effect.Effect<any, any> {
    const timeout = options?.timeout
    return new Call(this, tag, payload, timeout === undefined ? this.home.callTimeout : Duration.toMillis(timeout))
  }

  callOnce(tag: string, payload: unknown, options: OnceOptions): Effect.Effect<any, any> {
    const { timeout } = options
    const millis = timeout === undefined ? this.home.callTimeout : Duration.toMillis(timeout)
    return callOnce(this, tag, payload, millis, options)
  }

  cast(tag: string, payload?: unknown): Effect.Effect<void, any> {
    return new Cast(this, tag, payload)
  }

  castUnsafe(tag: string, payload?: unknown): boolean {
    return castUnsafe(this, tag, payload)
  }

  /** The session once it has started. */
  private ready(): Effect.Effect<LiveSession, ReachError> {
    return Effect.suspend(() => {
      const session = this.live(this.home.host.now())
      if (session === undefined) return this.elsewhere(this.ready())
      if (session.status !== starting) return Effect.succeed(session)
      return Effect.mapBoth(session.whenStarted(), {
        onFailure: (error) => session.restores ? restoreError(this.kind, this.id, error) : this.notFound(),
        onSuccess: () => session
      })
    })
  }

  private notFound(): SessionNotFound {
    return SessionNotFound.of(this.kind, this.id)
  }

  /**
   * Loads the session if it is in the store, then runs `then`; fails with `SessionNotFound` otherwise. The `message` for which
   * it does so may have a time limit.
   */
  elsewhere<A, E>(then: Effect.Effect<A, E>, message?: CastRequest): Effect.Effect<A, E | ReachError>
  elsewhere<A, E>(then: Effect.Effect<A, E>, message: Message): Effect.Effect<A, E | ReachError | CallTimeout>
  elsewhere<A, E>(then: Effect.Effect<A, E>, message?: Message): Effect.Effect<A, E | ReachError | CallTimeout> {
    const { home, id, kind } = this
    // An end hook cannot wait for its own end. This check comes first, since a timeout would run in another fiber.
    const isOwnEnd = home.sessions.get(id)?.isRunBy(Fiber.getCurrent()) === true
    if (home.persistence === undefined || isOwnEnd) return Effect.fail(this.notFound())
    const found: Effect.Effect<boolean, LoadError | CallTimeout> = message === undefined || message.op === "cast"
      ? home.activator.activate(id)
      : Effect.timeoutOrElse(home.activator.activate(id), {
        duration: message.timeout,
        orElse: () => {
          home.counters.timeouts++
          return Effect.fail(CallTimeout.of(kind, id, message.tag, message.timeout, false))
        }
      })
    return Effect.flatMap(
      found,
      (found): Effect.Effect<A, E | SessionNotFound> => found ? then : Effect.fail(this.notFound())
    )
  }

  failed<A, E>(exit: Exit.Exit<A, E>, _again: Effect.Effect<A, E>, _message: Message): Effect.Effect<A, E> {
    return exit
  }

  get state(): Effect.Effect<any, ReachError> {
    return Effect.map(this.ready(), (session) => session.state)
  }

  changes(
    select?: (state: any) => any,
    options?: { readonly equivalence?: Equivalence.Equivalence<any> | undefined }
  ): Stream.Stream<any, ReachError | SessionEnded> {
    const equivalence = options?.equivalence ?? Object.is
    return Stream.callback<any, ReachError | SessionEnded>(
      (queue) =>
        Effect.flatMap(this.ready(), (session) =>
          Effect.acquireRelease(
            Effect.sync(() => session.watch(watcher(queue, session, select ?? same, equivalence))),
            (unwatch) => Effect.sync(unwatch)
          )),
      { bufferSize: 1, strategy: "sliding" }
    ).pipe(
      // A reader that missed a change and its reversal has seen no change.
      Stream.changesWith(equivalence)
    )
  }

  watch(watcher: Watcher<any>): Effect.Effect<VersionedState<any>, ReachError, Scope.Scope> {
    return Effect.flatMap(this.ready(), (session) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => session.watch(guarded(session, watcher))),
          (unwatch) => Effect.sync(unwatch)
        ),
        () => ({ state: session.state, epoch: session.epoch, version: session.version })
      ))
  }

  get subscriptionRef(): Effect.Effect<SubscriptionRef.SubscriptionRef<any>, ReachError> {
    return Effect.flatMap(this.ready(), (session) => session.subscriptionRef())
  }

  get awaitEnd(): Effect.Effect<EndReason.EndReason, ReachError> {
    return Effect.flatMap(this.ready(), (session) => session.awaitEnd())
  }

  end(options?: EndOptions): Effect.Effect<boolean, LoadError> {
    return Effect.suspend(() => {
      const { persistence, sessions } = this.home
      const session = sessions.get(this.id)
      if (session === undefined) return persistence === undefined ? Effect.succeed(false) : this.endStored(options)
      const was = session.isLive(this.home.host.now())
      session.end(options?.reason ?? EndReason.stopped(), options?.drain ?? true)
      // A handler that ends its own session cannot wait for the end, which waits for the handler.
      if (session.isRunBy(Fiber.getCurrent())) {
        session.writeAhead()
        return Effect.succeed(was)
      }
      return Effect.andThen(
        session.awaitEnd(),
        persistence === undefined ? Effect.succeed(was) : Effect.as(persistence.settledInTime(this.id), was)
      )
    })
  }

  /** Ends a session that is in the store only: loads it, so that its end hook runs, or removes it if that is impossible. */
  private endStored(options: EndOptions | undefined): Effect.Effect<boolean, LoadError> {
    const { host, persistence } = this.home
    const discard = Effect.suspend(() => persistence!.loader.discard(this.id))
    const load = Effect.matchEffect(this.home.activator.activate(this.id), {
      // What cannot be restored is removed; but not because nobody knows, or because it is another node's.
      onFailure: (error) =>
        error._tag !== "SnapshotUnreadable" && error._tag !== "RestoreFailed" &&
          !(error._tag === "StoreUnavailable" && error.scope === "key")
          ? Effect.fail(error)
          : discard,
      onSuccess: (found) => found ? this.end(options) : Effect.succeed(false)
    })
    return Effect.suspend(() => host.isFull() ? discard : load)
  }

  get touch(): Effect.Effect<void, ReachError> {
    return this.change((session, now) => session.host.expiry.touch(session, now))
  }

  setIdleTimeout(timeout: Duration.Input): Effect.Effect<void, ReachError> {
    return this.change((session, now) => session.setIdleTimeout(checkIdleTimeout(timeout), now))
  }

  setUser(user: string | undefined): Effect.Effect<void, ReachError> {
    // A change without metadata cannot fail with `InvalidMetadata`.
    return Effect.asVoid(Effect.catchTag(this.identify({ user }), "InvalidMetadata", Effect.die))
  }

  setMetadata(
    metadata: Readonly<Record<string, unknown>>,
    options?: { readonly durable?: boolean | undefined }
  ): Effect.Effect<void, ReachError | InvalidMetadata> {
    return options?.durable === false ? this.note(metadata) : Effect.asVoid(this.identify({ metadata }))
  }

  /** Adds to the metadata. The save policy decides when that is written. */
  note(metadata: Readonly<Record<string, unknown>>): Effect.Effect<void, ReachError | InvalidMetadata> {
    return Effect.suspend((): Effect.Effect<void, ReachError | InvalidMetadata> => {
      const invalid = this.home.checkMetadata(this.id, metadata)
      return invalid === undefined ? this.change((session) => session.setMetadata(metadata)) : Effect.fail(invalid)
    })
  }

  compareAndSet(
    expected: Readonly<Record<string, unknown>>,
    change: Partial<Identity>
  ): Effect.Effect<boolean, ReachError | InvalidMetadata> {
    return this.identify(change, expected)
  }

  /** Changes user and metadata, and waits until that is written. Reverts the change if it cannot be written. */
  identify(
    change: Partial<Identity>,
    expected: Readonly<Record<string, unknown>> = {}
  ): Effect.Effect<boolean, ReachError | InvalidMetadata> {
    return Effect.suspend((): Effect.Effect<boolean, ReachError | InvalidMetadata> => {
      const { persistence } = this.home
      if (persistence === undefined) {
        return this.change((session) => session.hasMetadata(expected) && (session.identify(change), true))
      }
      const invalid = this.home.checkMetadata(this.id, change.metadata)
      if (invalid !== undefined) return Effect.fail(invalid)
      return Effect.flatMap(this.ready(), (session) => {
        if (!session.hasMetadata(expected)) return Effect.succeed(false)
        const undo = session.identify(change)
        // A change by its own handler is written before the reply of that handler is sent.
        if (session.isRunBy(Fiber.getCurrent())) {
          session.writeAhead()
          return Effect.succeed(true)
        }
        return Effect.as(persistence.saveInTime(session, undo), true)
      })
    })
  }

  get attach(): Effect.Effect<void, ReachError, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      this.change((session, now) => session.attach(now)),
      (detach) => Effect.sync(detach)
    ))
  }

  private change<A>(f: (session: LiveSession, now: number) => A): Effect.Effect<A, ReachError> {
    return Effect.suspend(() => {
      const now = this.home.host.now()
      const session = this.live(now)
      return session === undefined ? this.elsewhere(this.change(f)) : Effect.succeed(f(session, now))
    })
  }

  get isLive(): Effect.Effect<boolean, LoadError> {
    return Effect.suspend(() =>
      this.live(this.home.host.now()) !== undefined ? Effect.succeed(true) : this.home.activator.activate(this.id)
    )
  }

  get info(): Effect.Effect<SessionInfo<any>, ReachError> {
    return this.change((session) => session.info())
  }
}

const same = (state: unknown): unknown => state

/**
 * Compares the selection at each change and offers each new value to the queue, which holds the newest only. A selector that
 * throws ends its own stream with the defect, and no other.
 */
const watcher = (
  queue: Queue.Queue<unknown, any>,
  session: LiveSession,
  select: (state: unknown) => unknown,
  equivalence: Equivalence.Equivalence<unknown>
) => {
  let last: unknown = none
  const changed = (state: unknown) => {
    try {
      const { events } = session.host
      const value = events.active ? observed(select, state, (event) => emit(session, event)) : select(state)
      if (last !== none && equivalence(last, value)) return
      last = value
      Queue.offerUnsafe(queue, value)
    } catch (defect) {
      Queue.failCauseUnsafe(queue, Cause.die(defect))
    }
  }
  changed(session.state)
  return {
    changed,
    ended: (reason: EndReason.EndReason) =>
      Queue.failCauseUnsafe(queue, Cause.fail(SessionEnded.of(session.kind.name, session.id, reason, false)))
  }
}

const none = Symbol()

/** Catches what the callbacks throw: a bug of a watcher must not affect the session. */
const guarded = (session: LiveSession, watcher: Watcher<any>): Watcher<any> => {
  const failed = (defect: unknown) => {
    session.kind.runFork(Effect.logError(`a watcher of session ${session.kind.name}/${session.id} threw`, defect))
  }
  return {
    ...(watcher.changed !== undefined && {
      changed: (state, version, epoch) => {
        try {
          watcher.changed?.(state, version, epoch)
        } catch (defect) {
          failed(defect)
        }
      }
    }),
    ...(watcher.identified !== undefined && {
      identified: (identity) => {
        try {
          watcher.identified?.(identity)
        } catch (defect) {
          failed(defect)
        }
      }
    }),
    ended: (reason) => {
      try {
        watcher.ended(reason)
      } catch (defect) {
        failed(defect)
      }
    }
  }
}
