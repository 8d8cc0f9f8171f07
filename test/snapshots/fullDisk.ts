// Mounts a private disk of a megabyte, fills it by a store, makes room, and reports what happened.
import { Effect } from "effect"
import { SnapshotStore, SqliteStore } from "effect-sessions/snapshots"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { argv, execPath } from "node:process"
import { fileURLToPath } from "node:url"

const [directory, inside] = argv.slice(2) as [string, string | undefined]

const snapshotOf = (id: string, version: number) => ({
  kind: "cart",
  id,
  epoch: 1,
  version,
  format: 1,
  body: "x".repeat(20_000),
  savedAt: 0,
  expiresAt: null,
  alarmAt: null,
  user: null
})

const program = Effect.gen(function*() {
  const store = yield* SnapshotStore
  fs.writeFileSync(`${directory}/other`, "x".repeat(200_000))
  let kept = 0
  const fill: Effect.Effect<string> = Effect.suspend(() =>
    Effect.matchEffect(store.save([snapshotOf(`${kept}`, 1)]), {
      onFailure: (error) => Effect.succeed(error.message),
      onSuccess: () => {
        kept++
        return fill
      }
    })
  )
  const message = yield* fill
  console.log(`full: ${/there is no room left/.exec(message)?.[0] ?? message}`)
  console.log(kept > 5 ? "after some" : `after ${kept}`)
  fs.rmSync(`${directory}/other`)
  const [written] = yield* store.save([snapshotOf(`${kept}`, 1)])
  console.log(`goes on: ${written}`)
  const ids = yield* store.list({ kind: "cart", limit: 1000 })
  console.log(ids.length === kept + 1 ? "has all" : `has ${ids.length} of ${kept + 1}`)
})

if (inside === undefined) {
  const script = `mount -t tmpfs -o size=1m none "$1" && exec "$2" --no-warnings "$3" "$1" inside`
  const { status } = spawnSync(
    "unshare",
    ["--map-root-user", "--mount", "sh", "-c", script, "sh", directory, execPath, fileURLToPath(import.meta.url)],
    { stdio: ["ignore", "inherit", "ignore"] }
  )
  if (status !== 0) console.log("no namespaces")
} else {
  await Effect.runPromise(Effect.provide(program, SqliteStore.layer({ file: `${directory}/sessions.sqlite` })))
}
