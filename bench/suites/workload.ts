/**
 * How does a session compare with a plain OTP process, and with actors of other libraries? The operations and counts are those
 * of a plain GenServer + Registry + DynamicSupervisor benchmark (`baselines/otp.exs`): create all, call and cast to 1,000 of
 * them, evenly spaced, look all of them up, end all.
 */
import { Effect } from "effect"
import { breathe, burst, clients, loop, makeIds, memory, rate, spread } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

const targetCount = 1_000
const clientCount = 100

/** Warms up the compiler before anything is timed. Ends the sessions that it starts. */
export const warmUp = (driver: Driver): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const ids = makeIds(2_000, "warm_")
    yield* loop(driver.create, ids)
    yield* loop(driver.call, ids, 2)
    yield* clients(driver.call, ids.slice(0, 500), 10, 1)
    yield* burst(driver.cast, ids, 2)
    if (driver.castEffect !== undefined) yield* burst(driver.castEffect, ids, 2)
    yield* loop(driver.call, ids)
    if (driver.effectful !== undefined) {
      yield* loop(driver.effectful.call, ids, 2)
      yield* burst(driver.effectful.cast, ids, 2)
      yield* loop(driver.call, ids)
    }
    yield* loop(driver.lookup, ids, 2)
    if (driver.lookupEffect !== undefined) yield* loop(driver.lookupEffect, ids, 2)
    yield* loop(driver.end, ids)
    yield* settled(driver, 0)
  })

/** Lets background work finish, and checks the number of sessions. */
export const settled = (driver: Driver, expected: number): Effect.Effect<void> =>
  Effect.gen(function*() {
    yield* breathe
    const count = yield* driver.count
    if (count !== expected) return yield* Effect.die(new Error(`there are ${count} sessions instead of ${expected}`))
  })

export const workload = (driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.gen(function*() {
    const rounds = (count: number) => Math.max(Math.round(count * plan.effort), 1)
    const n = plan.sessions
    const ids = makeIds(n)
    const targets = spread(ids, targetCount)
    const [sequential, concurrent, casting] = [rounds(200), rounds(10), rounds(500)]
    const passes = rounds(Math.max(Math.floor(1_000_000 / n), 1))
    yield* warmUp(driver)

    const before = yield* memory
    const creates = yield* rate(n, loop(driver.create, ids))
    yield* settled(driver, n)
    const bytes = ((yield* memory) - before) / n

    const calls = yield* rate(sequential * targets.length, loop(driver.call, targets, sequential))
    const concurrentCalls = yield* rate(
      concurrent * clientCount * targets.length,
      clients(driver.call, targets, clientCount, concurrent)
    )
    // The final calls return when every cast before them has been handled.
    const casts = (operation: Driver["cast"]) =>
      rate(
        casting * targets.length,
        Effect.andThen(burst(operation, targets, casting), loop(driver.call, targets))
      )
    const fastCasts = yield* casts(driver.cast)
    const effectful = driver.effectful === undefined ? {} : {
      calls_handler_per_s: yield* rate(
        sequential * targets.length,
        loop(driver.effectful.call, targets, sequential)
      ),
      casts_handler_per_s: yield* casts(driver.effectful.cast)
    }
    const effectCasts = driver.castEffect === undefined ? {} : { casts_effect_per_s: yield* casts(driver.castEffect) }

    const lookups = yield* rate(passes * n, loop(driver.lookup, ids, passes))
    const effectLookups = driver.lookupEffect === undefined
      ? {}
      : { lookups_effect_per_s: yield* rate(passes * n, loop(driver.lookupEffect, ids, passes)) }

    const terminates = yield* rate(n, loop(driver.end, ids))
    yield* settled(driver, 0)

    return {
      creates_per_s: creates,
      bytes_per_session: bytes,
      calls_seq_per_s: calls,
      calls_conc_per_s: concurrentCalls,
      casts_per_s: fastCasts,
      ...effectCasts,
      ...effectful,
      lookups_per_s: lookups,
      ...effectLookups,
      terminates_per_s: terminates
    }
  })
