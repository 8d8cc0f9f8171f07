/**
 * The address of a session in this process.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Equivalence from "effect/Equivalence"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as SubscriptionRef from "effect/SubscriptionRef"
import * as EndReason from "../../contract/EndReason.ts"
import { CallTimeout, isLoadError, type LoadError, SessionEnded, SessionNotFound } from "../../contract/SessionError.ts"
import type {
  CallOptions,
  EndOptions,
  Identity,
  OnceOptions,
  SessionInfo,
  SessionRef,
  Snapshot,
  Watcher
} from "../../contract/SessionRef.ts"
import { Call, Cast, castUnsafe } from "./deliver.ts"
import { checkIdleTimeout } from "./idleTimeout.ts"
import type { Kind } from "./Kind.ts"
import type { LiveSession } from "./LiveSession.ts"
import { callOnce } from "./once.ts"
import { ending, starting } from "./status.ts"

export class LocalRef implements SessionRef<any, any> {
  readonly runtime: Kind
  readonly id: string
  /** The session that was live here last; looked up again when that has ended. */
  private session: LiveSession | undefined

  constructor(runtime: Kind, id: string, session: LiveSession | undefined) {
    this.runtime = runtime
    this.id = id
    this.session = session
  }

  get kind(): string {
    return this.runtime.name
  }

  /** The session that is live under this address now. */
  live(now: number): LiveSession | undefined {
    let { session } = this
    if (session === undefined || session.status >= ending) {
      session = this.session = this.runtime.sessions.get(this.id)
      if (session === undefined) return undefined
    }
    return session.isLive(now) ? session : undefined
  }

  call(tag: string, payload?: unknown, options?: CallOptions): Effect.Effect<any, any> {
    const timeout = options?.timeout
    return new Call(this, tag, payload, timeout === undefined ? this.runtime.callTimeout : Duration.toMillis(timeout))
  }

  callOnce(tag: string, payload: unknown, options: OnceOptions): Effect.Effect<any, any> {
    const { timeout } = options
    const millis = timeout === undefined ? this.runtime.callTimeout : Duration.toMillis(timeout)
    return callOnce(this, tag, payload, millis, options)
  }

  cast(tag: string, payload?: unknown): Effect.Effect<void, any> {
    return new Cast(this, tag, payload)
  }

  castUnsafe(tag: string, payload?: unknown): boolean {
    return castUnsafe(this, tag, payload)
  }

  /** The session once it has started. */
  private ready(): Effect.Effect<LiveSession, SessionNotFound> {
    return Effect.suspend(() => {
      const session = this.live(this.runtime.hub.now())
      if (session === undefined) {
        return Effect.catchIf(this.elsewhere(this.ready()), isLoadError, () => Effect.fail(this.notFound()))
      }
      return session.status === starting
        ? Effect.mapBoth(session.whenStarted(), { onFailure: () => this.notFound(), onSuccess: () => session })
        : Effect.succeed(session)
    })
  }

  private notFound(): SessionNotFound {
    return SessionNotFound.of(this.kind, this.id)
  }

  /** Loads the session if it is in the store, and then does this; else there is none. A call waits so long for that. */
  elsewhere<A, E>(then: Effect.Effect<A, E>): Effect.Effect<A, E | SessionNotFound | LoadError>
  elsewhere<A, E>(
    then: Effect.Effect<A, E>,
    call: { readonly tag: string; readonly timeout: number }
  ): Effect.Effect<A, E | SessionNotFound | LoadError | CallTimeout>
  elsewhere<A, E>(
    then: Effect.Effect<A, E>,
    call?: { readonly tag: string; readonly timeout: number }
  ): Effect.Effect<A, E | SessionNotFound | LoadError | CallTimeout> {
    const { id, kind, runtime } = this
    if (runtime.persistence === undefined) return Effect.fail(this.notFound())
    const found: Effect.Effect<boolean, LoadError | CallTimeout> = call === undefined
      ? runtime.activate(id)
      : Effect.timeoutOrElse(runtime.activate(id), {
        duration: call.timeout,
        orElse: () => {
          runtime.counters.timeouts++
          return Effect.fail(CallTimeout.of(kind, id, call.tag, call.timeout, false))
        }
      })
    return Effect.flatMap(
      found,
      (found): Effect.Effect<A, E | SessionNotFound> => found ? then : Effect.fail(this.notFound())
    )
  }

  get state(): Effect.Effect<any, SessionNotFound> {
    return Effect.map(this.ready(), (session) => session.state)
  }

  changes(
    select?: (state: any) => any,
    options?: { readonly equivalence?: Equivalence.Equivalence<any> | undefined }
  ): Stream.Stream<any, SessionNotFound | SessionEnded> {
    const equivalence = options?.equivalence ?? Object.is
    return Stream.callback<any, SessionNotFound | SessionEnded>(
      (queue) =>
        Effect.flatMap(this.ready(), (session) =>
          Effect.acquireRelease(
            Effect.sync(() => session.watch(watcher(queue, session, select ?? same, equivalence))),
            (unwatch) => Effect.sync(unwatch)
          )),
      { bufferSize: 1, strategy: "sliding" }
    ).pipe(
      // A reader that missed a change and its opposite has seen no change.
      Stream.changesWith(equivalence)
    )
  }

  watch(watcher: Watcher<any>): Effect.Effect<Snapshot<any>, SessionNotFound, Scope.Scope> {
    return Effect.flatMap(this.ready(), (session) =>
      Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => session.watch(guarded(session, watcher))),
          (unwatch) => Effect.sync(unwatch)
        ),
        () => ({ state: session.state, epoch: session.epoch, version: session.version })
      ))
  }

  get subscriptionRef(): Effect.Effect<SubscriptionRef.SubscriptionRef<any>, SessionNotFound> {
    return Effect.flatMap(this.ready(), (session) => session.subscriptionRef())
  }

  get awaitEnd(): Effect.Effect<EndReason.EndReason, SessionNotFound> {
    return Effect.flatMap(this.ready(), (session) => session.awaitEnd())
  }

  end(options?: EndOptions): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      const session = this.runtime.sessions.get(this.id)
      // To end one that is in the store only, it must be there first: it is told.
      if (session === undefined) {
        return Effect.matchEffect(this.elsewhere(Effect.suspend(() => this.end(options))), {
          onFailure: () => Effect.succeed(false),
          onSuccess: Effect.succeed
        })
      }
      const was = session.isLive(this.runtime.hub.now())
      session.end(options?.reason ?? EndReason.stopped(), options?.drain ?? true)
      // A handler that ends its own session cannot wait for it: the end waits for the handler.
      return session.isRunBy(Fiber.getCurrent()) ? Effect.succeed(was) : Effect.as(session.awaitEnd(), was)
    })
  }

  get touch(): Effect.Effect<void, SessionNotFound> {
    return this.change((session, now) => session.hub.expiry.touch(session, now))
  }

  setIdleTimeout(timeout: Duration.Input): Effect.Effect<void, SessionNotFound> {
    return this.change((session, now) => session.setIdleTimeout(checkIdleTimeout(timeout), now))
  }

  setUser(user: string | undefined): Effect.Effect<void, SessionNotFound> {
    return this.change((session) => session.setUser(user))
  }

  setMetadata(metadata: Readonly<Record<string, unknown>>): Effect.Effect<void, SessionNotFound> {
    return this.change((session) => session.setMetadata(metadata))
  }

  compareAndSet(
    expected: Readonly<Record<string, unknown>>,
    change: Partial<Identity>
  ): Effect.Effect<boolean, SessionNotFound> {
    return this.change((session) => session.compareAndSet(expected, change))
  }

  get attach(): Effect.Effect<void, SessionNotFound, Scope.Scope> {
    return Effect.asVoid(Effect.acquireRelease(
      this.change((session, now) => session.attach(now)),
      (detach) => Effect.sync(detach)
    ))
  }

  private change<A>(f: (session: LiveSession, now: number) => A): Effect.Effect<A, SessionNotFound> {
    return Effect.suspend(() => {
      const now = this.runtime.hub.now()
      const session = this.live(now)
      if (session !== undefined) return Effect.succeed(f(session, now))
      return Effect.catchIf(this.elsewhere(this.change(f)), isLoadError, () => Effect.fail(this.notFound()))
    })
  }

  get isLive(): Effect.Effect<boolean> {
    return Effect.suspend(() =>
      this.live(this.runtime.hub.now()) !== undefined
        ? Effect.succeed(true)
        : Effect.match(this.elsewhere(Effect.void), { onFailure: () => false, onSuccess: () => true })
    )
  }

  get info(): Effect.Effect<SessionInfo<any>, SessionNotFound> {
    return this.change((session) => session.info())
  }
}

const same = (state: unknown): unknown => state

/**
 * Compares the selection at each change and hands what is new to the queue, which keeps the newest only. A
 * selector that throws ends its own stream with the defect, and nobody else's.
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
      const value = select(state)
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
      Queue.failCauseUnsafe(queue, Cause.fail(SessionEnded.of(session.kind, session.id, reason, false)))
  }
}

const none = Symbol()

/** A callback that throws is a bug of whoever watches, and must not become the session's. */
const guarded = (session: LiveSession, watcher: Watcher<any>): Watcher<any> => {
  const failed = (defect: unknown) => {
    session.runtime.runFork(Effect.logError(`a watcher of session ${session.kind}/${session.id} threw`, defect))
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
