/** A Redis server of its own for a test, with its data in a temporary directory. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "./PostgresServer.ts"

/** Starts it, and gives its URL. `redis-server` must be installed: `apt-get install redis-server`. */
export const start = Effect.gen(function*() {
  const port = yield* freePort
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "snapshots-redis-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const options = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", directory, "--maxmemory", "256mb"]
  yield* Effect.acquireRelease(
    Effect.promise(() =>
      new Promise<() => Promise<void>>((resolve, reject) => {
        const child = spawn("redis-server", [...options, "--save", "", "--appendonly", "no"])
        const ended = new Promise<void>((end) => child.once("close", () => end()))
        let log = ""
        child.once("error", (cause) =>
          reject(new Error("redis-server did not start, install it: apt-get install redis-server", { cause })))
        child.once("close", (code) =>
          reject(new Error(`redis-server ended with ${code}:\n${log}`)))
        child.stdout.on("data", (chunk) => {
          log += chunk
          if (!log.includes("Ready to accept connections")) return
          child.stdout.removeAllListeners("data").resume()
          resolve(() => {
            child.kill("SIGKILL")
            return ended
          })
        })
      })
    ),
    (stop) => Effect.promise(stop)
  )
  return `redis://127.0.0.1:${port}`
})
