/**
 * Which devices are present in a topic, who tracks each of them, and until when each stays: what a topic knows besides
 * the state that its readers see.
 *
 * An entry stays while at least one tracking holds it, and for the grace after the last one ended. A topic that restarts
 * knows no entries: the owners send their trackings again.
 *
 * Finding what is due does not scan the entries. All graces have the same length, so they end in the order in which they
 * began; a grace whose entry was tracked again meanwhile is skipped. There is one lease for each process.
 */
import type { Tracking } from "../../Presence.ts"
import { mix } from "./digest.ts"
import { PresenceByDevice } from "./PresenceByDevice.ts"
import type { PresenceDraft } from "./PresenceDraft.ts"

/** A device that is present. */
interface Entry {
  readonly key: string
  readonly device: string
  /** How many trackings hold it. */
  holders: number
  /** The grace that runs since the last tracking ended. */
  grace: Grace | undefined
}

/** It is void when its entry has another grace or none. */
interface Grace {
  readonly entry: Entry
  readonly ends: number
}

interface Holder {
  readonly entry: Entry
  revision: number
}

/** A process that tracks. */
interface Owner {
  readonly holders: Map<number, Holder>
  digest: number
  leaseEnds: number
}

/** In milliseconds. */
export interface Timing {
  readonly grace: number
  readonly lease: number
}

export class PresenceEntries {
  private readonly timing: Timing
  private readonly sameMeta: (a: unknown, b: unknown) => boolean
  private readonly dateOf: (time: number) => number
  private readonly entries = new PresenceByDevice<Entry>()
  private readonly owners = new Map<string, Owner>()
  /** Ordered by their end, starting at `firstGrace`; some may be void. */
  private graces: Array<Grace> = []
  private firstGrace = 0
  /** No lease ends before this time. */
  private leaseCheck = Infinity
  /** When the topic's timer fires. */
  timerAt = Infinity

  /** @param dateOf converts a monotonic time to a date: deadlines are monotonic times, `since` is a date */
  constructor(timing: Timing, sameMeta: (a: unknown, b: unknown) => boolean, dateOf: (time: number) => number) {
    this.timing = timing
    this.sameMeta = sameMeta
    this.dateOf = dateOf
  }

  /** When the next grace or lease may end. */
  get next(): number {
    const grace = this.graces[this.firstGrace]?.ends ?? Infinity
    return Math.min(grace, this.leaseCheck)
  }

  /** Extends the lease of an owner, which may be new. */
  private extendLease(id: string, now: number): Owner {
    const leaseEnds = now + this.timing.lease
    let owner = this.owners.get(id)
    if (owner === undefined) {
      owner = { holders: new Map(), digest: 0, leaseEnds }
      this.owners.set(id, owner)
      this.leaseCheck = Math.min(this.leaseCheck, leaseEnds)
    }
    owner.leaseEnds = leaseEnds
    return owner
  }

  /** Extends the lease of an owner that is known. `true` when the owner and the topic agree on its trackings. */
  renew(id: string, count: number, digest: number, now: number): boolean {
    const known = this.owners.get(id)
    if (known !== undefined) this.extendLease(id, now)
    return (known?.holders.size ?? 0) === count && (known?.digest ?? 0) === digest
  }

  /** Adds or updates a tracking. Ignores a revision that is not newer than the known one. */
  track(id: string, tracking: Tracking, now: number, draft: PresenceDraft): void {
    const { device, id: number, key, meta, revision, since } = tracking
    const owner = this.extendLease(id, now)
    const holder = owner.holders.get(number)
    if (holder !== undefined && holder.revision >= revision) return
    let entry = this.entries.get(key, device)
    if (entry === undefined) {
      draft.join(key, device, since ?? this.dateOf(now), meta)
      entry = { key, device, holders: 0, grace: undefined }
      this.entries.add(entry)
    } else if (!this.sameMeta(draft.device(key, device).meta, meta)) {
      draft.update(key, device, meta)
    }
    if (holder === undefined) {
      owner.holders.set(number, { entry, revision })
      owner.digest = (owner.digest + mix(revision)) | 0
      entry.holders++
      entry.grace = undefined
    } else {
      owner.digest = (owner.digest - mix(holder.revision) + mix(revision)) | 0
      holder.revision = revision
    }
  }

  /** Removes a tracking, if it is known. */
  untrack(id: string, number: number, grace: boolean, now: number, draft: PresenceDraft): void {
    const owner = this.owners.get(id)
    const holder = owner?.holders.get(number)
    if (owner === undefined || holder === undefined) return
    owner.holders.delete(number)
    owner.digest = (owner.digest - mix(holder.revision)) | 0
    if (owner.holders.size === 0) this.owners.delete(id)
    this.release(holder.entry, grace, now, draft)
  }

  /** Replaces all trackings of an owner. An entry that is in both stays held throughout. */
  sync(id: string, trackings: ReadonlyArray<Tracking>, grace: boolean, now: number, draft: PresenceDraft): void {
    const named = new Set<number>()
    for (const tracking of trackings) {
      named.add(tracking.id)
      this.track(id, tracking, now, draft)
    }
    for (const number of Array.from(this.owners.get(id)?.holders.keys() ?? [])) {
      if (!named.has(number)) this.untrack(id, number, grace, now, draft)
    }
  }

  /** Ends the graces and leases that are due. */
  tick(now: number, draft: PresenceDraft): void {
    const { timerAt, timing: { lease } } = this
    this.timerAt = Infinity
    // The timer was late because this process stalled: renewals may be as late.
    if (now >= timerAt + lease / 3) this.extendLeases(now + lease / 3)
    this.endGraces(now, draft)
    if (now >= this.leaseCheck) this.endLeases(now, draft)
  }

  private extendLeases(until: number): void {
    for (const owner of this.owners.values()) owner.leaseEnds = Math.max(owner.leaseEnds, until)
  }

  private endGraces(now: number, draft: PresenceDraft): void {
    const { graces } = this
    for (; this.firstGrace < graces.length && graces[this.firstGrace]!.ends <= now; this.firstGrace++) {
      const grace = graces[this.firstGrace]!
      if (grace.entry.grace === grace) this.remove(grace.entry, draft)
    }
    if (this.firstGrace * 2 < graces.length) return
    this.graces = graces.slice(this.firstGrace)
    this.firstGrace = 0
  }

  private endLeases(now: number, draft: PresenceDraft): void {
    this.leaseCheck = Infinity
    for (const [id, { holders, leaseEnds }] of this.owners) {
      if (leaseEnds > now) {
        this.leaseCheck = Math.min(this.leaseCheck, leaseEnds)
        continue
      }
      this.owners.delete(id)
      for (const { entry } of holders.values()) this.release(entry, false, now, draft)
    }
  }

  private release(entry: Entry, grace: boolean, now: number, draft: PresenceDraft): void {
    entry.holders--
    if (entry.holders > 0) return
    if (!grace || this.timing.grace === 0) return this.remove(entry, draft)
    this.graces.push(entry.grace = { entry, ends: now + this.timing.grace })
  }

  private remove(entry: Entry, draft: PresenceDraft): void {
    entry.grace = undefined
    this.entries.delete(entry)
    draft.leave(entry.key, entry.device)
  }
}
