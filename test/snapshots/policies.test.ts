/** What a crash of the process loses under each policy: what the table in docs/snapshots.md says, and no more. */
import { NodeFileSystem } from "@effect/platform-node"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Redacted } from "effect"
import type { KindOptions, Session } from "effect-sessions"
import { pathToFileURL } from "node:url"
import * as Child from "./Child.ts"
import * as PostgresServer from "./PostgresServer.ts"
import * as RedisServer from "./RedisServer.ts"
import * as Tally from "./Tally.ts"

const places = ["sqlite", "postgres", "redis"] as const

const startStores = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const postgres = yield* PostgresServer.start
  const redis = RedisServer.needed.skip === true ? undefined : yield* RedisServer.start
  return {
    sqlite: Effect.map(
      fs.makeTempDirectoryScoped({ prefix: "tally-" }),
      (path) => pathToFileURL(`${path}/sessions.sqlite`).href
    ),
    postgres: Effect.succeed(Redacted.value(postgres)),
    redis: Effect.succeed(redis === undefined ? "" : `${redis.url}#${redis.prefix}`)
  }
})

/** The URLs of the stores, whose servers all tests share. */
class Stores extends Context.Service<Stores, Effect.Success<typeof startStores>>()("test/Stores") {
  static readonly layer = Layer.effect(Stores, startStores).pipe(Layer.provide(NodeFileSystem.layer))
}

/** The session of one test: its processes, and the process that continues after them. */
const newTally = Effect.fnUntraced(function*(id: string, place: (typeof places)[number], save: KindOptions.SavePolicy) {
  const url = yield* (yield* Stores)[place]
  return {
    start: (steps: string) => Child.start("tallyWriter", url, JSON.stringify(save), id, ...steps.split(" ")),
    goOn: <A, E>(use: (tally: Session.Ref<typeof Tally.Tally>) => Effect.Effect<A, E>) =>
      Effect.flatMap(Tally.Tally, (tallies) => Effect.flatMap(tallies.start(id), use)).pipe(
        Effect.provide(Tally.layer(url, save))
      )
  }
})

/** The number in the last line that begins like this; 0 when there is none. */
const last = (child: Child.Child, start: string): number =>
  Number(child.lines.findLast((line) => line.startsWith(start))?.split(" ")[1] ?? 0)

/** Asked to end, it still does the change under way and the four that wait, whatever the policy. */
const drain = "2 drain"
const drained = 2 + 1 + 4

/**
 * Processes, one after the other: what each does (see `tallyWriter.ts`), and what is left after it. Those that `drain` are
 * asked to end then; all others are killed, by themselves, so that nothing happens after their last step.
 */
type Lives = ReadonlyArray<readonly [steps: string, left: number]>

const policies: Record<string, { readonly save: KindOptions.SavePolicy; readonly lives: Lives }> = {
  "everyChange: nothing that was answered": {
    save: "everyChange",
    lives: [["5 cast die", 5], [drain, 5 + drained]]
  },
  "every 10: fewer than 10 changes, or what came since a write began that is under way": {
    save: { every: 10 },
    lives: [
      ["9 settle die", 0],
      ["20 kept 9 settle die", 20],
      ["10 kept hang 10 writing 25 die", 30],
      [drain, 30 + drained]
    ]
  },
  "debounce: what came last, or since a write began that is under way": {
    save: { debounce: "20 millis" },
    lives: [["3 kept 4 die", 3], ["2 kept hang 1 writing 6 die", 5], [drain, 5 + drained]]
  },
  "debounce by an hour: what came in that": {
    save: { debounce: "1 hour" },
    lives: [["5 settle die", 0], [drain, drained]]
  },
  "atHibernation: what came since it hibernated": {
    save: "atHibernation",
    lives: [["3 kept 4 busy settle die", 3], [drain, 3 + drained]]
  },
  "atEnd: everything since the start of the process": {
    save: "atEnd",
    lives: [["5 settle die", 0], [drain, drained], ["5 settle die", drained]]
  }
}

const needsOf = (place: (typeof places)[number]) => place === "redis" ? RedisServer.needed : {}

layer(Stores.layer, { excludeTestServices: true, concurrent: true })(
  "A process that is killed",
  (it) => {
    for (const [name, { lives, save }] of Object.entries(policies)) {
      const isShared = name.startsWith("everyChange") || name.startsWith("debounce:")
      for (const place of isShared ? places : ["sqlite"] as const) {
        it.effect(
          `loses under ${name}; a session that is ended loses nothing (${place})`,
          Effect.fnUntraced(function*() {
            const tally = yield* newTally(name.split(":")[0]!.replaceAll(" ", "-"), place, save)
            let left = 0
            for (const [steps, next] of lives) {
              const child = yield* tally.start(steps)
              yield* steps.endsWith("drain") ? Effect.andThen(child.says("drains"), child.stop) : child.ended
              assert.strictEqual(child.lines[0], `began ${left}`)
              left = next
            }
            assert.strictEqual(yield* tally.goOn(({ state }) => state), left)
          }),
          needsOf(place)
        )
      }
    }

    for (const place of places) {
      it.effect(
        `in the middle of changes that are written before they are answered, has done each of those once (${place})`,
        Effect.fnUntraced(function*() {
          const tally = yield* newTally("stream-everyChange", place, "everyChange")
          for (const times of [1, 60]) {
            const child = yield* tally.start("on")
            yield* child.says("answered", times)
            yield* child.kill
            const answered = last(child, "answered")
            assert.isAtLeast(answered, times, "it did not get that far")
            yield* tally.goOn((ref) =>
              Effect.gen(function*() {
                const state = yield* ref.state
                assert.oneOf(state, [answered, answered + 1])
                const again = (sequence: number) =>
                  ref.callOnce("Add", undefined, { ...Tally.nth(sequence), again: true })
                assert.strictEqual(yield* again(answered), answered)
                assert.strictEqual(yield* ref.state, state)
                // The change in progress is done now, unless it was done before.
                assert.strictEqual(yield* again(answered + 1), answered + 1)
                assert.strictEqual(yield* ref.state, answered + 1)
              })
            )
          }
        }),
        needsOf(place)
      )

      it.effect(
        `in the middle of changes that are written behind, has what was written, and knows what that is (${place})`,
        Effect.fnUntraced(function*() {
          const tally = yield* newTally("stream-debounce", place, { debounce: "20 millis" })
          const child = yield* tally.start("on")
          yield* child.says("kept", 3)
          yield* child.kill
          assert.isAbove(last(child, "kept"), 0, "it did not get that far")
          yield* tally.goOn((ref) =>
            Effect.gen(function*() {
              const state = yield* ref.state
              assert.isAtLeast(state, last(child, "kept"))
              assert.isAtMost(state, last(child, "answered") + 1)
              // What it remembers is of the same moment as its state.
              const once = { ...Tally.nth(state), again: true }
              assert.strictEqual(yield* ref.callOnce("Add", undefined, once), state)
              assert.strictEqual(yield* ref.state, state)
            })
          )
        }),
        needsOf(place)
      )
    }
  }
)
