// Writes snapshots into a directory for as long as it lives, and says what was acknowledged: `EPOCH ROUND`.
import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import { FileStore, SnapshotStore } from "effect-sessions/snapshots"
import { writeSync } from "node:fs"
import { argv } from "node:process"
import { keysOfWriter, roundOf } from "./rounds.ts"

const directory = argv[2]!
const sync = argv[3] === "sync"

const program = Effect.gen(function*() {
  const store = yield* SnapshotStore
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

const StoreLayer = FileStore.layer({ directory, sync }).pipe(
  Layer.provide([NodeFileSystem.layer, NodePath.layer])
)
Effect.runFork(Effect.provide(program, StoreLayer))
