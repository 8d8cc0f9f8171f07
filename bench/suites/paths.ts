/**
 * How fast are the other paths? Batches, a broadcast, the sweep of expired sessions, errors, and different numbers of
 * concurrent clients. If a subject has no batch operation, its sessions are started and ended one by one.
 */
import { Effect } from "effect"
import { breathe, clients, loop, makeIds, median, type Operation, rate } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"
import { settled, warmUp } from "./workload.ts"

const broadcasts = 10

const times = <A, E>(count: number, effect: Effect.Effect<A, E>): Effect.Effect<Array<A>, E> =>
  Effect.forEach(Array.from({ length: count }), () => effect)

export const paths = (driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.gen(function*() {
    const { batch: n, runs } = plan
    const ids = makeIds(n)
    const startAll = driver.startAll?.(ids) ?? loop(driver.create, ids)
    const endAll = driver.endAll?.(ids) ?? loop(driver.end, ids)
    yield* warmUp(driver)
    const figures: Record<string, number> = {}

    const batches = yield* times(
      runs,
      Effect.gen(function*() {
        const starts = yield* rate(n, startAll)
        yield* settled(driver, n)
        const ends = yield* rate(n, endAll)
        yield* settled(driver, 0)
        return [starts, ends] as const
      })
    )
    figures["batch_start"] = median(batches.map(([starts]) => starts))
    figures["batch_end"] = median(batches.map(([, ends]) => ends))

    const { startExpired, sweep } = driver
    if (startExpired !== undefined && sweep !== undefined) {
      const sweeps = yield* times(
        runs,
        Effect.gen(function*() {
          yield* startExpired(ids)
          // Expired deadlines are noticed within a tenth of a second.
          yield* Effect.sleep(150)
          const swept = yield* rate(n, sweep)
          yield* settled(driver, 0)
          return swept
        })
      )
      figures["cleanup"] = median(sweeps)
    }

    yield* startAll
    const targets = ids.slice(0, Math.max(Math.round(1_000 * plan.effort), 100))
    for (const count of [10, 50, 100]) {
      const rounds = Math.max(Math.round(100_000 * plan.effort / count / targets.length), 1)
      const rates = yield* times(
        runs,
        rate(count * rounds * targets.length, clients(driver.call, targets, count, rounds))
      )
      figures[`calls@${count}`] = median(rates)
    }

    const { broadcast } = driver
    if (broadcast !== undefined) {
      const all = Effect.forEach(
        Array.from({ length: broadcasts }),
        () => Effect.andThen(broadcast, breathe),
        { discard: true }
      )
      // A call to each returns when all broadcasts have been handled.
      const rates = yield* times(runs, rate(broadcasts * n, Effect.andThen(all, loop(driver.call, ids))))
      figures["broadcast"] = median(rates)
    }

    const failing = (operation: Operation, ids: ReadonlyArray<string>) =>
      Effect.map(times(runs, rate(ids.length, loop(operation, ids))), median)
    const count = Math.max(Math.round(20_000 * plan.effort), 1_000)
    if (driver.callMissing !== undefined) {
      figures["call_missing"] = yield* failing(driver.callMissing, makeIds(count, "missing_"))
    }
    if (driver.startRefused !== undefined) {
      figures["start_refused"] = yield* failing(driver.startRefused, makeIds(count, "not an id "))
    }
    yield* endAll
    yield* settled(driver, 0)
    return figures
  })
