/**
 * Empties places that are not this node's any more.
 *
 * Sessions that are handed over finish what they have accepted and are saved before the new owner may load them. Sessions of a
 * place that was lost are dropped: another node may have them, and what they still write is refused.
 */
import * as Effect from "effect/Effect"
import type { LiveSession } from "../../../runtime/internal/session/LiveSession.ts"
import type { Drain } from "./observed.ts"
import type { Place } from "./Place.ts"
import type { ServedKind } from "./Server.ts"

/** A long loop over sessions yields after this many. */
const stride = 512

export const handOver = (kinds: ReadonlyMap<string, ServedKind>): Drain => {
  const grouped = new Grouped(kinds)
  return (places, why) =>
    Effect.forEach(kinds.values(), ({ kind }) =>
      Effect.gen(function*() {
        const leaving = places.flatMap((place) => grouped.of(kind.name, place))
        for (const [i, session] of leaving.entries()) {
          if (why === "release") session.handOver()
          else session.fenced()
          if (i % stride === stride - 1) yield* Effect.yieldNow
        }
        for (const session of leaving) yield* session.awaitEnd()
        const { persistence } = kind
        if (persistence === undefined || why === "lost") return
        for (const { id } of leaving) yield* persistence.settled(id)
      }), { concurrency: "unbounded", discard: true })
}

/** The sessions of each place. Places leave one by one but at the same time, so all sessions are sorted once for each turn. */
class Grouped {
  private readonly kinds: ReadonlyMap<string, ServedKind>
  private groups: Map<string, Map<Place, Array<LiveSession>>> | undefined

  constructor(kinds: ReadonlyMap<string, ServedKind>) {
    this.kinds = kinds
  }

  of(kind: string, place: Place): ReadonlyArray<LiveSession> {
    if (this.groups === undefined) {
      this.groups = this.sort()
      queueMicrotask(() => {
        this.groups = undefined
      })
    }
    return this.groups.get(kind)?.get(place) ?? []
  }

  private sort(): Map<string, Map<Place, Array<LiveSession>>> {
    const groups = new Map<string, Map<Place, Array<LiveSession>>>()
    for (const { kind } of this.kinds.values()) {
      const byPlace = new Map<Place, Array<LiveSession>>()
      for (const session of kind.sessions.values()) {
        const place = session.place as Place
        const group = byPlace.get(place)
        if (group === undefined) byPlace.set(place, [session])
        else group.push(session)
      }
      groups.set(kind.name, byPlace)
    }
    return groups
  }
}
