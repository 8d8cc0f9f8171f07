/**
 * What the callers of one counter saw, and whether one counter that is in one place at a time can have answered so.
 *
 * The counter is linearizable when each answered call can be given a point in time between its beginning and its end, so that
 * the answers are those of a counter that handles the calls in that order. An addition answers with the new count, which puts
 * them all in an order; so it is enough that no two additions have the same answer, and that no call has an older answer than a
 * call that ended before it began.
 */
export interface Seen {
  readonly isAddition: boolean
  /** In milliseconds of one monotonic clock. */
  readonly began: number
  readonly ended: number
  readonly count: number
  /** Which life of the session answered. */
  readonly owner: string
}

export interface Expected {
  /** The count at the end. */
  readonly final: number
  /** How many additions may have been done or not. */
  readonly unknown: number
  /** May answered additions be lost? */
  readonly mayLose: boolean
}

/** How many answered additions are not in the final count. */
export const lost = (seen: ReadonlyArray<Seen>, { final }: Expected): number => Math.max(0, additions(seen) - final)

const additions = (seen: ReadonlyArray<Seen>): number => seen.reduce((sum, one) => one.isAddition ? sum + 1 : sum, 0)

/** What is wrong with a history, in words. */
export const problems = (seen: ReadonlyArray<Seen>, expected: Expected): Array<string> => [
  ...sums(seen, expected),
  ...expected.mayLose ? [] : order(seen),
  ...owners(seen)
]

const sums = (seen: ReadonlyArray<Seen>, { final, mayLose, unknown }: Expected): Array<string> => {
  const answered = additions(seen)
  if (final > answered + unknown) {
    return [`${final} were done, although ${answered} were answered and ${unknown} may have been done`]
  }
  return final < answered && !mayLose ? [`${answered} were answered, and ${final} are left`] : []
}

const order = (seen: ReadonlyArray<Seen>): Array<string> => {
  const found: Array<string> = []
  const done = new Map<number, Seen>()
  for (const one of seen) {
    if (!one.isAddition) continue
    const other = done.get(one.count)
    if (other !== undefined) found.push(`two additions gave ${one.count}: ${text(other)} and ${text(one)}`)
    done.set(one.count, one)
  }
  const byEnd = seen.toSorted((a, b) => a.ended - b.ended)
  let next = 0
  let newest: Seen | undefined
  for (const one of seen.toSorted((a, b) => a.began - b.began)) {
    for (; next < byEnd.length && byEnd[next]!.ended < one.began; next++) {
      if (newest === undefined || byEnd[next]!.count > newest.count) newest = byEnd[next]!
    }
    if (newest === undefined) continue
    const least = one.isAddition ? newest.count + 1 : newest.count
    if (one.count < least) found.push(`after ${text(newest)} came ${text(one)}`)
  }
  return found
}

/** Each life of a session is over before the next one begins to answer. */
const owners = (seen: ReadonlyArray<Seen>): Array<string> => {
  const lives = new Map<string, { first: Seen; last: Seen }>()
  for (const one of seen) {
    const life = lives.get(one.owner)
    if (life === undefined) lives.set(one.owner, { first: one, last: one })
    else {
      if (one.ended < life.first.ended) life.first = one
      if (one.began > life.last.began) life.last = one
    }
  }
  const all = Array.from(lives.values())
  return all.flatMap((a, i) =>
    all.slice(i + 1)
      .filter((b) => a.first.ended < b.last.began && b.first.ended < a.last.began)
      .map((b) =>
        `two nodes answered at once: ${text(a.first)} and ${text(a.last)}, ${text(b.first)} and ${text(b.last)}`
      )
  )
}

const text = ({ began, count, ended, isAddition, owner }: Seen): string =>
  `${isAddition ? "add" : "look"} ${count} by ${owner} from ${began.toFixed(1)} to ${ended.toFixed(1)}`
