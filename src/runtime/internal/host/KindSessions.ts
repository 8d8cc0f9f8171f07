/**
 * The sessions of one kind in this process: what yielding a definition gives.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as EndReason from "../../../contract/EndReason.ts"
import type { SessionKind, StartOptions } from "../../../contract/Session.ts"
import {
  InvalidSessionId,
  type LoadError,
  type ReachError,
  SessionLimitReached,
  SessionNotFound,
  SessionsClosed,
  type StartError,
  StartFailed,
  type StartRateExceeded,
  StoreUnavailable
} from "../../../contract/SessionError.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import type { EndOptions } from "../../../contract/SessionRef.ts"
import { observe } from "../../../internal/guard.ts"
import { LocalRef } from "../messages/LocalRef.ts"
import { emit } from "../session/events.ts"
import { checkIdleTimeout } from "../session/idleTimeout.ts"
import { LiveSession } from "../session/LiveSession.ts"
import { launch, restore, restoreError } from "../session/starting.ts"
import { ended, ending } from "../session/status.ts"
import type { Persistence } from "../snapshots/Persistence.ts"
import type { Loaded } from "../snapshots/SnapshotLoader.ts"
import type { Kind } from "./Kind.ts"

type Options = StartOptions & { readonly args?: unknown }

/** How many starts of a batch run at a time; only those whose `init` waits for something count. */
const batchConcurrency = 64

/** After how many sessions a long loop over sessions gives others a turn. */
const stride = 512

export class KindSessions implements SessionKind<any, any, any, any> {
  readonly home: Kind
  /** Sessions that are being loaded, by id. */
  private readonly loading = new Map<string, Deferred.Deferred<void, StartError>>()

  constructor(home: Kind) {
    this.home = home
    home.activate = (id) => this.activate(id)
  }

  get kind(): string {
    return this.home.name
  }

  start(id: string, options?: Options): Effect.Effect<LocalRef, any> {
    return Effect.suspend(() => this.startNow(id, options))
  }

  /** Finds the session, waits for one that ends under the same id, or starts it if the limits allow. */
  private startNow(id: string, options: Options | undefined): Effect.Effect<LocalRef, StartError> {
    const { host, sessions } = this.home
    const found = sessions.get(id)
    if (found !== undefined) return this.rejoin(found, id, options)
    if (host.closed || this.home.closed) return Effect.fail(SessionsClosed.of())
    const { idleTimeout } = options ?? {}
    if (idleTimeout !== undefined) checkIdleTimeout(idleTimeout)
    if (!SessionId.isValid(id)) return this.refused(id, InvalidSessionId.of(id))
    const invalid = this.home.checkMetadata(id, options?.metadata)
    if (invalid !== undefined) return this.refused(id, StartFailed.of(this.kind, id, invalid))
    if (host.isFull()) {
      return this.refused(id, SessionLimitReached.of(host.config.maxSessions))
    }
    const { persistence } = this.home
    if (persistence !== undefined) return this.startStored(id, options, persistence)
    return Effect.flatMap(this.checkRate(id, options), () => {
      // Something else may have happened while the limiter thought.
      const found = sessions.get(id)
      if (found !== undefined) return this.rejoin(found, id, options)
      if (host.closed || this.home.closed) return Effect.fail(SessionsClosed.of())
      if (host.isFull()) return this.refused(id, SessionLimitReached.of(host.config.maxSessions))
      return this.open(id, options)
    })
  }

  private open(
    id: string,
    options: Options | undefined,
    loaded?: Loaded
  ): Effect.Effect<LocalRef, StartError> {
    const { home } = this
    const session = new LiveSession(home, id, home.host.now(), loaded)
    home.sessions.set(id, session)
    home.host.live++
    if (loaded?.stored === undefined) launch(session, options?.args, options)
    else restore(session, loaded.stored)
    return session.whenStarted()
  }

  /** Loads the session, or starts it if the store does not have it; only then the rate of starts counts. */
  private startStored(
    id: string,
    options: Options | undefined,
    persistence: Persistence
  ): Effect.Effect<LocalRef, StartError> {
    const load = this.load(id, { options }, persistence)
    return this.loading.has(id) ? load : Effect.flatMap(
      Effect.catch(persistence.reader.has(id), (error) => this.refused(id, error)),
      (has) => has || this.loading.has(id) ? load : Effect.andThen(this.checkRate(id, options), load)
    )
  }

  /**
   * Becomes the owner of the session and goes on with what the store has, or begins anew if it is a start. One at a time
   * for an id, in a fiber of its own: whoever waits for it may go.
   */
  private load(
    id: string,
    start: { readonly options: Options | undefined } | undefined,
    persistence: Persistence
  ): Effect.Effect<LocalRef, StartError> {
    return Effect.suspend(() => {
      const { loading, home: { sessions } } = this
      const found = sessions.get(id)
      if (found !== undefined) return this.rejoin(found, id, start?.options, start !== undefined)
      const underWay = loading.get(id)
      if (underWay !== undefined) {
        return Effect.flatMap(
          Deferred.await(underWay),
          () => start === undefined ? this.present(id) : this.startNow(id, start.options)
        )
      }
      const done = Deferred.makeUnsafe<void, StartError>()
      loading.set(id, done)
      const fiber = this.home.runFork(this.loadNow(id, start, persistence))
      observe(this.home, fiber, (_, exit) => {
        loading.delete(id)
        Deferred.doneUnsafe(done, Exit.asVoid(exit))
      })
      return Effect.flatMap(Fiber.join(fiber), (opened) => opened)
    })
  }

  /** Gives the way to what was opened: it is there from then on, for whoever waits. */
  private loadNow(
    id: string,
    start: { readonly options: Options | undefined } | undefined,
    persistence: Persistence
  ): Effect.Effect<Effect.Effect<LocalRef, StartError>, StartError> {
    const { host, name: kind } = this.home
    const began = host.now()
    const refused = (error: StartError) => start === undefined ? Effect.fail(error) : this.refused(id, error)
    return Effect.flatMap(Effect.catch(persistence.reader.load(id), refused), (loaded) => {
      if (host.closed || this.home.closed) return Effect.fail(SessionsClosed.of())
      // Others may have started meanwhile.
      if (host.isFull()) return refused(SessionLimitReached.of(host.config.maxSessions))
      if (loaded.stored === undefined) {
        return Effect.succeed(
          start === undefined ? this.present(id) : this.open(id, start.options, loaded)
        )
      }
      const opened = this.open(id, undefined, loaded)
      // A start is activity; being looked at is not.
      const session = this.home.sessions.get(id)
      if (start !== undefined && session !== undefined) host.expiry.touch(session, host.now())
      return Effect.succeed(Effect.tap(opened, () =>
        Effect.sync(() => {
          if (!host.events.active) return
          host.events.publish({ _tag: "Restore", kind, id, at: host.date(), duration: host.now() - began })
        })))
    })
  }

  /** The session that is in memory now. */
  private present(id: string): Effect.Effect<LocalRef, StartError> {
    const found = this.findUnsafe(id)
    return found === undefined
      ? Effect.fail(StartFailed.of(this.kind, id, gone))
      : Effect.succeed(found)
  }

  /** Loads the session if the store has it. The limit of starts is not for it. */
  private activate(id: string): Effect.Effect<boolean, LoadError> {
    return Effect.suspend((): Effect.Effect<boolean, LoadError> => {
      const { host, name: kind, persistence, sessions } = this.home
      if (persistence === undefined || !SessionId.isValid(id)) return Effect.succeed(false)
      const closing = Effect.suspend(() => Effect.fail(StoreUnavailable.of(kind, id, "the server ends its sessions")))
      const found = sessions.get(id)
      if (found !== undefined) {
        if (!found.isLive(host.now())) {
          // What runs at its end cannot wait for that.
          if (found.isRunBy(Fiber.getCurrent())) return Effect.succeed(false)
          return Effect.andThen(found.awaitEnd(), this.activate(id))
        }
        return Effect.matchEffect(found.whenStarted(), {
          onFailure: (error) => found.restores ? Effect.fail(restoreError({ kind, id }, error)) : Effect.succeed(false),
          onSuccess: () => Effect.succeed(true)
        })
      }
      if (host.closed || this.home.closed) return closing
      const noRoom = Effect.suspend(() =>
        Effect.fail(StoreUnavailable.of(kind, id, "there is no room for another session"))
      )
      const load: Effect.Effect<boolean, LoadError> = Effect.matchEffect(this.load(id, undefined, persistence), {
        onFailure: (error) =>
          error instanceof StartFailed && error.defect === gone
            ? Effect.succeed(false)
            : error instanceof SessionLimitReached
            ? noRoom
            : error instanceof SessionsClosed
            ? closing
            : Effect.fail(restoreError({ kind, id }, error)),
        onSuccess: () => Effect.succeed(true)
      })
      if (this.loading.has(id)) return load
      return Effect.flatMap(
        persistence.reader.has(id),
        (has) => !has ? Effect.succeed(false) : host.isFull() ? noRoom : load
      )
    })
  }

  private rejoin(
    found: LiveSession,
    id: string,
    options: Options | undefined,
    isStart = true
  ): Effect.Effect<LocalRef, StartError> {
    const { host } = this.home
    const now = host.now()
    if (found.isLive(now)) {
      if (isStart) host.expiry.touch(found, now)
      return found.whenStarted()
    }
    // What runs at its end cannot wait for that.
    if (found.isRunBy(Fiber.getCurrent())) {
      return Effect.fail(StartFailed.of(this.kind, id, new Error("it cannot be started before it has ended")))
    }
    return Effect.flatMap(found.awaitEnd(), () => isStart ? this.startNow(id, options) : this.present(id))
  }

  private checkRate(id: string, options: Options | undefined): Effect.Effect<void, StartRateExceeded> {
    const { host, limitsStarts, name: kind } = this.home
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

  private refused<E>(id: string, error: E): Effect.Effect<never, E> {
    const { host, name: kind } = this.home
    if (host.events.active) host.events.publish({ _tag: "StartError", kind, id: String(id), at: host.date(), error })
    return Effect.fail(error)
  }

  startAll(
    ids: Iterable<string>,
    options?: Options
  ): Effect.Effect<Map<string, Result.Result<LocalRef, StartError>>> {
    return Effect.map(
      Effect.forEach(
        new Set(ids),
        (id) => Effect.map(Effect.result(this.start(id, options)), (r) => [id, r] as const),
        {
          concurrency: batchConcurrency
        }
      ),
      (results) => new Map(results)
    )
  }

  findUnsafe(id: string): LocalRef | undefined {
    const { host, sessions } = this.home
    const session = sessions.get(id)
    if (session === undefined || session.status >= ending) return undefined
    // While nothing has expired there is no need to ask for the time.
    return host.expiry.expired.size === 0 || session.isLive(host.now()) ? session.ref : undefined
  }

  find(id: string): Effect.Effect<Option.Option<LocalRef>, LoadError> {
    return Effect.suspend(() => {
      const found = this.findUnsafe(id)
      return found !== undefined || this.home.persistence === undefined
        ? Effect.succeed(Option.fromUndefinedOr(found))
        : Effect.map(this.activate(id), () => Option.fromUndefinedOr(this.findUnsafe(id)))
    })
  }

  reach(id: string): Effect.Effect<Option.Option<LocalRef>, LoadError> {
    return Effect.suspend(() => {
      const { host, persistence, sessions } = this.home
      const session = sessions.get(id)
      const touch = Effect.map(this.find(id), (found) => {
        const session = Option.isSome(found) ? sessions.get(id) : undefined
        if (session !== undefined) host.expiry.touch(session, host.now())
        return found
      })
      // What is loaded now is owned.
      if (persistence === undefined || session === undefined || !session.isLive(host.now())) return touch
      return Effect.flatMap(persistence.reader.owns(session), (owns) => {
        if (owns) return touch
        session.fenced()
        return Effect.andThen(session.awaitEnd(), touch)
      })
    })
  }

  get(id: string): Effect.Effect<LocalRef, ReachError> {
    return Effect.flatMap(
      this.find(id),
      Option.match({ onNone: () => Effect.fail(SessionNotFound.of(this.kind, id)), onSome: Effect.succeed })
    )
  }

  ref(id: string): LocalRef {
    return new LocalRef(this.home, id, undefined)
  }

  has(id: string): Effect.Effect<boolean, LoadError> {
    return Effect.map(this.find(id), Option.isSome)
  }

  /** The ids of a user's sessions that are in the store, whether they are in memory or not. */
  storedOfUser(user: string): Effect.Effect<ReadonlyArray<string>, LoadError> {
    return this.home.persistence?.ofUser(user) ?? Effect.succeed([])
  }

  /** Those that can take messages now. */
  private live(): Array<LiveSession> {
    const now = this.home.host.now()
    return Array.from(this.home.sessions.values()).filter((session) => session.isLive(now))
  }

  get list(): Effect.Effect<Array<LocalRef>> {
    return Effect.sync(() => this.live().map((session) => session.ref))
  }

  get count(): Effect.Effect<number> {
    return Effect.sync(() => this.home.count)
  }

  match(pattern: string | RegExp): Effect.Effect<Array<string>> {
    return Effect.sync(() => {
      const regExp = typeof pattern === "string"
        ? fromGlob(pattern)
        : new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))
      return this.live().map((session) => session.id).filter((id) => regExp.test(id))
    })
  }

  end(id: string, options?: EndOptions): Effect.Effect<boolean, LoadError> {
    return this.ref(id).end(options)
  }

  endAll(ids?: Iterable<string>, options?: EndOptions): Effect.Effect<Map<string, boolean>, LoadError> {
    const { persistence } = this.home
    if (persistence === undefined) return Effect.map(this.stopAll(ids, options), ({ results }) => results)
    return Effect.gen({ self: this }, function*() {
      const { results, stored } = yield* this.stopAll(ids, options)
      const exits = yield* Effect.forEach(stored, (id) => Effect.exit(this.end(id, options)), { concurrency: 16 })
      for (const [i, exit] of exits.entries()) results.set(stored[i]!, Exit.isSuccess(exit) && exit.value)
      for (const exit of exits) yield* exit
      yield* Effect.forEach(results.keys(), (id) => persistence.settledInTime(id), {
        concurrency: "unbounded",
        discard: true
      })
      return results
    })
  }

  /** Ends those that are in memory, and gives what is left to the store. Names those that are there only. */
  stopAll(
    ids?: Iterable<string>,
    options?: EndOptions
  ): Effect.Effect<{ readonly results: Map<string, boolean>; readonly stored: ReadonlyArray<string> }> {
    return Effect.gen({ self: this }, function*() {
      const { host, persistence, sessions } = this.home
      const reason = options?.reason ?? EndReason.stopped()
      const results = new Map<string, boolean>()
      const stored: Array<string> = []
      const waitFor: Array<LiveSession> = []
      // All begin to end before the first is waited for, so that grace periods run side by side.
      for (const id of ids === undefined ? Array.from(sessions.keys()) : ids) {
        if (results.has(id)) continue
        const session = sessions.get(id)
        // Who names it means also one that is in the store only.
        if (session === undefined && ids !== undefined && persistence !== undefined) stored.push(id)
        results.set(id, session !== undefined && session.isLive(host.now()))
        if (session !== undefined) {
          session.end(reason, options?.drain ?? true)
          if (session.status < ended) waitFor.push(session)
        }
        if (results.size % stride === 0) yield* Effect.yieldNow
      }
      for (const session of waitFor) yield* session.awaitEnd()
      return { results, stored }
    })
  }

  broadcast(tag: string, payload?: unknown): Effect.Effect<number> {
    return Effect.gen({ self: this }, function*() {
      const { host, name: kind } = this.home
      let count = 0
      let seen = 0
      for (const session of this.live()) {
        // A session whose mailbox is full must not hold up the others.
        if (session.ref.castUnsafe(tag, payload)) {
          count++
          if (host.events.active) emit(session, { _tag: "BroadcastReceive", tag, from: "" })
        }
        if (++seen % stride === 0) yield* Effect.yieldNow
      }
      if (host.events.active) {
        host.events.publish({ _tag: "Broadcast", kind, id: "", at: host.date(), tag, count })
      }
      return count
    })
  }
}

const gone = new Error("there is no such session any more")

const fromGlob = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`, "s")
