/**
 * The sessions of one kind in a cluster. Operations on one session go to its owner, those on all to all nodes; what is `Unsafe`,
 * because it must not wait, sees this node only.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { LoadError } from "../../../contract/SessionError.ts"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import type { Kind } from "../../../runtime/internal/host/Kind.ts"
import { KindSessions } from "../../../runtime/internal/host/KindSessions.ts"
import type { StartRequest } from "../../../runtime/internal/messages/Request.ts"
import type { RoutedRef } from "../../../runtime/internal/messages/RoutedRef.ts"
import type { Everywhere } from "./Everywhere.ts"
import { encodeReason, type KindCodec } from "./KindCodec.ts"
import type { ClusterRouter } from "./Router.ts"

export class ClusterSessions extends KindSessions {
  private readonly codec: KindCodec
  private readonly router: ClusterRouter
  private readonly everywhere: Everywhere

  constructor(kind: Kind, codec: KindCodec, router: ClusterRouter, everywhere: Everywhere) {
    super(kind)
    this.codec = codec
    this.router = router
    this.everywhere = everywhere
  }

  // -------------------------------------------------------------------------------------------------------
  // one session
  // -------------------------------------------------------------------------------------------------------

  override start(id: string, options?: StartRequest["options"]): Effect.Effect<SessionRef.Any, any> {
    return Effect.suspend(() => {
      const ref = this.home.ref(id) as RoutedRef
      return Effect.as(this.router.route(ref, { op: "start", options }, super.start(id, options)), ref)
    })
  }

  override find(id: string): Effect.Effect<Option.Option<SessionRef.Any>, LoadError> {
    return Effect.suspend(() => {
      const here = this.findUnsafe(id)
      if (here !== undefined) return Effect.succeedSome(here)
      const ref = this.home.ref(id)
      return Effect.map(ref.isLive, (isLive) => isLive ? Option.some(ref) : Option.none())
    })
  }

  override reach(id: string): Effect.Effect<Option.Option<SessionRef.Reached<any, any>>, LoadError> {
    return Effect.suspend(() => {
      const session = this.home.ref(id) as RoutedRef
      const here = Effect.map(this.reachHere(id), Option.match({ onNone: () => undefined, onSome: ({ info }) => info }))
      return Effect.map(
        this.router.route(session, { op: "reach" }, here),
        (info) => info === undefined ? Option.none() : Option.some({ session, info })
      )
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // all sessions
  // -------------------------------------------------------------------------------------------------------

  /** The ids of the sessions of this node. */
  get idsHere(): Effect.Effect<Array<string>> {
    return Effect.map(super.list, (refs) => refs.map(({ id }) => id))
  }

  override get list(): Effect.Effect<Array<SessionRef.Any>> {
    return Effect.map(
      this.everywhere.gather(this.idsHere, "list", this.kind),
      (lists) => unique(lists).map((id) => this.home.ref(id))
    )
  }

  get countHere(): Effect.Effect<number> {
    return super.count
  }

  override get count(): Effect.Effect<number> {
    return Effect.map(this.everywhere.gather(this.countHere, "count", this.kind), sum)
  }

  matchHere(pattern: string | RegExp): Effect.Effect<Array<string>> {
    return super.match(pattern)
  }

  override match(pattern: string | RegExp): Effect.Effect<Array<string>> {
    const json = typeof pattern === "string" ? pattern : [pattern.source, pattern.flags]
    return Effect.map(this.everywhere.gather(this.matchHere(pattern), "match", this.kind, json), unique)
  }

  broadcastHere(tag: string, payload?: unknown): Effect.Effect<number> {
    return super.broadcast(tag, payload)
  }

  override broadcast(tag: string, payload?: unknown): Effect.Effect<number> {
    return Effect.suspend(() => {
      // A tag that the kind does not have is a bug of the caller, as on one node.
      this.home.route(tag)
      const json = this.codec.message(tag)!.encodePayload(payload)
      return Effect.map(
        this.everywhere.gather(this.broadcastHere(tag, payload), "broadcast", this.kind, tag, json),
        sum
      )
    })
  }

  endAllHere(options?: SessionRef.EndOptions): Effect.Effect<Map<string, boolean>, LoadError> {
    return super.endAll(undefined, options)
  }

  override endAll(
    ids?: Iterable<string>,
    options?: SessionRef.EndOptions
  ): Effect.Effect<Map<string, boolean>, LoadError> {
    if (ids !== undefined) {
      return Effect.map(
        Effect.forEach(new Set(ids), (id) => Effect.map(this.end(id, options), (was) => [id, was] as const), {
          concurrency: 64
        }),
        (ends) => new Map(ends)
      )
    }
    const { drain = true, reason } = options ?? {}
    const here = Effect.map(this.endAllHere(options), (ends) => Array.from(ends))
    const json = reason === undefined ? null : encodeReason(reason)
    return Effect.map(
      this.everywhere.gather(here, "endAll", this.kind, json, drain),
      (ends) => new Map(ends.flat())
    )
  }
}

/** A session that moves meanwhile may be listed by two nodes. */
const unique = (lists: ReadonlyArray<ReadonlyArray<string>>): Array<string> => Array.from(new Set(lists.flat()))

const sum = (counts: ReadonlyArray<number>): number => counts.reduce((sum, count) => sum + count, 0)
