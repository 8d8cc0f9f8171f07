/**
 * What happens with a million sessions, of which one in a hundred is active? All are started, all but the active ones
 * hibernate, and the active ones are called: in a process with all the others, and in a process without them. Both take
 * turns, so that the ratios hold when the machine's speed drifts.
 */
import { Effect } from "effect"
import { median, quantile } from "../measure.ts"
import { activeCount, type Asked, type Said, totalCount } from "../million-host.ts"
import { type Remote, startRemote } from "../servers.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

type Host = Remote<Asked, Said>

type Weight = Extract<Said, { readonly type: "memory" }>
type Swept = Extract<Said, { readonly type: "swept" }>

const startHost = async (what: "all" | "alone"): Promise<Host> => {
  const { next, remote } = startRemote<Asked, Said>(new URL("../million-host.ts", import.meta.url), what)
  await next("ready")
  return remote
}

/** At how many sessions the rate of starts is noted. */
const step = totalCount / 10

const turns = 20
const warmUps = 5

/** Which percentiles of the latencies are reported, by the end of the figure's name. */
const shares = { p50: 0.5, p90: 0.9, p99: 0.99, p999: 0.999, max: 1 } as const

const percentiles = (prefix: string, micros: ReadonlyArray<number>): Figures =>
  Object.fromEntries(Object.entries(shares).map(([name, share]) => [`${prefix}_${name}_us`, quantile(micros, share)]))

/** Asks both processes in turn for the same. The first turns are the warm-up. */
const latencies = async (prefix: string, all: Host, alone: Host, turns: number, asked: Asked): Promise<Figures> => {
  const found = { all: [] as Array<number>, alone: [] as Array<number> }
  for (let turn = -warmUps; turn < turns; turn++) {
    const ofAll = await all.ask(asked, "called")
    const ofAlone = await alone.ask(asked, "called")
    if (turn < 0) continue
    found.all.push(...ofAll.micros)
    found.alone.push(...ofAlone.micros)
  }
  return { ...percentiles(prefix, found.all), ...percentiles(`${prefix}_alone`, found.alone) }
}

/** Sweeps in both processes in turn. The first is the warm-up. */
const sweeps = async (all: Host, alone: Host): Promise<Figures> => {
  const found = { all: [] as Array<Swept>, alone: [] as Array<Swept> }
  for (let turn = 0; turn <= 5; turn++) {
    const ofAll = await all.ask({ type: "sweep", count: activeCount }, "swept")
    const ofAlone = await alone.ask({ type: "sweep", count: activeCount }, "swept")
    if (turn === 0) continue
    found.all.push(ofAll)
    found.alone.push(ofAlone)
  }
  const empty = (all: ReadonlyArray<Swept>) => median(all.map(({ empty }) => empty)) * 1_000
  const millis = (all: ReadonlyArray<Swept>) => median(all.map(({ millis }) => millis))
  return {
    million_sweep_empty_us: empty(found.all),
    million_alone_sweep_empty_us: empty(found.alone),
    million_sweep_ms: millis(found.all),
    million_alone_sweep_ms: millis(found.alone)
  }
}

const measure = async (): Promise<Figures> => {
  const [all, alone] = await Promise.all([startHost("all"), startHost("alone")])
  try {
    const figures: Record<string, number> = { million_count: totalCount, million_active: activeCount }
    const weigh = async (name: "awake" | "asleep", before: Weight) => {
      const { heap, rss } = await all.ask({ type: "memory", compact: name === "asleep" }, "memory")
      figures[`million_${name}_heap`] = heap - before.heap
      figures[`million_${name}_rss`] = rss
    }

    await alone.ask({ type: "start", count: activeCount }, "started")
    const before = await all.ask({ type: "memory", compact: false }, "memory")
    let total = 0
    for (let count = step; count <= totalCount; count += step) {
      const { millis } = await all.ask({ type: "start", count: step }, "started")
      figures[`million_create@${count}`] = step * 1_000 / millis
      total += millis
    }
    figures["million_create"] = totalCount * 1_000 / total
    await weigh("awake", before)

    const rested = await all.ask({ type: "rest" }, "rested")
    await alone.ask({ type: "rest" }, "rested")
    figures["million_asleep"] = rested.asleep
    figures["million_rest_ms"] = rested.millis
    figures["million_rest_longest_ms"] = rested.longest
    figures["million_rest_idle_us"] = rested.idle * 1_000
    await weigh("asleep", before)

    Object.assign(figures, await latencies("million_call", all, alone, turns, { type: "call" }))
    Object.assign(figures, await latencies("million_wake", all, alone, 5, { type: "wake", count: activeCount }))

    Object.assign(figures, await sweeps(all, alone))
    return figures
  } finally {
    all.stop()
    alone.stop()
  }
}

/** Ignores the driver: only this library has hibernation. */
export const million = (_driver: Driver, _plan: Plan): Effect.Effect<Figures, unknown> => Effect.tryPromise(measure)
