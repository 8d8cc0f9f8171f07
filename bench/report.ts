/**
 * What was measured, where, and how? The page that `--report` writes.
 */
import { readFileSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import type { Figures, Plan } from "./Subject.ts"
import {
  type Column,
  edgeSection,
  growthCurve,
  growthSection,
  liveSection,
  pathsSection,
  sleepSection,
  storeSection,
  verdicts,
  workloadSection
} from "./tables.ts"

export interface Results {
  readonly full: boolean
  readonly plan: Plan
  /** The measured subject, then the baselines. */
  readonly columns: readonly [Column & { readonly figures: Figures }, ...ReadonlyArray<Column>]
}

const effectVersion = (): string =>
  JSON.parse(readFileSync(new URL(import.meta.resolve("effect/package.json")), "utf8")).version

const machine = (): string =>
  `${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, ` +
  `${Math.round(totalmem() / 2 ** 30)} GB; Node ${process.versions.node}, effect ${effectVersion()}`

const explanation =
  "A cell gives the figure and, in brackets, how many times better the first column is (for bytes and milliseconds: how " +
  "many times less). `-`: the subject has no such thing."

/** The sections, as they are printed and written. */
const sections = ({ columns, plan }: Results): ReadonlyArray<readonly [title: string, body: string]> => {
  const { figures, name } = columns[0]
  return [
    ["Workload", workloadSection(columns, plan.sessions)],
    ["Paths beside the hot one", pathsSection(columns, plan.batch)],
    ...(figures["store_dispatch"] === undefined ? [] : [["Stores", storeSection(figures)] as const]),
    ...(figures["sleep_bytes"] === undefined ? [] : [["Hibernation", sleepSection(figures)] as const]),
    ...(figures["edge_cookie_us"] === undefined ? [] : [["The edge", edgeSection(figures)] as const]),
    ...(figures["live_one_live_p50_us"] === undefined ? [] : [["Live views", liveSection(figures)] as const]),
    ["By size", growthSection(columns, plan.sizes)],
    [`Growth curve of ${name}`, growthCurve(figures, plan.sizes)],
    ["Verdicts", verdicts(figures, plan.sizes).map((verdict) => `- ${verdict}`).join("\n")]
  ]
}

/** All of it as a text for a terminal. */
export const renderText = (results: Results): string =>
  [
    machine(),
    explanation,
    ...sections(results).map(([title, body]) => `${title}\n\n${body}`)
  ].join("\n\n")

/** All of it as a page. */
export const renderPage = (results: Results): string =>
  [
    "# Benchmarks",
    `Written by \`npm run ${results.full ? "bench:full" : "bench"} -- --report\`.`,
    `Machine: ${machine()}.`,
    "Absolute numbers depend on the machine and on what else it does; ratios within one run are what counts. Each subject " +
    "runs each suite in a process of its own, after a warm-up; bytes are what the heap holds after a full collection. " +
    "The first column is the median of three processes for the workload in a full run. OTP (GenServer, Registry, " +
    "DynamicSupervisor) runs on one scheduler and on two, and each figure is the better one. `naive Effect` is a " +
    "fiber, a Queue, a SubscriptionRef and a Deferred for each session or call, without expiry, limits, supervision or telemetry.",
    explanation,
    ...sections(results).map(([title, body]) => `## ${title}\n\n${body}`)
  ].join("\n\n") + "\n"
