import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Option } from "effect"
import { SnapshotStore, SqliteStore } from "effect-sessions/snapshots"
import * as fs from "node:fs"
import * as Child from "./Child.ts"
import { keysOfWriter, roundOf } from "./rounds.ts"

const temporary = Effect.flatMap(
  FileSystem.FileSystem,
  (fs) => fs.makeTempDirectoryScoped({ prefix: "sqlite-crash-" })
)

/** Uses the store of a file, and closes it. */
const using = <A, E, R>(file: string, use: (store: SnapshotStore["Service"]) => Effect.Effect<A, E, R>) =>
  Layer.build(Layer.fresh(SqliteStore.layer({ file }))).pipe(
    Effect.flatMap((context) => use(Context.get(context, SnapshotStore))),
    Effect.scoped
  )

describe("SqliteStore", () => {
  it.live(
    "loses nothing that it acknowledged and tears nothing when its process is killed",
    () =>
      Effect.gen(function*() {
        const file = `${yield* temporary}/sessions.sqlite`
        let rounds = 0
        for (let i = 0; i < 6; i++) {
          const child = yield* Child.start("sqliteWriter", file)
          // Another number of rounds each time, and the kill comes while the next one is under way.
          yield* child.said(2 + ((i * 7) % 5))
          yield* child.kill
          const last = child.lines.at(-1)!
          const [epoch, round] = last.split(" ").map(Number) as [number, number]
          assert.isAtLeast(round, 1, "it wrote something")
          rounds += round
          yield* using(file, (store) =>
            Effect.gen(function*() {
              const wanted = [roundOf(epoch, round), roundOf(epoch, round + 1)]
              const alarms = yield* store.alarms("Cart", Infinity, 100)
              assert.lengthOf(alarms, keysOfWriter.length)
              const versions = new Set<number>()
              for (const [i, key] of keysOfWriter.entries()) {
                const found = Option.getOrThrow(yield* store.peek(key))
                assert.deepStrictEqual(found, found.version === round ? wanted[0]![i] : wanted[1]![i])
                assert.deepStrictEqual(alarms.find(({ id }) => id === key.id)?.alarmAt, found.alarmAt)
                assert.isAbove((yield* store.claim(key, 1)).epoch, epoch)
                versions.add(found.version)
              }
              assert.strictEqual(versions.size, 1, "a batch is written as a whole")
              assert.deepStrictEqual(yield* store.quarantined, [])
            }))
        }
        assert.isAtLeast(rounds, 6)
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
  )

  it.live(
    "can be opened after its process was killed while it made the file",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporary
        const file = `${directory}/sessions.sqlite`
        // Killed as soon as there is anything of it, whatever that is.
        const seen = Effect.callback<void>((resume) => {
          const watcher = fs.watch(directory, () => {
            watcher.close()
            resume(Effect.void)
          })
          return Effect.sync(() => watcher.close())
        })
        const child = yield* Child.start("sqliteWriter", file)
        yield* seen
        yield* child.kill
        const isThere = fs.existsSync(file)
        if (isThere) assert.isAbove(fs.statSync(file).size, 0)
        yield* using(file, (store) =>
          Effect.map(store.list({ kind: "Cart", limit: 9 }), (ids) => assert.isAtMost(ids.length, 6)))
        assert.deepStrictEqual(fs.readdirSync(directory), ["sessions.sqlite"])
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
  )
})
