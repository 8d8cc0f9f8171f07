/**
 * Which Scopes of this process hold which members in which groups.
 */
export class Holds {
  private readonly groups = new Map<string, Map<string, Set<object>>>()

  add(group: string, member: string, holder: object): void {
    let members = this.groups.get(group)
    if (members === undefined) this.groups.set(group, members = new Map())
    const holders = members.get(member)
    if (holders === undefined) members.set(member, new Set([holder]))
    else holders.add(holder)
  }

  /** `true` when this was the last holder of the member. */
  remove(group: string, member: string, holder: object): boolean {
    const holders = this.groups.get(group)?.get(member)
    if (holders?.delete(holder) !== true || holders.size > 0) return false
    this.forget(group, member)
    return true
  }

  has(group: string, member: string): boolean {
    return this.groups.get(group)?.has(member) === true
  }

  /** The held members of a group. */
  of(group: string): Array<string> {
    return Array.from(this.groups.get(group)?.keys() ?? [])
  }

  forget(group: string, member: string): void {
    const members = this.groups.get(group)
    if (members?.delete(member) === true && members.size === 0) this.groups.delete(group)
  }
}
