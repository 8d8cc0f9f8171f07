/** What is known of a session that is kept, besides its state. */
export class StoredFacts {
  /** The version that was written last; -1: none of this incarnation. */
  version = -1
  /** When it expires, as far as the store knows, in milliseconds since 1970; `Infinity`: never, or it is not there. */
  expiry = Infinity
  /** The epoch since which what it remembers of clients went from one incarnation to the next; `undefined`: its own. */
  remembersSince: number | undefined = undefined
  /** The parts that were left out of its snapshots. */
  leftOut: Set<string> | undefined = undefined
}
