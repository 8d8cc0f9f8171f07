// Writes snapshots into a file for as long as it lives, and says what was acknowledged: `EPOCH ROUND`.
import { Effect } from "effect"
import { SnapshotStore, SqliteStore } from "effect-sessions/snapshots"
import { writeSync } from "node:fs"
import { argv } from "node:process"
import { keysOfWriter, roundOf } from "./rounds.ts"

const program = Effect.gen(function*() {
  const store = yield* SnapshotStore
  writeSync(1, "open\n")
  const first = (yield* store.claim(keysOfWriter[0]!, 1)).epoch
  const epoch = Math.max(
    first,
    ...(yield* Effect.forEach(
      keysOfWriter.slice(1),
      (key) => Effect.map(store.claim(key, first), ({ epoch }) => epoch)
    ))
  )
  for (let round = 1;; round++) {
    const written = yield* store.save(roundOf(epoch, round))
    if (written.includes(false)) throw new Error("refused")
    writeSync(1, `${epoch} ${round}\n`)
  }
})

Effect.runFork(Effect.provide(program, SqliteStore.layer({ file: argv[2]! })))
