/**
 * The sessions of one kind in this process: what yielding a definition gives.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Result from "effect/Result"
import * as EndReason from "../../contract/EndReason.ts"
import type { SessionKind, StartOptions } from "../../contract/Session.ts"
import {
  InvalidSessionId,
  SessionLimitReached,
  SessionNotFound,
  SessionsClosed,
  type StartError,
  type StartRateExceeded
} from "../../contract/SessionError.ts"
import * as SessionId from "../../contract/SessionId.ts"
import type { EndOptions } from "../../contract/SessionRef.ts"
import type { Envelope } from "./Envelope.ts"
import { checkIdleTimeout } from "./idleTimeout.ts"
import type { Kind } from "./Kind.ts"
import { LiveSession } from "./LiveSession.ts"
import { LocalRef } from "./LocalRef.ts"
import { ended, ending } from "./status.ts"

type Options = StartOptions & { readonly args?: unknown }

/** How many starts of a batch run at a time; only those whose `init` waits for something count. */
const batchConcurrency = 64

/** After how many sessions a long loop over sessions gives others a turn. */
const stride = 512

export class KindSessions implements SessionKind<any, any, any, any> {
  readonly runtime: Kind
  private readonly makeMailbox: Effect.Effect<Queue.Queue<Envelope>>

  constructor(runtime: Kind) {
    this.runtime = runtime
    this.makeMailbox = Queue.bounded(runtime.mailboxCapacity)
  }

  get kind(): string {
    return this.runtime.name
  }

  start(id: string, options?: Options): Effect.Effect<LocalRef, any> {
    return Effect.suspend(() => this.startNow(id, options))
  }

  /** Finds the session, waits for one that ends under the same id, or starts it if the limits allow. */
  private startNow(id: string, options: Options | undefined): Effect.Effect<LocalRef, StartError> {
    const { hub, sessions } = this.runtime
    const found = sessions.get(id)
    if (found !== undefined) return this.rejoin(found, id, options)
    if (hub.closed || this.runtime.closed) return Effect.fail(SessionsClosed.of())
    const { idleTimeout } = options ?? {}
    if (idleTimeout !== undefined) checkIdleTimeout(idleTimeout)
    if (!SessionId.isValid(id)) return this.refused(id, InvalidSessionId.of(id))
    if (hub.isFull()) {
      return this.refused(id, SessionLimitReached.of(hub.config.maxSessions))
    }
    return Effect.flatMap(this.checkRate(id, options), () =>
      Effect.flatMap(this.makeMailbox, (mailbox) => {
        // Something else may have happened while the limiter thought.
        const found = sessions.get(id)
        if (found !== undefined) return this.rejoin(found, id, options)
        if (hub.closed || this.runtime.closed) return Effect.fail(SessionsClosed.of())
        if (hub.isFull()) {
          return this.refused(id, SessionLimitReached.of(hub.config.maxSessions))
        }
        return this.open(id, mailbox, options)
      }))
  }

  private open(
    id: string,
    mailbox: Queue.Queue<Envelope>,
    options: Options | undefined
  ): Effect.Effect<LocalRef, StartError> {
    const { runtime } = this
    const session = new LiveSession(runtime, id, runtime.hub.now(), mailbox)
    runtime.sessions.set(id, session)
    runtime.hub.live++
    session.launch(options?.args, options)
    return session.whenStarted()
  }

  private rejoin(found: LiveSession, id: string, options: Options | undefined): Effect.Effect<LocalRef, StartError> {
    const { hub } = this.runtime
    const now = hub.now()
    if (found.isLive(now)) {
      hub.expiry.touch(found, now)
      return found.whenStarted()
    }
    return Effect.flatMap(found.awaitEnd(), () => this.startNow(id, options))
  }

  private checkRate(id: string, options: Options | undefined): Effect.Effect<void, StartRateExceeded> {
    const { hub, name: kind } = this.runtime
    const check = hub.startLimiter.check({ kind, id, address: options?.address })
    if (!hub.events.active) return check
    return Effect.tapError(
      Effect.tap(
        check,
        () => Effect.sync(() => hub.events.publish({ _tag: "RateLimitCheck", kind, id, at: hub.now() }))
      ),
      (error) =>
        Effect.sync(() => {
          const { retryAfter } = error
          hub.events.publish({ _tag: "RateLimitExceeded", kind, id, at: hub.now(), limit: "starts", retryAfter })
          hub.events.publish({ _tag: "StartError", kind, id, at: hub.now(), error })
        })
    )
  }

  private refused<E>(id: string, error: E): Effect.Effect<never, E> {
    const { hub, name: kind } = this.runtime
    if (hub.events.active) hub.events.publish({ _tag: "StartError", kind, id: String(id), at: hub.now(), error })
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
    const { hub, sessions } = this.runtime
    const session = sessions.get(id)
    if (session === undefined || session.status >= ending) return undefined
    // While nothing has expired there is no need to ask for the time.
    return hub.expiry.expired.size === 0 || session.isLive(hub.now()) ? session.ref : undefined
  }

  find(id: string): Effect.Effect<Option.Option<LocalRef>> {
    return Effect.sync(() => Option.fromUndefinedOr(this.findUnsafe(id)))
  }

  reach(id: string): Effect.Effect<Option.Option<LocalRef>> {
    return Effect.sync(() => {
      const { hub, sessions } = this.runtime
      const session = sessions.get(id)
      const now = hub.now()
      if (session === undefined || !session.isLive(now)) return Option.none()
      hub.expiry.touch(session, now)
      return Option.some(session.ref)
    })
  }

  get(id: string): Effect.Effect<LocalRef, SessionNotFound> {
    return Effect.suspend(() => {
      const ref = this.findUnsafe(id)
      return ref === undefined ? Effect.fail(SessionNotFound.of(this.kind, id)) : Effect.succeed(ref)
    })
  }

  ref(id: string): LocalRef {
    return new LocalRef(this.runtime, id, undefined)
  }

  has(id: string): Effect.Effect<boolean> {
    return Effect.sync(() => this.findUnsafe(id) !== undefined)
  }

  /** Those that can take messages now. */
  private live(): Array<LiveSession> {
    const now = this.runtime.hub.now()
    return Array.from(this.runtime.sessions.values()).filter((session) => session.isLive(now))
  }

  get list(): Effect.Effect<Array<LocalRef>> {
    return Effect.sync(() => this.live().map((session) => session.ref))
  }

  get count(): Effect.Effect<number> {
    return Effect.sync(() => this.runtime.count)
  }

  match(pattern: string | RegExp): Effect.Effect<Array<string>> {
    return Effect.sync(() => {
      const regExp = typeof pattern === "string"
        ? fromGlob(pattern)
        : new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ""))
      return this.live().map((session) => session.id).filter((id) => regExp.test(id))
    })
  }

  end(id: string, options?: EndOptions): Effect.Effect<boolean> {
    return this.ref(id).end(options)
  }

  endAll(ids?: Iterable<string>, options?: EndOptions): Effect.Effect<Map<string, boolean>> {
    return Effect.gen({ self: this }, function*() {
      const { hub, sessions } = this.runtime
      const reason = options?.reason ?? EndReason.stopped()
      const results = new Map<string, boolean>()
      const waitFor: Array<LiveSession> = []
      // All begin to end before the first is waited for, so that grace periods run side by side.
      for (const id of ids === undefined ? Array.from(sessions.keys()) : ids) {
        if (results.has(id)) continue
        const session = sessions.get(id)
        results.set(id, session !== undefined && session.isLive(hub.now()))
        if (session !== undefined) {
          session.end(reason, options?.drain ?? true)
          if (session.status < ended) waitFor.push(session)
        }
        if (results.size % stride === 0) yield* Effect.yieldNow
      }
      for (const session of waitFor) yield* session.awaitEnd()
      return results
    })
  }

  broadcast(tag: string, payload?: unknown): Effect.Effect<number> {
    return Effect.gen({ self: this }, function*() {
      const { hub, name: kind } = this.runtime
      let count = 0
      let seen = 0
      for (const session of this.live()) {
        // A session whose mailbox is full must not hold up the others.
        if (session.ref.castUnsafe(tag, payload)) count++
        if (++seen % stride === 0) yield* Effect.yieldNow
      }
      if (hub.events.active) {
        hub.events.publish({ _tag: "Broadcast", kind, id: "", at: hub.now(), tag, count })
      }
      return count
    })
  }
}

const fromGlob = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`, "s")
