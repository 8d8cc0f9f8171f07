/**
 * How are measurements isolated? Each subject runs each suite in its own process, so that heaps do not mix, the compiler has
 * seen no other code, and nothing is left behind.
 */
import { Effect, References } from "effect"
import { execFile } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Driver, Figures, Plan, Subject } from "./Subject.ts"
import { growth } from "./suites/growth.ts"
import { paths } from "./suites/paths.ts"
import { realtime } from "./suites/realtime.ts"
import { sleep } from "./suites/sleep.ts"
import { store } from "./suites/store.ts"
import { workload } from "./suites/workload.ts"

type Suite = (driver: Driver, plan: Plan) => Effect.Effect<Figures, unknown>

/** Loaded only when needed, so that the other suites load no servers and stores. */
const alone = (load: () => Promise<Suite>): Suite => (driver, plan) =>
  Effect.flatMap(Effect.promise(load), (suite) => suite(driver, plan))

const suites = {
  workload,
  growth,
  paths,
  store,
  sleep,
  realtime,
  edge: alone(async () => (await import("./suites/edge.ts")).edge),
  live: alone(async () => (await import("./suites/live.ts")).live),
  million: alone(async () => (await import("./suites/million.ts")).million),
  snapshots: alone(async () => (await import("./suites/snapshots.ts")).snapshots),
  writeBehind: alone(async () => (await import("./suites/write-behind.ts")).writeBehind),
  cluster: alone(async () => (await import("./suites/cluster.ts")).cluster)
} satisfies Readonly<Record<string, Suite>>

export type SuiteName = keyof typeof suites

/** The built-in subjects. Any other name is the URL of a module. */
const builtIn: Readonly<Record<string, () => Promise<{ readonly default: Subject }>>> = {
  reference: () => import("./reference.ts"),
  naive: () => import("./baselines/naive.ts"),
  xstate: () => import("./baselines/xstate.ts"),
  nact: () => import("./baselines/nact.ts")
}

/** The request to a child. */
export interface Task {
  readonly subject: string
  readonly suite: SuiteName
  readonly plan: Plan
}

const execute = promisify(execFile)

const mainFile = fileURLToPath(new URL("./main.ts", import.meta.url))

/** A heap limit that is large enough for a million sessions. It changes nothing below the limit. */
const childOptions = ["--max-old-space-size=8192"]

export const loadSubject = async (name: string): Promise<Subject> => {
  const module = await (builtIn[name]?.() ?? import(name))
  const subject = module.default
  if (typeof subject?.name !== "string" || !Effect.isEffect(subject.open)) {
    throw new TypeError(`the default export of ${name} is not a benchKind(…): see bench/harness.ts`)
  }
  return subject
}

/** Runs one suite in its own process. */
export const runInChild = async (task: Task): Promise<Figures> => {
  const args = [...process.execArgv, ...childOptions, mainFile, "--task", JSON.stringify(task)]
  const running = execute(process.execPath, args, { maxBuffer: 1 << 26 })
  // Its output besides the figures, such as what it cannot measure here.
  running.child.stderr?.pipe(process.stderr)
  const { stdout } = await running
  const lines = stdout.trimEnd().split("\n")
  return JSON.parse(lines[lines.length - 1]!)
}

/** The child's side: runs the suite here and prints its figures as the last line. */
export const runTask = async (task: Task): Promise<void> => {
  const subject = await loadSubject(task.subject)
  const suite = suites[task.suite]
  const plan = { ...task.plan, effort: task.plan.effort * (subject.effort ?? 1) }
  const program = Effect.scoped(Effect.flatMap(subject.open, (driver) => suite(driver, plan)))
  const figures = await Effect.runPromise(Effect.provideService(program, References.MinimumLogLevel, "Warn"))
  // Exits at once: some subjects leave timers behind.
  process.stdout.write(`${JSON.stringify(figures)}\n`, () => process.exit(0))
}

const otpFile = fileURLToPath(new URL("./baselines/otp.exs", import.meta.url))

/** The share of the rounds that OTP runs, because it runs them twice. */
const otpEffort = 0.25

/** For sweeps and bytes, less is better. */
export const isCost = (figure: string): boolean => figure.startsWith("bytes") || figure.startsWith("sweep_ms")

const best = (runs: ReadonlyArray<Figures>): Figures => {
  const figures: Record<string, number> = {}
  for (const run of runs) {
    for (const [name, value] of Object.entries(run)) {
      const known = figures[name]
      if (known === undefined || (isCost(name) ? value < known : value > known)) figures[name] = value
    }
  }
  return figures
}

const runOtpOn = async (schedulers: number, plan: Plan): Promise<Figures> => {
  const args = [plan.sessions, plan.sizes.join(","), plan.batch, (plan.effort * otpEffort).toFixed(3), plan.runs].map(
    String
  )
  const { stdout } = await execute("elixir", ["--erl", `+S ${schedulers} +P 5000000`, otpFile, ...args])
  return JSON.parse(stdout)
}

/**
 * All suites in plain OTP, on one scheduler and on two, with the better result of each figure: a single client is often
 * faster without a second scheduler. `undefined` if Elixir is not installed.
 */
export const runOtp = async (plan: Plan): Promise<Figures | undefined> => {
  const runs: Array<Figures> = []
  try {
    for (const schedulers of availableParallelism() > 1 ? [1, 2] : [1]) runs.push(await runOtpOn(schedulers, plan))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined
    throw error
  }
  return best(runs)
}
