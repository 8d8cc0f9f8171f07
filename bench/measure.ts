/**
 * How is everything measured?
 *
 * A rate is the number of operations divided by the time of a loop. What the loop needs is prepared before the clock starts.
 * The loops are the same for all subjects; only the operation differs: a plain function, an Effect, or a Promise, whichever
 * the users of the subject would write. An operation with an unexpected outcome fails the whole run, because a system that
 * refuses work must not look fast.
 */
import { Effect } from "effect"

/** An operation on the session with an id. `accept` checks the outcome; without it, any success is accepted. */
export type Operation =
  & { readonly accept?: ((outcome: any) => boolean) | undefined }
  & (
    | { readonly type: "function"; readonly run: (id: string) => unknown }
    | { readonly type: "effect"; readonly run: (id: string) => Effect.Effect<unknown, unknown> }
    | { readonly type: "promise"; readonly run: (id: string) => Promise<unknown> }
  )

const anything = () => true

const checked = (unexpected: number): Effect.Effect<void> =>
  unexpected === 0 ? Effect.void : Effect.die(new Error(`${unexpected} operations were refused or went wrong`))

/** Runs the operation on each id, one after the other, for a number of rounds. */
export const loop = (
  operation: Operation,
  ids: ReadonlyArray<string>,
  rounds = 1
): Effect.Effect<void, unknown> => {
  const accept = operation.accept ?? anything
  switch (operation.type) {
    case "function": {
      const { run } = operation
      return Effect.suspend(() => {
        let unexpected = 0
        for (let round = 0; round < rounds; round++) {
          for (const id of ids) if (!accept(run(id))) unexpected++
        }
        return checked(unexpected)
      })
    }
    case "effect": {
      const { run } = operation
      return Effect.gen(function*() {
        let unexpected = 0
        for (let round = 0; round < rounds; round++) {
          for (const id of ids) if (!accept(yield* run(id))) unexpected++
        }
        yield* checked(unexpected)
      })
    }
    case "promise": {
      const { run } = operation
      return Effect.flatMap(
        Effect.promise(async () => {
          let unexpected = 0
          for (let round = 0; round < rounds; round++) {
            for (const id of ids) if (!accept(await run(id))) unexpected++
          }
          return unexpected
        }),
        checked
      )
    }
  }
}

/** Lets everything that is scheduled run. */
export const breathe: Effect.Effect<void> = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

/**
 * `loop` for operations that are not waited for. It yields every ten rounds, as a real program does, and does not wait for what
 * was started.
 */
export const burst = (
  operation: Operation,
  ids: ReadonlyArray<string>,
  rounds: number
): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    for (let left = rounds; left > 0; left -= 10) {
      yield* loop(operation, ids, Math.min(left, 10))
      yield* breathe
    }
  })

/** A number of concurrent clients, each with one operation in flight, each starting at another session. */
export const clients = (
  operation: Operation,
  ids: ReadonlyArray<string>,
  count: number,
  rounds: number
): Effect.Effect<void, unknown> => {
  const orders = Array.from({ length: count }, (_, client) => {
    const at = Math.floor((client + 1) * ids.length / count)
    return [...ids.slice(at), ...ids.slice(0, at)]
  })
  return Effect.forEach(orders, (order) => loop(operation, order, rounds), {
    concurrency: "unbounded",
    discard: true
  })
}

/** How many milliseconds it takes. */
export const millis = <E, R>(effect: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.gen(function*() {
    const began = performance.now()
    yield* effect
    return performance.now() - began
  })

/** How many operations a second that is. */
export const rate = <E, R>(operations: number, effect: Effect.Effect<unknown, E, R>): Effect.Effect<number, E, R> =>
  Effect.map(millis(effect), (millis) => operations * 1000 / millis)

/** Bytes in use after a full collection. */
export const memory: Effect.Effect<number> = Effect.gen(function*() {
  yield* breathe
  return yield* Effect.sync(() => {
    if (globalThis.gc === undefined) throw new Error("memory cannot be measured: run node with --expose-gc")
    globalThis.gc()
    globalThis.gc()
    const usage = process.memoryUsage()
    return usage.heapUsed + usage.external
  })
})

/** The middle of several runs. */
export const median = (values: ReadonlyArray<number>): number => {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The percentile: the value below which the given share lies. */
export const quantile = (values: ReadonlyArray<number>, share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(Math.floor(values.length * share), values.length - 1)]!

/** The time in nanoseconds, on a clock that all processes of the machine share. */
export const nanos = (): number => Number(process.hrtime.bigint())

/** `session_1`, `session_2`, … */
export const makeIds = (count: number, prefix = "session_"): Array<string> =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`)

/** At most `count` of the ids, evenly spaced. */
export const spread = (ids: ReadonlyArray<string>, count: number): Array<string> => {
  const step = Math.max(Math.floor(ids.length / count), 1)
  return ids.filter((_, index) => index % step === 0).slice(0, count)
}

/** All ids in an order that defeats caches, the same in each run. */
export const shuffle = <A>(all: ReadonlyArray<A>): Array<A> => {
  // A prime that divides none of the sizes used here.
  const step = 7_919
  return all.map((_, i) => all[(i * step) % all.length]!)
}
