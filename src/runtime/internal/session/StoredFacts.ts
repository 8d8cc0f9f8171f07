/** What a session knows of its own snapshot. */
export class StoredFacts {
  /** The version that was written last; -1: nothing of this incarnation was written. */
  version = -1
  /** When it expires, as far as the store knows, in milliseconds since 1970; `Infinity`: never, or it is not there. */
  expiry = Infinity
  /** The epoch since which the reply cache goes back without a gap; `undefined`: the present epoch. */
  remembersSince: number | undefined = undefined
  /** The parts that could not be encoded and are missing in its snapshots. */
  leftOut: Set<string> | undefined = undefined
}
