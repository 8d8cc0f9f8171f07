/** A child process of a test that says things line by line, and is killed at the end of the scope. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { inject } from "vitest"

export interface Child {
  readonly pid: number
  readonly lines: Array<string>
  /** Waits until so many lines came, or it ended. */
  readonly said: (count: number) => Effect.Effect<void>
  /** Waits until so many lines begin like this, or it ended. */
  readonly says: (start: string, times?: number) => Effect.Effect<void>
  /** Waits until the process has ended by itself. */
  readonly ended: Effect.Effect<void>
  /** Asks it to end, and waits until it is gone. */
  readonly stop: Effect.Effect<void>
  /** Kills it as nothing can be handled, and waits until it is gone and all that it said has come. */
  readonly kill: Effect.Effect<void>
}

/** Runs a program of `programs.ts`. */
export const start = (name: string, ...parameters: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync((): Child => {
      const path = join(inject("programs"), `${name}.mjs`)
      const child = spawn(process.execPath, ["--no-warnings", path, ...parameters], {
        stdio: ["ignore", "pipe", "inherit"]
      })
      const lines: Array<string> = []
      const waiting = new Set<() => void>()
      let rest = ""
      let hasEnded = false
      const wake = () => {
        for (const look of waiting) look()
      }
      child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
        const parts = (rest + chunk).split("\n")
        rest = parts.pop() ?? ""
        lines.push(...parts)
        wake()
      })
      child.once("close", () => {
        hasEnded = true
        wake()
      })
      const until = (isSo: () => boolean) =>
        Effect.callback<void>((resume) => {
          const look = () => {
            if (!isSo()) return
            waiting.delete(look)
            resume(Effect.void)
          }
          waiting.add(look)
          look()
        })
      return {
        pid: child.pid ?? -1,
        lines,
        said: (count) => until(() => hasEnded || lines.length >= count),
        says: (start, times = 1) =>
          until(() => hasEnded || lines.filter((line) => line.startsWith(start)).length >= times),
        ended: until(() => hasEnded),
        stop: Effect.suspend(() => {
          child.kill("SIGTERM")
          return until(() => hasEnded)
        }),
        kill: Effect.suspend(() => {
          child.kill("SIGKILL")
          return until(() => hasEnded)
        })
      }
    }),
    (child) => child.kill
  )
