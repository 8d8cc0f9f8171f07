/**
 * The places of the cluster as this node knows them: which of them are here, and who owns the others.
 *
 * Owners are those of the membership: a new owner may still wait for the lock, and a node that has not heard of a change yet
 * names the former one. So whoever is asked checks with `isHere`.
 */
import type { Owner } from "../../../internal/guard.ts"
import type { NodeAddress } from "../NodeAddress.ts"
import { Listeners, Place } from "./Place.ts"

/** What a cluster begins with. */
export interface PlacesOptions {
  readonly self: NodeAddress
  /** How many places there are. All nodes have to agree. */
  readonly count: number
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number
  /** A callback has thrown. */
  readonly threw: (defect: unknown) => void
}

export class Places {
  readonly self: NodeAddress
  readonly all: ReadonlyArray<Place>
  readonly count: number
  readonly now: () => number
  /** The healthy members, in the order of their keys. */
  nodes: ReadonlyArray<NodeAddress> = []
  /** Does this node leave the cluster, or has it left? */
  isLeaving = false
  private owners: ReadonlyArray<NodeAddress | undefined> = []
  private readonly changed: Listeners

  constructor(options: PlacesOptions) {
    this.self = options.self
    this.count = options.count
    this.now = options.now
    const owner: Owner = { threw: options.threw }
    this.all = Array.from({ length: options.count }, (_, index) => new Place(index, owner))
    this.changed = new Listeners(owner)
  }

  /** The index of the place of an id: FNV-1a over its UTF-16 code units. Stored terms and all nodes rely on it. */
  indexOf(id: string): number {
    let hash = 0x811c9dc5
    for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193)
    return (hash >>> 0) % this.count
  }

  of(id: string): Place {
    return this.all[this.indexOf(id)]!
  }

  ownerOf(place: Place): NodeAddress | undefined {
    return this.owners[place.index]
  }

  /** Is it this node that is to own the place? */
  isMine(place: Place): boolean {
    return this.owners[place.index]?.key === this.self.key
  }

  /** How many places are open. */
  get open(): number {
    let count = 0
    for (const place of this.all) if (place.isOpen) count++
    return count
  }

  /** Calls back when nodes or owners have changed. Gives the function that unsubscribes. */
  onChange(f: () => void): () => void {
    return this.changed.add(f)
  }

  /** The members have changed. Requests that wait here for a place that goes elsewhere are told. */
  learn(nodes: ReadonlyArray<NodeAddress>, owners: ReadonlyArray<NodeAddress | undefined>): void {
    this.nodes = nodes
    this.owners = owners
    for (const place of this.all) if (!place.isOpen && !this.isMine(place)) place.refuse()
    this.changed.notify()
  }

  /** This node begins to leave: it takes no places any more. Requests that wait for one are told. */
  leave(): void {
    this.isLeaving = true
    for (const place of this.all) if (!place.isOpen) place.refuse()
  }
}
