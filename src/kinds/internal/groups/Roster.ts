/**
 * The members of one group in the order in which they joined: those who joined one after the other mostly lie beside each
 * other in memory, and a broadcast that goes through them as they lie is twice as fast as one in the order of their hashes.
 */
import * as HashMap from "effect/HashMap"
import type { State } from "../../Groups.ts"

type Members = State["members"]

export class Roster {
  /** The members that it lists; others, as after a crash, are listed anew. */
  private known: Members | undefined
  private ids = new Set<string>()

  of(members: Members): ReadonlySet<string> {
    if (this.known !== members) {
      this.ids = new Set(HashMap.keys(members))
      this.known = members
    }
    return this.ids
  }

  joined(before: Members, after: Members, member: string): void {
    this.of(before)
    this.ids.add(member)
    this.known = after
  }

  left(before: Members, after: Members, members: Iterable<string>): void {
    this.of(before)
    for (const member of members) this.ids.delete(member)
    this.known = after
  }
}
