/**
 * Which members of one group Scopes of other processes hold. A process renews its lease while it holds any; what it does not
 * renew has ended, since the process is gone.
 */
interface Lease {
  members: Set<string>
  ends: number
}

/** Holds what a group was restored with, until the processes that hold it say so. */
const nobodyYet = ""

export class Leases {
  private readonly length: number
  private readonly owners = new Map<string, Lease>()

  /** @param length of a lease, in milliseconds */
  constructor(length: number) {
    this.length = length
  }

  /** Members that some process held before the group was restored. */
  restored(members: Iterable<string>, now: number): void {
    this.owners.set(nobodyYet, { members: new Set(members), ends: now + this.length })
  }

  /** A process holds one member more. */
  add(owner: string, member: string, now: number): void {
    const lease = this.owners.get(owner)
    if (lease === undefined) this.owners.set(owner, { members: new Set([member]), ends: now + this.length })
    else {
      lease.members.add(member)
      lease.ends = now + this.length
    }
  }

  /** A process renews its lease, for these members. Gives those that it held before. */
  renew(owner: string, members: ReadonlyArray<string>, now: number): ReadonlySet<string> {
    const before = this.owners.get(owner)?.members ?? new Set()
    this.owners.set(owner, { members: new Set(members), ends: now + this.length })
    const waiting = this.owners.get(nobodyYet)?.members
    if (waiting !== undefined) { for (const member of members) waiting.delete(member) }
    return before
  }

  remove(owner: string, member: string): void {
    this.owners.get(owner)?.members.delete(member)
    this.owners.get(nobodyYet)?.members.delete(member)
  }

  has(member: string): boolean {
    for (const { members } of this.owners.values()) if (members.has(member)) return true
    return false
  }

  /** Ends the leases that are due, and gives the members of them. */
  lapse(now: number): Array<string> {
    const lapsed: Array<string> = []
    for (const [owner, { ends, members }] of this.owners) {
      if (ends > now) continue
      this.owners.delete(owner)
      for (const member of members) lapsed.push(member)
    }
    return lapsed
  }
}
