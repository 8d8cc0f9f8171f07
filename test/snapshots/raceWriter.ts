// Claims one key now and then, and writes under it as fast as it can, as if it were alone. Reports when it has conflicted with
// another process often enough, goes on until SIGTERM, and reports how many of its writes were accepted.
import { Effect } from "effect"
import { SnapshotStore } from "effect-sessions/snapshots"
import { argv } from "node:process"
import { storeAt } from "./storeAt.ts"

const [url, name] = [argv[2]!, argv[3]!]
const key = { kind: "race", id: "one" }

const program = Effect.gen(function*() {
  const store = yield* SnapshotStore
  // Both are there before either begins.
  yield* store.claim({ kind: "ready", id: name }, 1)
  yield* store.save([{ ...snapshot(0, 0), kind: "ready", id: name, epoch: 10 }])
  while ((yield* store.list({ kind: "ready", limit: 2 })).length < 2) yield* Effect.sleep(5)

  const asked = new AbortController()
  process.once("SIGTERM", () => asked.abort())
  const counts = { written: 0, refused: 0, claims: 0 }
  let isEnough = false
  for (let version = 1, epoch = 0; !asked.signal.aborted; version++) {
    if (epoch === 0 || Math.random() < 0.1) {
      ;({ epoch } = yield* store.claim(key, 1))
      counts.claims++
    }
    // Several at a time, so that some are on their way while the owner changes.
    const answers = yield* Effect.all(
      [version * 3, version * 3 + 1, version * 3 + 2].map((version) => store.save([snapshot(epoch, version)])),
      { concurrency: 3 }
    )
    for (const [written] of answers) counts[written === true ? "written" : "refused"]++
    if (!isEnough && counts.claims >= 10 && counts.written >= 50 && counts.refused >= 5) {
      isEnough = true
      console.log("enough")
    }
  }
  console.log(JSON.stringify(counts))
})

const snapshot = (epoch: number, version: number) => ({
  ...key,
  epoch,
  version,
  format: 1,
  body: `${name} ${epoch} ${version}`,
  savedAt: 0,
  expiresAt: null,
  alarmAt: null,
  user: null
})

Effect.runFork(Effect.provide(program, storeAt(url)))
