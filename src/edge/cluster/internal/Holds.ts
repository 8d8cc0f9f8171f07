/**
 * What is counted for the whole cluster while it is open, such as the connections of a user.
 *
 * Each hold is an open request to the node that owns the place of its key. So a node that dies, or is cut off, gives back what it
 * holds. When the place moves, its holds are counted by the new owner, whatever the limit. While nobody can be asked they are not
 * counted, and are counted as soon as somebody can.
 */
import * as Context from "effect/Context"
import { CallbackDeadline } from "../../../runtime/internal/time/Deadlines.ts"
import type { Everywhere } from "./Everywhere.ts"
import type { Json, Reply } from "./peers/model.ts"
import type { Place } from "./Place.ts"
import { succeeded } from "./wire.ts"

/** After this time, holds that are not counted anywhere are tried again, in milliseconds. */
const pause = 250

/** Whoever holds something. `refused` may also come after `taken`, when the owner could be asked only then. */
export interface Holder {
  readonly taken: () => void
  readonly refused: () => void
}

/** `null`: it was taken before, and counts whatever the limit is. */
type Limit = number | null

export class Holds {
  readonly everywhere: Everywhere
  readonly open = new Set<Hold>()
  private readonly counts = new Map<string, number>()
  private readonly retry = new CallbackDeadline(() => this.place(({ node }) => node === undefined))

  constructor(everywhere: Everywhere) {
    const { places } = everywhere
    this.everywhere = everywhere
    places.onChange(() => this.place(({ node, at }) => places.ownerOf(at)?.key !== node))
  }

  /** Takes one of as many as the limit says. Gives the function that gives it back. */
  take(key: string, limit: number, holder: Holder): () => void {
    const hold = new Hold(this, key, limit, holder)
    this.open.add(hold)
    hold.place()
    return () => {
      this.open.delete(hold)
      hold.leave()
    }
  }

  /** How many are counted here under a key. */
  count(key: string): number {
    return this.counts.get(key) ?? 0
  }

  /** Counts one here. Gives the function that gives it back; `undefined` when all are taken. */
  countHere(key: string, limit: Limit): (() => void) | undefined {
    const count = this.count(key)
    if (limit !== null && count >= limit) return undefined
    this.counts.set(key, count + 1)
    return () => {
      const left = this.count(key) - 1
      if (left > 0) this.counts.set(key, left)
      else this.counts.delete(key)
    }
  }

  /** Counts one of another node, until that node withdraws it or is lost. */
  serve(key: string, limit: Limit, reply: Reply): (() => void) | undefined {
    const release = this.countHere(key, limit)
    if (release === undefined) reply.end([succeeded, false])
    else reply.event(["held"])
    return release
  }

  private place(which: (hold: Hold) => boolean): void {
    for (const hold of Array.from(this.open)) if (which(hold)) hold.place()
  }

  placeLater(): void {
    const { host } = this.everywhere
    host?.deadlines.set(this.retry, host.now() + pause)
  }
}

class Hold {
  private readonly holds: Holds
  private readonly key: string
  private readonly limit: number
  private readonly holder: Holder
  readonly at: Place
  /** The node that counts it, or is asked to. */
  node: string | undefined = undefined
  private release: (() => void) | undefined = undefined
  private isTaken = false

  constructor(holds: Holds, key: string, limit: number, holder: Holder) {
    this.holds = holds
    this.key = key
    this.limit = limit
    this.holder = holder
    this.at = holds.everywhere.places.of(key)
  }

  /** Has it counted by the owner of its place. */
  place(): void {
    const { holds, key } = this
    const { places } = holds.everywhere
    this.leave()
    const owner = places.ownerOf(this.at)
    const limit = this.isTaken ? null : this.limit
    if (owner === undefined) return this.adrift()
    this.node = owner.key
    if (owner.key === places.self.key) {
      this.release = holds.countHere(key, limit)
      return this.release === undefined ? this.refused() : this.taken()
    }
    const withdraw = holds.everywhere.linkTo(owner).ask(["hold", key, limit], {
      event: () => this.taken(),
      end: (json: Json) => (json as [number, Json])[0] === succeeded ? this.refused() : this.adrift(),
      lost: () => this.adrift()
    })
    if (this.node === owner.key) this.release = withdraw
  }

  /** It is counted nowhere any more. */
  leave(): void {
    const { release } = this
    this.node = this.release = undefined
    release?.()
  }

  private taken(): void {
    if (this.isTaken) return
    this.isTaken = true
    this.holder.taken()
  }

  private refused(): void {
    this.node = this.release = undefined
    this.holds.open.delete(this)
    this.holder.refused()
  }

  /** Nobody can be asked: it is taken all the same. */
  private adrift(): void {
    this.node = this.release = undefined
    this.holds.placeLater()
    this.taken()
  }
}

/** The holds of this node of a cluster. */
export const ClusterHolds = Context.Reference<Holds | undefined>("effect-sessions/cluster/Holds", {
  defaultValue: () => undefined
})
