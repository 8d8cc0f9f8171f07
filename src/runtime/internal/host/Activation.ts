/**
 * Brings sessions into memory: starts them, or loads them from the store.
 *
 *   start(id) ──→ in memory? ── yes ─→ that session, once it has started; if it is ending, again after its end
 *                    │ no
 *                    ├── kind without a store ─→ limits ─→ opened with `init`
 *                    └── kind with a store ────→ limits ─→ loaded ── found ─→ opened with `restore`
 *                                                              └── not found ─→ opened with `init`
 *
 * `activate(id)` loads a session that is in the store only, when a message comes for it. It never starts a new session, and the
 * limit of the rate of starts does not apply.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { StartOptions } from "../../../contract/Session.ts"
import {
  InvalidSessionId,
  type LoadError,
  SessionLimitReached,
  SessionsClosed,
  type StartError,
  StartFailed,
  type StartRateExceeded,
  StoreUnavailable
} from "../../../contract/SessionError.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import { observe } from "../../../internal/guard.ts"
import { FiberSession } from "../session/FiberSession.ts"
import { checkIdleTimeout } from "../session/idleTimeout.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { launch, restore, restoreError } from "../session/starting.ts"
import type { Persistence } from "../snapshots/Persistence.ts"
import type { Loaded } from "../snapshots/SnapshotLoader.ts"
import type { Activator, Kind } from "./Kind.ts"
import { failNotHere, isNotHere } from "./Placement.ts"

type Options = StartOptions & { readonly args?: unknown }

/** The options of a start, which begins a new session if the store has none; `undefined` for an activation. */
type Start = { readonly options: Options | undefined } | undefined

export class Activation implements Activator {
  private readonly kind: Kind
  /** The sessions that are being loaded, by id. */
  private readonly loading = new Map<string, Deferred.Deferred<void, StartError>>()

  constructor(kind: Kind) {
    this.kind = kind
  }

  start(id: string, options?: Options): Effect.Effect<SessionRef.Any, StartError> {
    return Effect.suspend(() => this.startNow(id, options))
  }

  private startNow(id: string, options: Options | undefined): Effect.Effect<SessionRef.Any, StartError> {
    const { kind } = this
    const { host, persistence, sessions } = kind
    const found = sessions.get(id)
    if (found !== undefined) return this.join(found, id, options)
    if (kind.isClosing) return Effect.fail(SessionsClosed.of())
    if (!host.isHere(id)) return failNotHere
    const { idleTimeout } = options ?? {}
    if (idleTimeout !== undefined) checkIdleTimeout(idleTimeout)
    if (!SessionId.isValid(id)) return this.refuse(id, InvalidSessionId.of(id))
    const invalid = kind.checkMetadata(id, options?.metadata)
    if (invalid !== undefined) return this.refuse(id, StartFailed.of(kind.name, id, invalid))
    if (host.isFull()) return this.refuse(id, SessionLimitReached.of(host.config.maxSessions))
    if (persistence !== undefined) return this.startStored(id, options, persistence)
    return Effect.flatMap(this.checkRate(id, options), () => {
      // The limiter may have waited: others may have started meanwhile.
      const found = sessions.get(id)
      if (found !== undefined) return this.join(found, id, options)
      if (kind.isClosing) return Effect.fail(SessionsClosed.of())
      if (!host.isHere(id)) return failNotHere
      if (host.isFull()) return this.refuse(id, SessionLimitReached.of(host.config.maxSessions))
      return this.open(id, options)
    })
  }

  /** Joins a session in memory. If it is ending, waits for its end and starts it again. */
  private join(
    found: LiveSession,
    id: string,
    options: Options | undefined
  ): Effect.Effect<SessionRef.Any, StartError> {
    const { host, name } = this.kind
    const now = host.now()
    if (found.isLive(now)) {
      host.expiry.touch(found, now)
      return found.whenStarted()
    }
    // Its own end hook cannot wait for the end.
    if (found.isRunBy(Fiber.getCurrent())) {
      return Effect.fail(StartFailed.of(name, id, new Error("it cannot be started before it has ended")))
    }
    return Effect.flatMap(found.awaitEnd(), () => this.startNow(id, options))
  }

  private open(id: string, options: Options | undefined, loaded?: Loaded): Effect.Effect<SessionRef.Any, StartError> {
    const { host, sessions } = this.kind
    const session = new FiberSession(this.kind, id, host.now(), loaded)
    sessions.set(id, session)
    host.live++
    if (loaded?.stored === undefined) launch(session, options?.args, options)
    else restore(session, loaded.stored)
    return session.whenStarted()
  }

  // -------------------------------------------------------------------------------------------------------
  // the store
  // -------------------------------------------------------------------------------------------------------

  /** Loads the session, or starts it if the store does not have it. Only a real start counts for the rate of starts. */
  private startStored(
    id: string,
    options: Options | undefined,
    persistence: Persistence
  ): Effect.Effect<SessionRef.Any, StartError> {
    // A start always gives a session.
    const load = this.load(id, { options }, persistence) as Effect.Effect<SessionRef.Any, StartError>
    return this.loading.has(id) ? load : Effect.flatMap(
      Effect.catch(persistence.loader.has(id), (error) => this.refuse(id, error)),
      (has) => has || this.loading.has(id) ? load : Effect.andThen(this.checkRate(id, options), load)
    )
  }

  activate(id: string): Effect.Effect<boolean, LoadError> {
    return Effect.suspend((): Effect.Effect<boolean, LoadError> => {
      const { kind } = this
      const { host, name, persistence, sessions } = kind
      if (persistence === undefined || !SessionId.isValid(id)) return Effect.succeed(false)
      const unavailable = (why: string) => Effect.suspend(() => Effect.fail(StoreUnavailable.of(name, id, why)))
      const closing = unavailable("the server ends its sessions")
      const noRoom = unavailable("there is no room for another session")
      const found = sessions.get(id)
      if (found !== undefined) {
        if (!found.isLive(host.now())) {
          // Its own end hook cannot wait for the end.
          if (found.isRunBy(Fiber.getCurrent())) return Effect.succeed(false)
          return Effect.andThen(found.awaitEnd(), this.activate(id))
        }
        return Effect.matchEffect(found.whenStarted(), {
          onFailure: (error) => found.restores ? Effect.fail(restoreError(name, id, error)) : Effect.succeed(false),
          onSuccess: () => Effect.succeed(true)
        })
      }
      if (kind.isClosing) return closing
      if (!host.isHere(id)) return failNotHere
      const load: Effect.Effect<boolean, LoadError> = Effect.matchEffect(this.load(id, undefined, persistence), {
        onFailure: (error) =>
          error instanceof SessionLimitReached
            ? noRoom
            : error instanceof SessionsClosed
            ? closing
            : isNotHere(error)
            ? failNotHere
            : Effect.fail(restoreError(name, id, error)),
        onSuccess: (ref) => Effect.succeed(ref !== undefined)
      })
      if (this.loading.has(id)) return load
      return Effect.flatMap(
        persistence.loader.has(id),
        (has) => !has ? Effect.succeed(false) : host.isFull() ? noRoom : load
      )
    })
  }

  /** Loads the session. Each id has one load at a time, in its own fiber, so that a waiting caller can be interrupted. */
  private load(
    id: string,
    start: Start,
    persistence: Persistence
  ): Effect.Effect<SessionRef.Any | undefined, StartError> {
    return Effect.suspend(() => {
      const { kind, loading } = this
      const again = () => start === undefined ? this.present(id) : this.startNow(id, start.options)
      const found = kind.sessions.get(id)
      if (found !== undefined) {
        if (start !== undefined) return this.startNow(id, start.options)
        return found.isLive(kind.host.now()) ? found.whenStarted() : Effect.flatMap(found.awaitEnd(), again)
      }
      const underWay = loading.get(id)
      if (underWay !== undefined) return Effect.flatMap(Deferred.await(underWay), again)
      const done = Deferred.makeUnsafe<void, StartError>()
      loading.set(id, done)
      const fiber = kind.runFork(this.loadNow(id, start, persistence))
      observe(kind, fiber, (_, exit) => {
        loading.delete(id)
        Deferred.doneUnsafe(done, Exit.asVoid(exit))
      })
      return Effect.flatMap(Fiber.join(fiber), (opened) => opened)
    })
  }

  /** Claims the session and opens it. From then on other callers find it. Gives the Effect that waits for its start. */
  private loadNow(
    id: string,
    start: Start,
    persistence: Persistence
  ): Effect.Effect<Effect.Effect<SessionRef.Any | undefined, StartError>, StartError> {
    const { kind } = this
    const { host, name, sessions } = kind
    const began = host.now()
    const place = host.router?.of(id)
    const term = place?.term
    const refuse = (error: StartError) => start === undefined ? Effect.fail(error) : this.refuse(id, error)
    const load = Effect.catch(
      persistence.loader.load(id, term),
      (error) => error._tag === "ClaimRefused" ? failNotHere : refuse(error)
    )
    return Effect.flatMap(load, (loaded) => {
      if (kind.isClosing) return Effect.fail(SessionsClosed.of())
      // The store may have been slow, and another node may have had the place meanwhile.
      if (!host.isHere(id) || place?.term !== term) return failNotHere
      // Others may have started meanwhile.
      if (host.isFull()) return refuse(SessionLimitReached.of(host.config.maxSessions))
      if (loaded.stored === undefined) {
        return Effect.succeed(start === undefined ? this.present(id) : this.open(id, start.options, loaded))
      }
      const opened = this.open(id, undefined, loaded)
      // A start is activity; an activation is not.
      const session = sessions.get(id)
      if (start !== undefined && session !== undefined) host.expiry.touch(session, host.now())
      return Effect.succeed(Effect.tap(opened, () =>
        Effect.sync(() => {
          if (!host.events.active) return
          host.events.publish({ _tag: "Restore", kind: name, id, at: host.date(), duration: host.now() - began })
        })))
    })
  }

  private present(id: string): Effect.Effect<SessionRef.Any | undefined> {
    return Effect.sync(() => this.kind.findLive(id)?.ref)
  }

  // -------------------------------------------------------------------------------------------------------
  // limits
  // -------------------------------------------------------------------------------------------------------

  private checkRate(id: string, options: Options | undefined): Effect.Effect<void, StartRateExceeded> {
    const { host, limitsStarts, name: kind } = this.kind
    if (!limitsStarts) return Effect.void
    const check = host.startLimiter.check({ kind, id, address: options?.address })
    if (!host.events.active) return check
    return Effect.tapError(
      Effect.tap(
        check,
        () => Effect.sync(() => host.events.publish({ _tag: "RateLimitCheck", kind, id, at: host.date() }))
      ),
      (error) =>
        Effect.sync(() => {
          const { retryAfter } = error
          host.events.publish({ _tag: "RateLimitExceeded", kind, id, at: host.date(), limit: "starts", retryAfter })
          host.events.publish({ _tag: "StartError", kind, id, at: host.date(), error })
        })
    )
  }

  private refuse<E>(id: string, error: E): Effect.Effect<never, E> {
    const { host, name: kind } = this.kind
    if (host.events.active) host.events.publish({ _tag: "StartError", kind, id: String(id), at: host.date(), error })
    return Effect.fail(error)
  }
}
