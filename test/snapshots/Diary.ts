/** A kind whose sessions write into a file that each holds open, for tests that kill their process. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { Effect, FileSystem, Layer, Path, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { SqliteStore } from "effect-sessions/snapshots"
import * as Rpc from "effect/rpc/Rpc"
import { pid } from "node:process"

export class Diary extends Session.Service<Diary>()("Diary", {
  state: Schema.Struct({ entries: Schema.Int }),
  protocol: [Rpc.make("Write", { payload: Schema.String, success: Schema.Int })]
}) {}

/** A diary has a text, and a lock with the process that holds it. `say` gets what is acquired and released. */
export const layer = (directory: string, say: (line: string) => void) =>
  Diary.toLayer(
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const open = new Map<string, FileSystem.File>()
      const acquire = Effect.fnUntraced(function*(id: string) {
        const lock = path.join(directory, `${id}.lock`)
        yield* Effect.acquireRelease(
          fs.writeFileString(lock, `${pid}`),
          () => Effect.andThen(Effect.orDie(fs.remove(lock)), Effect.sync(() => say("released")))
        )
        open.set(id, yield* fs.open(path.join(directory, `${id}.txt`), { flag: "a" }))
      }, Effect.orDie)
      return Diary.behavior({
        init: ({ id }) =>
          Effect.map(acquire(id), () => {
            say("acquired by init")
            return { entries: 0 }
          }),
        restore: ({ id, state }) =>
          Effect.map(acquire(id), () => {
            say(`acquired by restore of ${state.entries}`)
            return state
          }),
        handlers: {
          Write: Effect.fnUntraced(function*({ payload, self, state }) {
            const entries = state.entries + 1
            yield* Effect.orDie(open.get(self.id)!.writeAll(Buffer.from(`${payload}\n`)))
            return [{ entries }, entries]
          })
        }
      })
    }),
    { snapshots: { save: "everyChange" } }
  ).pipe(
    Layer.provide(Sessions.layer()),
    Layer.provide(SqliteStore.layer({ file: `${directory}/sessions.sqlite` })),
    Layer.provide([NodeFileSystem.layer, NodePath.layer])
  )
