/** The largest exponent: beyond it, every pause is at its limit. */
const maxDoublings = 40

/**
 * The pause before retry number `attempt`, in milliseconds. The first retry (number 1) waits `first`, each further one
 * twice as long as the one before, and none longer than `longest`. There is no pause before number 0.
 */
export const backoff = (attempt: number, first: number, longest: number): number =>
  attempt < 1 ? 0 : Math.min(longest, first * 2 ** Math.min(attempt - 1, maxDoublings))
