/**
 * Does a session cost the same when there are many? At each size: create all, touch them, look them up, sweep with nothing
 * expired, end all. A cost per session that grows with their number reveals a hidden scan. Small sizes are repeated and give
 * the median.
 */
import { Effect } from "effect"
import { loop, makeIds, median, memory, millis, rate } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"
import { settled, warmUp } from "./workload.ts"

/** With fewer sessions, their bytes cannot be told from other allocations. */
const leastForMemory = 1_000

export const growth = (driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.gen(function*() {
    const figures: Record<string, number> = {}
    const all = makeIds(Math.max(...plan.sizes))
    yield* warmUp(driver)
    for (const n of plan.sizes) {
      const ids = all.slice(0, n)
      const repetitions = Math.min(Math.max(Math.floor(30_000 * plan.effort / n), 1), 50)
      const passes = Math.max(Math.round(1_000_000 * plan.effort / n / repetitions), 1)
      const found: Record<string, Array<number>> = {}
      const note = (name: string, value: number) => (found[`${name}@${n}`] ??= []).push(value)
      for (let repetition = 1; repetition <= repetitions; repetition++) {
        const weighs = repetition === repetitions && n >= leastForMemory
        const before = weighs ? yield* memory : 0
        note("create", yield* rate(n, loop(driver.create, ids)))
        yield* settled(driver, n)
        if (weighs) note("bytes", ((yield* memory) - before) / n)
        if (driver.touch !== undefined) note("touch", yield* rate(n, loop(driver.touch, ids)))
        note("lookup", yield* rate(passes * n, loop(driver.lookup, ids, passes)))
        if (driver.sweep !== undefined) note("sweep_ms", yield* millis(driver.sweep))
        note("end", yield* rate(n, loop(driver.end, ids)))
        yield* settled(driver, 0)
      }
      for (const [name, values] of Object.entries(found)) figures[name] = median(values)
    }
    return figures
  })
