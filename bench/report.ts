/**
 * What was measured, where, and how? The page that `--report` writes.
 */
import { readFileSync } from "node:fs"
import { availableParallelism, cpus, totalmem } from "node:os"
import {
  clusterSection,
  edgeSection,
  liveSection,
  millionSection,
  realtimeSection,
  sleepSection,
  snapshotsSection,
  storeSection
} from "./own-tables.ts"
import type { Plot } from "./plots.ts"
import type { Figures, Plan } from "./Subject.ts"
import { type Column, growthCurve, growthSection, pathsSection, verdicts, workloadSection } from "./tables.ts"

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

/** The sections of the suites that only this library runs, each with a figure that exists if the suite ran. */
const ownSections: ReadonlyArray<readonly [title: string, present: string, section: (figures: Figures) => string]> = [
  ["Stores", "store_dispatch", storeSection],
  ["Hibernation", "sleep_bytes", sleepSection],
  ["A million sessions", "million_create", millionSection],
  ["Snapshots", "behind_plain", snapshotsSection],
  ["Presence, groups and inboxes", "inbox_push", realtimeSection],
  ["The edge", "edge_cookie_us", edgeSection],
  ["Live views", "live_one_live_p50_us", liveSection],
  ["The cluster", "cluster_plain@1", clusterSection]
]

/** The sections, as they are printed and written. */
const sections = ({ columns, plan }: Results): ReadonlyArray<readonly [title: string, body: string]> => {
  const { figures, name } = columns[0]
  return [
    ["Workload", workloadSection(columns, plan.sessions)],
    ["Paths beside the hot one", pathsSection(columns, plan.batch)],
    ...ownSections.flatMap(([title, present, section]) =>
      figures[present] === undefined ? [] : [[title, section(figures)] as const]
    ),
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

const images = (plots: ReadonlyArray<Plot>, section: string): string =>
  plots.filter((plot) => plot.section === section).map(({ name, title }) => `\n\n![${title}](plots/${name}.svg)`).join(
    ""
  )

/** All of it as a page, with the plots in their sections. */
export const renderPage = (results: Results, plots: ReadonlyArray<Plot>): string =>
  [
    "# Benchmarks",
    `Written by \`npm run ${results.full ? "bench:full" : "bench"} -- --report\`.`,
    `Machine: ${machine()}.`,
    "Absolute numbers depend on the machine and on what else it does; ratios within one run are what counts. Each subject " +
    "runs each suite in a process of its own, after a warm-up; bytes are what the heap holds after a full collection. " +
    "The first column is the median of three processes for the workload in a full run. OTP (GenServer, Registry, " +
    "DynamicSupervisor) runs on one scheduler and on two, and each figure is the better one. `naive Effect` is a " +
    "fiber, a Queue, a SubscriptionRef and a Deferred for each session or call, without expiry, limits, supervision or telemetry. " +
    "Among a million the sessions' clock is virtual, so that they fall asleep when they are told to; what is timed is timed " +
    "by the machine's. Snapshots are compared with a writer that puts the same bytes into the same server or directories " +
    "and looks at nothing; the servers do not force what they write to the disk, for either.",
    explanation,
    ...sections(results).map(([title, body]) => `## ${title}\n\n${body}${images(plots, title)}`)
  ].join("\n\n") + "\n"
