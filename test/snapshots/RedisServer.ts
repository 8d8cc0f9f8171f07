/**
 * A Redis server for a test: that of `REDIS_URL`, or one of its own, with its data in a temporary directory.
 */
import { NodeRedis } from "@effect/platform-node"
import { Effect } from "effect"
import * as Redis from "effect/persistence/Redis"
import { randomUUID } from "node:crypto"
import { accessSync, constants } from "node:fs"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import type { TestOptions } from "vitest"
import * as ServerProcess from "./ServerProcess.ts"

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const givenUrl = process.env["REDIS_URL"] || undefined

const isThere = givenUrl !== undefined ||
  (process.env["PATH"] ?? "").split(delimiter).some((directory) => isExecutable(join(directory, "redis-server")))

/** Options of a test that needs Redis: it is skipped where there is none. */
export const needed: TestOptions = isThere
  ? {}
  : { skip: true, meta: { needs: "Redis: apt-get install redis-server, or set REDIS_URL" } }

const ownServer = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "snapshots-redis-"))),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )
  const options = [
    "--bind",
    "127.0.0.1",
    "--dir",
    directory,
    "--maxmemory",
    "256mb",
    "--save",
    "",
    "--appendonly",
    "no"
  ]
  const port = yield* ServerProcess.onFreePort((port) =>
    ServerProcess.run("redis-server", ["--port", `${port}`, ...options], { ready: "Ready to accept connections" })
  )
  return `redis://127.0.0.1:${port}`
})

/** Deletes what a test has left in a server that others use, too. */
const clear = (url: string, prefix: string) =>
  Effect.gen(function*() {
    const redis = yield* Redis.Redis
    let cursor = "0"
    do {
      const found = yield* redis.send<readonly [string, ReadonlyArray<string>]>(
        "SCAN",
        cursor,
        "MATCH",
        `${prefix}*`,
        "COUNT",
        "1000"
      )
      cursor = found[0]
      if (found[1].length > 0) yield* redis.send("UNLINK", ...found[1])
    } while (cursor !== "0")
  }).pipe(Effect.provide(NodeRedis.layer({ url })), Effect.orDie)

export interface Place {
  readonly url: string
  /** What all keys of the test begin with: others may use the server, too. */
  readonly prefix: string
}

/** Finds the server, or starts one. What begins with the prefix is gone at the end. */
export const start = Effect.gen(function*() {
  const prefix = `effect-sessions-test-${randomUUID()}:`
  const url = givenUrl ?? (yield* ownServer)
  return yield* Effect.acquireRelease(
    Effect.succeed<Place>({ url, prefix }),
    () => givenUrl === undefined ? Effect.void : clear(url, prefix)
  )
})
