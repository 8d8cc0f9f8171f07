/** Starts or continues a diary, writes into it, and waits: `DIRECTORY TEXT`. Prints a line for each step. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect } from "effect"
import { writeSync } from "node:fs"
import { argv } from "node:process"
import * as Diary from "./Diary.ts"

const [directory, text] = argv.slice(2) as [string, string]

const say = (line: string) => writeSync(1, `${line}\n`)

const program = Effect.gen(function*() {
  const diary = yield* (yield* Diary.Diary).start("ada")
  say(`wrote ${yield* diary.call("Write", text)}`)
  return yield* Effect.never
})

NodeRuntime.runMain(Effect.provide(program, Diary.layer(directory, say)))
