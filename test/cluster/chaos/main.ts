/** Faults at random: `npm run chaos -- --seed 7 --seconds 180 [--gentle] [--expiration 5000] [--sessions 60]`. */
import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { bundle } from "../../programs.ts"
import { pauses } from "./pauses.ts"
import { run } from "./run.ts"

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(Math.floor(Math.random() * 1e9)) },
    seconds: { type: "string", default: "180" },
    pauses: { type: "boolean", default: false },
    gentle: { type: "boolean", default: false },
    expiration: { type: "string", default: "5000" },
    sessions: { type: "string", default: "60" }
  }
})

// What it has started ends with it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))

const directory = await mkdtemp(join(tmpdir(), "chaos-"))
await bundle(directory, "clusterNode")
if (values.pauses) {
  const found = await Effect.runPromise(Effect.scoped(pauses({
    program: join(directory, "clusterNode.mjs"),
    directory,
    cluster: {},
    signals: ["SIGTERM", "SIGTERM", "SIGTERM", "SIGKILL", "SIGKILL", "SIGKILL", "SIGSTOP"],
    sessions: Number(values.sessions),
    pause: 50
  })))
  console.log(found)
  process.exit(0)
}

const report = await Effect.runPromise(Effect.scoped(run({
  program: join(directory, "clusterNode.mjs"),
  directory,
  seed: Number(values.seed),
  seconds: Number(values.seconds),
  isGentle: values.gentle,
  expiration: Number(values.expiration),
  sessions: Number(values.sessions),
  cluster: { expiration: Number(values.expiration), refresh: Math.floor(Number(values.expiration) * 0.3) },
  log: (line) => console.log(line)
})))
console.log({ ...report, problems: report.problems.slice(0, 20), problemsInAll: report.problems.length })
if (report.problems.length > 0) {
  console.log(`the logs of the nodes are in ${directory}`)
  process.exitCode = 1
} else await rm(directory, { recursive: true })
