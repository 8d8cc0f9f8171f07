/**
 * The sessions of one kind in this process: what yielding a definition gives.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Result from "effect/Result"
import * as EndReason from "../../../contract/EndReason.ts"
import type { SessionKind, StartOptions } from "../../../contract/Session.ts"
import { type LoadError, type ReachError, SessionNotFound, type StartError } from "../../../contract/SessionError.ts"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import { emit } from "../session/events.ts"
import type { LiveSession } from "../session/LiveSession.ts"
import { ended } from "../session/status.ts"
import type { Kind } from "./Kind.ts"
import { failNotHere } from "./Placement.ts"

type Options = StartOptions & { readonly args?: unknown }

/** How many starts of a batch run at a time. Starts with a pure `init` take no time and do not count. */
const batchConcurrency = 64

/** A long loop over sessions yields after this many. */
const stride = 512

export class KindSessions implements SessionKind<any, any, any, any> {
  readonly home: Kind
  constructor(home: Kind) {
    this.home = home
  }

  get kind(): string {
    return this.home.name
  }

  start(id: string, options?: Options): Effect.Effect<SessionRef.Any, any> {
    return this.home.activator.start(id, options)
  }

  startAll(
    ids: Iterable<string>,
    options?: Options
  ): Effect.Effect<Map<string, Result.Result<SessionRef.Any, StartError>>> {
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

  findUnsafe(id: string): SessionRef.Any | undefined {
    return this.home.findLive(id)?.ref
  }

  find(id: string): Effect.Effect<Option.Option<SessionRef.Any>, LoadError> {
    return this.findHere(id)
  }

  /** Finds a session of this process. */
  private findHere(id: string): Effect.Effect<Option.Option<SessionRef.Any>, LoadError> {
    return Effect.suspend(() => {
      const found = this.findUnsafe(id)
      return found !== undefined || this.home.persistence === undefined
        ? Effect.succeed(Option.fromUndefinedOr(found))
        : Effect.map(this.home.activator.activate(id), () => Option.fromUndefinedOr(this.findUnsafe(id)))
    })
  }

  reach(id: string): Effect.Effect<Option.Option<SessionRef.Reached<any, any>>, LoadError> {
    return this.reachHere(id)
  }

  /** Reaches a session of this process. */
  reachHere(id: string): Effect.Effect<Option.Option<SessionRef.Reached<any, any>>, LoadError> {
    return Effect.suspend(() => {
      const { host, persistence, sessions } = this.home
      const session = sessions.get(id)
      const touch = Effect.flatMap(this.findHere(id), () => {
        const session = this.home.findLive(id)
        if (session === undefined) return host.isHere(id) ? Effect.succeedNone : failNotHere
        host.expiry.touch(session, host.now())
        return Effect.succeedSome({ session: session.ref, info: session.info() })
      })
      // A session that is loaded now is owned; so is one whose place is here.
      const isOwned = persistence === undefined || session === undefined || host.router !== undefined
      if (isOwned || !session.isLive(host.now())) return touch
      return Effect.flatMap(persistence.loader.owns(session), (owns) => {
        if (owns) return touch
        session.fenced()
        return Effect.andThen(session.awaitEnd(), touch)
      })
    })
  }

  get(id: string): Effect.Effect<SessionRef.Any, ReachError> {
    return Effect.flatMap(
      this.find(id),
      Option.match({ onNone: () => Effect.fail(SessionNotFound.of(this.kind, id)), onSome: Effect.succeed })
    )
  }

  ref(id: string): SessionRef.Any {
    return this.home.ref(id)
  }

  has(id: string): Effect.Effect<boolean, LoadError> {
    return Effect.map(this.find(id), Option.isSome)
  }

  /** The ids of a user's sessions that are in the store, whether they are in memory or not. */
  storedOfUser(user: string): Effect.Effect<ReadonlyArray<string>, LoadError> {
    return this.home.persistence?.ofUser(user) ?? Effect.succeed([])
  }

  /** The sessions that can take messages now. */
  private live(): Array<LiveSession> {
    const now = this.home.host.now()
    return Array.from(this.home.sessions.values()).filter((session) => session.isLive(now))
  }

  get list(): Effect.Effect<Array<SessionRef.Any>> {
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

  end(id: string, options?: SessionRef.EndOptions): Effect.Effect<boolean, LoadError> {
    return this.ref(id).end(options)
  }

  endAll(ids?: Iterable<string>, options?: SessionRef.EndOptions): Effect.Effect<Map<string, boolean>, LoadError> {
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

  /** Ends the sessions that are in memory. Also gives the ids that may be in the store only. */
  stopAll(
    ids?: Iterable<string>,
    options?: SessionRef.EndOptions
  ): Effect.Effect<{ readonly results: Map<string, boolean>; readonly stored: ReadonlyArray<string> }> {
    return Effect.gen({ self: this }, function*() {
      const { host, persistence, sessions } = this.home
      const reason = options?.reason ?? EndReason.stopped()
      const results = new Map<string, boolean>()
      const stored: Array<string> = []
      const waitFor: Array<LiveSession> = []
      // All begin to end before this waits for the first, so that their grace periods run side by side.
      for (const id of ids === undefined ? Array.from(sessions.keys()) : ids) {
        if (results.has(id)) continue
        const session = sessions.get(id)
        // An id that the caller names may be in the store only.
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

const fromGlob = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*")}$`, "s")
