/** What does a run do? The suites, their subjects, and the size of each. */
import type { SuiteName } from "./children.ts"
import type { Plan } from "./Subject.ts"

/** The suites that every subject runs. */
export const comparedSuites: ReadonlyArray<SuiteName> = ["workload", "growth", "paths"]

/** The suites that only this library runs. */
const quickSuites: ReadonlyArray<SuiteName> = ["store", "sleep", "edge"]

/** A quick run leaves out other servers, disks, databases, and the million sessions. */
const fullSuites: ReadonlyArray<SuiteName> = [
  ...quickSuites,
  "realtime",
  "live",
  "million",
  "snapshots",
  "writeBehind",
  "cluster"
]

export const ownSuites = (full: boolean): ReadonlyArray<SuiteName> => full ? fullSuites : quickSuites

const quickPlan: Plan = {
  sessions: 5_000,
  sizes: [100, 500, 1_000, 5_000],
  batch: 1_000,
  effort: 0.04,
  runs: 1
}

const fullPlan: Plan = {
  sessions: 100_000,
  sizes: [100, 500, 1_000, 5_000, 10_000, 100_000],
  batch: 5_000,
  effort: 0.2,
  runs: 2
}

/** The rounds of the comparison with OTP. */
export const comparisonPlan: Plan = { ...fullPlan, effort: 1 }

export const planOf = (full: boolean): Plan => full ? fullPlan : quickPlan

/** The size for the measured subject. For a million sessions, the baselines would need minutes and many gigabytes. */
export const ownPlanOf = (full: boolean, plan: Plan): Plan =>
  full ? { ...plan, sizes: [...plan.sizes, 1_000_000] } : plan
