/**
 * Counts as it is told, and says what happened, a line each: `STORE SAVE ID STEP…`. A step is a number of changes, one right
 * after the other without a turn for anything else, or one of the words below.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Effect, Latch, Stream, SubscriptionRef } from "effect"
import type { SnapshotStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import { writeSync } from "node:fs"
import { argv, kill, pid } from "node:process"
import * as Tally from "./Tally.ts"

const [url, save, id, ...steps] = argv.slice(2) as [string, string, string, ...Array<string>]

const say = (line: string) => writeSync(1, `${line}\n`)

/** What the store was given last, and what it has. */
const given = Effect.runSync(SubscriptionRef.make(0))
const kept = Effect.runSync(SubscriptionRef.make(0))
let hangs = false
let settled: ReturnType<SnapshotStore["Service"]["peek"]>

const program = Effect.gen(function*() {
  const tally = yield* (yield* Tally.Tally).start(id)
  let count = yield* tally.state
  say(`began ${count}`)
  const add = Effect.suspend(() =>
    Effect.map(tally.callOnce("Add", undefined, Tally.nth(count + 1)), (n) => {
      count = n
      say(`answered ${n}`)
    })
  )
  const reaches = (ref: SubscriptionRef.SubscriptionRef<number>) =>
    Stream.runHead(Stream.filter(SubscriptionRef.changes(ref), (n) => n === count))
  /** Has it busy until the latch opens. */
  const busy = (latch: Latch.Latch) => tally.cast("AddWhen", latch)
  /** Operations on a key wait for each other: until a write is done that is under way, or begins now. */
  const settle = Effect.andThen(TestSessions.settle, Effect.suspend(() => settled))
  const words: Record<string, Effect.Effect<unknown, unknown>> = {
    /** Until the store has it. */
    kept: Effect.andThen(reaches(kept), TestSessions.settle),
    /** Until the store is asked to write it. */
    writing: reaches(given),
    /** Until whatever was to be written by now is. */
    settle: Effect.andThen(settle, settle),
    /** From here on, the store does not come to an end with what it writes. */
    hang: Effect.sync(() => {
      hangs = true
    }),
    cast: tally.cast("Add"),
    /** It does not hibernate any more. */
    busy: busy(Latch.makeUnsafe()),
    /** One change is under way when it is asked to end, and four wait for it. */
    drain: Effect.gen(function*() {
      const latch = Latch.makeUnsafe()
      process.once("SIGTERM", () => latch.openUnsafe())
      yield* busy(latch)
      for (let i = 0; i < 4; i++) yield* tally.cast("Add")
      say("drains")
    }),
    /** For as long as it lives, with turns for others. */
    on: Effect.forever(add),
    die: Effect.sync(() => kill(pid, "SIGKILL"))
  }
  for (const step of steps) {
    for (let i = Number(step); i > 0; i--) yield* add
    yield* words[step] ?? Effect.void
  }
  return yield* Effect.never
})

const ProgramLayer = Tally.layer(url, JSON.parse(save), (store) => {
  settled = store.peek({ kind: "Tally", id })
  return {
    ...store,
    save: Effect.fnUntraced(function*(snapshots) {
      const { state } = JSON.parse(snapshots[0]!.body)
      yield* SubscriptionRef.set(given, state)
      if (hangs) return yield* Effect.never
      const written = yield* store.save(snapshots)
      say(`kept ${state}`)
      yield* SubscriptionRef.set(kept, state)
      return written
    })
  }
})

NodeRuntime.runMain(Effect.provide(program, ProgramLayer))
