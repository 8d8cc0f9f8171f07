/**
 * Which Scopes of this process hold which members in which groups.
 */
export class Holds {
  private readonly groups = new Map<string, Map<string, Set<object>>>()

  add(group: string, member: string, holder: object): void {
    let members = this.groups.get(group)
    if (members === undefined) this.groups.set(group, members = new Map())
    // A new Set, so that who was told of the holders notices that there is another one.
    members.set(member, new Set([...members.get(member) ?? [], holder]))
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

  /** The holders of each member of a group. */
  holdersOf(group: string): ReadonlyMap<string, ReadonlySet<object>> {
    return new Map(this.groups.get(group))
  }

  /** Forgets the holders of a member: with `holders`, only as long as those are the ones. */
  forget(group: string, member: string, holders?: ReadonlySet<object>): void {
    const members = this.groups.get(group)
    if (holders !== undefined && members?.get(member) !== holders) return
    if (members?.delete(member) === true && members.size === 0) this.groups.delete(group)
  }
}
