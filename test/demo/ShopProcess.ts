/**
 * The shop as a process of its own. Killed with the test.
 */
import { Deferred, Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"

/** What Node runs: the bundle of `programs.ts`, or the sources, as `npm start` does. */
const commands = {
  bundle: () => [join(inject("programs"), "shop.mjs")],
  sources: () => ["--conditions=source", fileURLToPath(new URL("../../examples/demo/main.ts", import.meta.url))]
}

export interface Shop {
  readonly process: ChildProcess
  /** The line with which it opens; fails the test when it ends before. */
  readonly url: Effect.Effect<string>
  readonly ended: Effect.Effect<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>
}

export const start = (
  env: Record<string, string>,
  from: keyof typeof commands = "bundle"
): Effect.Effect<Shop, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const process = spawn(globalThis.process.execPath, commands[from](), {
        env: { PATH: globalThis.process.env["PATH"], PORT: "0", ...env }
      })
      let stdout = ""
      let stderr = ""
      const url = Deferred.makeUnsafe<string>()
      const ended = Deferred.makeUnsafe<{ code: number | null; stdout: string; stderr: string }>()
      process.stdout.on("data", (chunk) => {
        stdout += chunk
        const found = /^The corner shop is open: (http:\S+)\n/.exec(stdout)?.[1]
        if (found !== undefined) Deferred.doneUnsafe(url, Effect.succeed(found))
      })
      process.stderr.on("data", (chunk) => {
        stderr += chunk
      })
      process.on("close", (code) => {
        Deferred.doneUnsafe(url, Effect.die(new Error(`ended with ${code}: ${stderr}`)))
        Deferred.doneUnsafe(ended, Effect.succeed({ code, stdout, stderr }))
      })
      return { process, url: Deferred.await(url), ended: Deferred.await(ended) }
    }),
    ({ process }) => Effect.sync(() => process.kill("SIGKILL"))
  )
