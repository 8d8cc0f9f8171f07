/**
 * How fast is the library, how much memory does a session take, and does that hold for many sessions?
 *
 *   npm run bench                                  quick: about 15 seconds
 *   npm run bench:full                             all baselines, stores, a million sessions and a cluster: six minutes
 *   npm run bench:full -- --report                 the same, and writes bench/report.md and bench/plots
 *   npm run bench -- --module ./my-kind.ts         your own kind: see bench/harness.ts
 *   npm run --silent bench -- --json --sessions N  the workload only, as one JSON line
 */
import { mkdirSync, writeFileSync } from "node:fs"
import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { loadSubject, runInChild, runOtp, runTask, type SuiteName } from "./children.ts"
import { median } from "./measure.ts"
import { comparedSuites, comparisonPlan, ownPlanOf, ownSuites, planOf } from "./plans.ts"
import { renderPage, renderText, type Results } from "./report.ts"
import type { Figures, Plan } from "./Subject.ts"
import type { Column } from "./tables.ts"

const { values: options } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    module: { type: "string" },
    report: { type: "boolean", default: false },
    sessions: { type: "string" },
    task: { type: "string" }
  }
})

/** The keys of the JSON line: those of the comparison with OTP. */
const jsonKeys = [
  "creates_per_s",
  "bytes_per_session",
  "calls_seq_per_s",
  "calls_conc_per_s",
  "casts_per_s",
  "lookups_per_s",
  "terminates_per_s"
]

const sessionsOption = (): number | undefined => {
  if (options.sessions === undefined) return undefined
  const count = Number(options.sessions)
  if (!Number.isSafeInteger(count) || count < 1) {
    throw new RangeError(`--sessions must be a whole number of at least 1, got "${options.sessions}"`)
  }
  return count
}

const progress = (text: string) =>
  process.stderr.write(`${(performance.now() / 1000).toFixed(1).padStart(6)} s  ${text}\n`)

const json = async (): Promise<void> => {
  const plan = { ...comparisonPlan, sessions: sessionsOption() ?? comparisonPlan.sessions }
  const figures = await runInChild({ subject: "reference", suite: "workload", plan })
  const entries = jsonKeys.map((key) => [key, Math.round(figures[key]!)])
  console.log(JSON.stringify({ n: plan.sessions, ...Object.fromEntries(entries) }))
}

/** The medians of the figures that all runs have. */
const medians = (runs: ReadonlyArray<Figures>): Figures =>
  Object.fromEntries(Object.keys(runs[runs.length - 1]!).map((name) => [name, median(runs.map((run) => run[name]!))]))

const run = async (subject: string, suite: SuiteName, plan: Plan): Promise<Figures> => {
  progress(`measuring ${subject}: ${suite}`)
  return runInChild({ subject, suite, plan })
}

/** All suites of one subject, each in its own process. */
const measure = async (subject: string, plan: Plan): Promise<Column & { readonly figures: Figures }> => {
  const { name } = await loadSubject(subject)
  const figures: Record<string, number> = {}
  for (const suite of comparedSuites) Object.assign(figures, await run(subject, suite, plan))
  return { name, figures }
}

const writeReport = async (results: Results): Promise<void> => {
  // Loaded only for a report.
  const { draw } = await import("./plots.ts")
  const plots = draw(results)
  const directory = new URL("./plots/", import.meta.url)
  mkdirSync(directory, { recursive: true })
  for (const { name, svg } of plots) writeFileSync(new URL(`${name}.svg`, directory), svg)
  writeFileSync(new URL("./report.md", import.meta.url), renderPage(results, plots))
}

const all = async (): Promise<void> => {
  const { full } = options
  const base = planOf(full)
  const plan = { ...base, sessions: sessionsOption() ?? base.sessions }
  const ownPlan = ownPlanOf(full, plan)
  const own = options.module === undefined ? "reference" : pathToFileURL(resolve(options.module)).href

  const measured = await measure(own, ownPlan)
  const workloads = [measured.figures]
  // The machine may be busier at one time than at another, so the workload is repeated between the baselines.
  const again = async () => {
    if (full) workloads.push(await run(own, "workload", plan))
  }
  const baselines: Array<Column> = []
  if (own !== "reference") baselines.push(await measure("reference", plan))
  baselines.push(await measure("naive", plan))
  await again()
  if (full) baselines.push(await measure("xstate", plan), await measure("nact", plan))
  await again()
  progress("measuring OTP")
  baselines.push({ name: "OTP", figures: await runOtp(plan) })
  const alone: Record<string, number> = {}
  for (const suite of own === "reference" ? ownSuites(full) : []) Object.assign(alone, await run(own, suite, plan))
  const subject = { ...measured, figures: { ...measured.figures, ...medians(workloads), ...alone } }

  const results: Results = { full, plan: ownPlan, columns: [subject, ...baselines] }
  console.log(renderText(results))
  if (options.report) await writeReport(results)
}

if (options.task !== undefined) await runTask(JSON.parse(options.task))
else if (options.json) await json()
else await all()
