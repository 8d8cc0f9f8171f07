import { Layer } from "effect"
import { Effect } from "effect"
import { SqliteStore } from "effect-sessions/snapshots"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describeStore } from "./contract.ts"

const Temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "sqlite-store-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

describeStore(
  "SqliteStore",
  Layer.unwrap(
    Effect.map(Temporary, (directory) => SqliteStore.layer({ file: path.join(directory, "sessions.sqlite") }))
  )
)
