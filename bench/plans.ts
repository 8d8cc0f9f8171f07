/** What does a run do: which suites, of whom, and how much of each? */
import type { SuiteName } from "./children.ts"
import type { Plan } from "./Subject.ts"

/** What every subject goes through. */
export const comparedSuites: ReadonlyArray<SuiteName> = ["workload", "growth", "paths"]

/** What only this library has. */
const quickSuites: ReadonlyArray<SuiteName> = ["store", "sleep", "edge"]

/** A quick run has no time for other servers beside ours, for disks and databases, and for a million. */
const fullSuites: ReadonlyArray<SuiteName> = [...quickSuites, "realtime", "live", "million", "snapshots", "writeBehind"]

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

/** As often as the comparison with OTP does everything. */
export const comparisonPlan: Plan = { ...fullPlan, effort: 1 }

export const planOf = (full: boolean): Plan => full ? fullPlan : quickPlan

/** How much of it the measured subject does: the baselines would need minutes and many gigabytes for a million. */
export const ownPlanOf = (full: boolean, plan: Plan): Plan =>
  full ? { ...plan, sizes: [...plan.sizes, 1_000_000] } : plan
