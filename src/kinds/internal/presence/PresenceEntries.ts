/**
 * Who holds which device of a topic, and for how long: what a topic knows besides what its readers see.
 *
 * A device is there while somebody tracks it, and for the grace after that. A topic that begins anew knows nothing of it:
 * owners say it again.
 *
 * What is due is found without looking at all: graces are as long as each other, so those that began first end first, and
 * what was held again meanwhile is passed over; of leases there are as many as processes.
 */
import type { Tracking } from "../../Presence.ts"
import { mix } from "./digest.ts"
import { PresenceByDevice } from "./PresenceByDevice.ts"
import type { PresenceDraft } from "./PresenceDraft.ts"

/** A device that is present. */
interface Seat {
  readonly key: string
  readonly device: string
  holders: number
  /** What it is there for, though nobody holds it. */
  respite: Respite | undefined
}

/** A while for which a seat stays. It is over when the seat has another one, or none. */
interface Respite {
  readonly seat: Seat
  readonly ends: number
}

interface Holder {
  readonly seat: Seat
  revision: number
}

/** A process that tracks. */
interface Owner {
  readonly holders: Map<number, Holder>
  digest: number
  leaseEnds: number
}

export interface Timing {
  /** Milliseconds. */
  readonly grace: number
  /** Milliseconds. */
  readonly lease: number
}

export class PresenceEntries {
  private readonly timing: Timing
  private readonly sameMeta: (a: unknown, b: unknown) => boolean
  private readonly dateOf: (time: number) => number
  private readonly seats = new PresenceByDevice<Seat>()
  private readonly owners = new Map<string, Owner>()
  /** In the order in which they end, the first at `firstGrace`; some may be over. */
  private graces: Array<Respite> = []
  private firstGrace = 0
  /** Not before then does a lease end. */
  private leaseCheck = Infinity
  /** When the timer of the topic is due. */
  timerAt = Infinity

  /** @param dateOf gives the date of a time: times are those of a monotonic clock, and what is shown and kept are dates */
  constructor(timing: Timing, sameMeta: (a: unknown, b: unknown) => boolean, dateOf: (time: number) => number) {
    this.timing = timing
    this.sameMeta = sameMeta
    this.dateOf = dateOf
  }

  /** When something is due next. */
  get next(): number {
    const grace = this.graces[this.firstGrace]?.ends ?? Infinity
    return Math.min(grace, this.leaseCheck)
  }

  /** The owner is there. */
  private reach(id: string, now: number): Owner {
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

  /** Does the owner say what is known here? */
  renew(id: string, count: number, digest: number, now: number): boolean {
    const known = this.owners.get(id)
    if (known !== undefined) this.reach(id, now)
    return (known?.holders.size ?? 0) === count && (known?.digest ?? 0) === digest
  }

  /** Begins a tracking, or changes it; one that is newer is left alone. */
  track(id: string, tracking: Tracking, now: number, draft: PresenceDraft): void {
    const { device, id: number, key, meta, revision, since } = tracking
    const owner = this.reach(id, now)
    const holder = owner.holders.get(number)
    if (holder !== undefined && holder.revision >= revision) return
    let seat = this.seats.get(key, device)
    if (seat === undefined) {
      draft.join(key, device, since ?? this.dateOf(now), meta)
      seat = { key, device, holders: 0, respite: undefined }
      this.seats.add(seat)
    } else if (!this.sameMeta(draft.device(key, device).meta, meta)) {
      draft.update(key, device, meta)
    }
    if (holder === undefined) {
      owner.holders.set(number, { seat, revision })
      owner.digest = (owner.digest + mix(revision)) | 0
      seat.holders++
      seat.respite = undefined
    } else {
      owner.digest = (owner.digest - mix(holder.revision) + mix(revision)) | 0
      holder.revision = revision
    }
  }

  /** Ends a tracking, if it is known. */
  untrack(id: string, number: number, grace: boolean, now: number, draft: PresenceDraft): void {
    const owner = this.owners.get(id)
    const holder = owner?.holders.get(number)
    if (owner === undefined || holder === undefined) return
    owner.holders.delete(number)
    owner.digest = (owner.digest - mix(holder.revision)) | 0
    if (owner.holders.size === 0) this.owners.delete(id)
    this.release(holder.seat, grace, now, draft)
  }

  /** What the owner says is all of its trackings. Those that stay are held throughout. */
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

  /** Ends what is due. */
  tick(now: number, draft: PresenceDraft): void {
    const { timerAt, timing: { lease } } = this
    this.timerAt = Infinity
    // The topic itself was held up: so may be those who say that they are there.
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
      const respite = graces[this.firstGrace]!
      if (respite.seat.respite === respite) this.vacate(respite.seat, draft)
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
      for (const { seat } of holders.values()) this.release(seat, false, now, draft)
    }
  }

  private release(seat: Seat, grace: boolean, now: number, draft: PresenceDraft): void {
    seat.holders--
    if (seat.holders > 0) return
    if (!grace || this.timing.grace === 0) return this.vacate(seat, draft)
    this.graces.push(seat.respite = { seat, ends: now + this.timing.grace })
  }

  private vacate(seat: Seat, draft: PresenceDraft): void {
    seat.respite = undefined
    this.seats.delete(seat)
    draft.leave(seat.key, seat.device)
  }
}
