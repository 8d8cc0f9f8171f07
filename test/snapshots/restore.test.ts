import { NodeFileSystem } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem } from "effect"
import { pid } from "node:process"
import * as Child from "./Child.ts"
import * as Diary from "./Diary.ts"

describe("What a session holds", () => {
  it.live(
    "is acquired again by `restore` when its process was killed, works for the first message, and is released at the end",
    () =>
      Effect.gen(function*() {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "diary-" })
        const lock = `${directory}/ada.lock`
        for (const [text, acquired] of [["one", "init"], ["two", "restore of 1"]] as const) {
          const child = yield* Child.start("diaryWriter", directory, text)
          yield* child.says("wrote")
          yield* child.kill
          assert.strictEqual(child.lines[0], `acquired by ${acquired}`)
          assert.strictEqual(yield* fs.readFileString(lock), `${child.pid}`, "nothing released it")
        }
        const lines: Array<string> = []
        yield* Effect.provide(
          Effect.gen(function*() {
            const diaries = yield* Diary.Diary
            const diary = diaries.ref("ada")
            assert.strictEqual(yield* diary.call("Write", "three"), 3)
            assert.strictEqual(yield* fs.readFileString(lock), `${pid}`)
            assert.strictEqual(yield* fs.readFileString(`${directory}/ada.txt`), "one\ntwo\nthree\n")
            yield* diary.end()
            assert.isFalse(yield* fs.exists(lock))
            assert.deepStrictEqual(lines.splice(0), ["acquired by restore of 2", "released"])
            // It was ended, and starts as a new session.
            yield* diaries.start("ada")
            assert.deepStrictEqual(lines.splice(0), ["acquired by init"])
          }),
          Diary.layer(directory, (line) => lines.push(line))
        )
        assert.deepStrictEqual(lines, ["released"])
        assert.isFalse(yield* fs.exists(lock))
      }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer))
  )
})
