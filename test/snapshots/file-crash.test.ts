import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Option } from "effect"
import { FileStore, SnapshotStore } from "effect-sessions/snapshots"
import { readdirSync } from "node:fs"
import * as Child from "./Child.ts"
import { keysOfWriter, roundOf } from "./rounds.ts"

const PlatformLayer = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)
const test = Effect.provide(PlatformLayer)

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "snapshots-" }))

/** Uses the store of a directory, and closes it. */
const using = <A, E, R>(directory: string, use: (store: SnapshotStore["Service"]) => Effect.Effect<A, E, R>) =>
  Layer.build(Layer.fresh(FileStore.layer({ directory }))).pipe(
    Effect.flatMap((context) => use(Context.get(context, SnapshotStore))),
    Effect.scoped
  )

const leftovers = (directory: string) =>
  readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".tmp"))

const turn = Effect.promise(() => new Promise((resume) => setImmediate(resume)))

describe("FileStore", () => {
  for (const mode of ["", "sync"]) {
    const kills = mode === "" ? 20 : 4
    it.live(
      `loses nothing that it acknowledged and tears nothing when its process is killed ${mode}`,
      () =>
        Effect.forEach(
          [0, 1],
          Effect.fnUntraced(function*() {
            const directory = yield* temporary
            let [epoch, round] = [0, 0]
            let rounds = 0
            for (let i = 0; i < kills / 2; i++) {
              const child = yield* Child.start("fileWriter.ts", directory, mode)
              yield* child.said(1 + Math.floor(Math.random() * 4))
              // At some moment of what it writes next.
              for (let turns = Math.random() * 3_000; turns > 0; turns--) yield* turn
              yield* child.kill
              const last = child.lines.at(-1)
              assert.isDefined(last, "it wrote something")
              ;[epoch, round] = last.split(" ").map(Number) as [number, number]
              rounds += round
              yield* using(directory, (store) =>
                Effect.gen(function*() {
                  const wanted = [roundOf(epoch, round), roundOf(epoch, round + 1)]
                  const alarms = yield* store.alarms("Cart", Infinity, 100)
                  assert.lengthOf(alarms, keysOfWriter.length)
                  for (const [i, key] of keysOfWriter.entries()) {
                    const found = Option.getOrThrow(yield* store.peek(key))
                    assert.deepStrictEqual(found, found.version === round ? wanted[0]![i] : wanted[1]![i])
                    assert.deepStrictEqual(alarms.find(({ id }) => id === key.id)?.alarmAt, found.alarmAt)
                    assert.isAbove((yield* store.claim(key, 1)).epoch, epoch)
                  }
                  assert.deepStrictEqual(yield* store.aside, [])
                }))
              assert.deepStrictEqual(leftovers(directory), [])
            }
            assert.isAtLeast(rounds, kills / 2)
          }),
          { concurrency: 2 }
        ).pipe(Effect.scoped, test)
    )
  }
})
