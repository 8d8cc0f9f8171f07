// Rooms of the chat that outlive the process. Part of docs/getting-started.md.
//   node --conditions=source examples/docs/chat-3-store.ts
import { Effect, Layer } from "effect"
import { Sessions } from "effect-sessions"
import { SqliteStore } from "effect-sessions/snapshots"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Room } from "./chat/Room.ts"
import { behavior, options } from "./chat/RoomLayer.ts"

const folder = mkdtempSync(join(tmpdir(), "chat-"))

const StoredRooms = Room.toLayer(behavior, { ...options, snapshots: { save: { debounce: "1 second" } } }).pipe(
  Layer.provide(SqliteStore.layer({ file: join(folder, "rooms.sqlite") })),
  Layer.provide(Sessions.layer())
)

/** Runs as a process would: its sessions end with it. */
const process = <A, E>(program: Effect.Effect<A, E, Room>) => Effect.provide(program, Layer.fresh(StoredRooms))

const first = Effect.gen(function*() {
  const lobby = yield* (yield* Room).start("lobby")
  yield* lobby.call("Say", { from: "ada", text: "see you after the restart" })
})

const second = Effect.gen(function*() {
  const lobby = yield* (yield* Room).get("lobby")
  console.log((yield* lobby.state).messages)
})

Effect.andThen(process(first), process(second)).pipe(
  Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true }))),
  Effect.runPromise
)
