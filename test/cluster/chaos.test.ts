/** Random faults of real processes and of a real PostgreSQL. `npm run chaos` does the same for longer, with any seed. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inject } from "vitest"
import { problems, type Seen } from "./chaos/history.ts"
import { plan } from "./chaos/plan.ts"
import { run } from "./chaos/run.ts"

describe("the check of a history", () => {
  const add = (count: number, began: number, ended: number, owner = "a"): Seen => ({
    isAddition: true,
    count,
    began,
    ended,
    owner
  })
  const look = (count: number, began: number, ended: number, owner = "a"): Seen => ({
    ...add(count, began, ended, owner),
    isAddition: false
  })
  const found = (seen: ReadonlyArray<Seen>, final: number, unknown = 0, mayLose = false) =>
    problems(seen, { final, unknown, mayLose }).map((text) => text.slice(0, 13))

  it("accepts what one counter can have answered", () => {
    assert.deepStrictEqual(found([add(1, 0, 5), add(2, 1, 3), look(1, 2, 4), look(2, 6, 7)], 2), [])
    assert.deepStrictEqual(found([add(1, 0, 1), add(3, 2, 3), add(4, 4, 5, "b")], 4, 1), [])
  })

  it("finds additions that are lost, done twice, or given the same answer", () => {
    assert.deepStrictEqual(found([add(1, 0, 1), add(2, 2, 3)], 1), ["2 were answer"])
    assert.deepStrictEqual(found([add(1, 0, 1), add(2, 2, 3)], 4, 1), ["4 were done, "])
    assert.deepStrictEqual(found([add(1, 0, 2), add(1, 1, 3)], 2), ["two additions"])
    assert.deepStrictEqual(found([add(1, 0, 1), add(1, 2, 3)], 1, 0, true), [])
  })

  it("finds answers that are older than one that was given before", () => {
    assert.deepStrictEqual(found([add(2, 0, 1), add(1, 2, 3)], 2), ["after add 2 b"])
    assert.deepStrictEqual(found([add(1, 0, 1), look(0, 2, 3)], 1), ["after add 1 b"])
  })

  it("finds two owners that answer at once", () => {
    assert.deepStrictEqual(found([look(0, 0, 1), look(0, 2, 3, "b"), look(0, 4, 5)], 0), ["two nodes ans"])
    assert.deepStrictEqual(found([look(0, 0, 1), look(0, 0, 3, "b"), look(0, 2, 5)], 0), [])
  })
})

describe("the faults of a run", () => {
  it("are the same for the same seed", () => {
    const faults = (seed: number) => {
      const { between, processes } = plan({ seed, machines: 3, expiration: 5_000, isGentle: false })
      return Array.from({ length: 50 }, () => [processes(), between()])
    }
    assert.deepStrictEqual(faults(7), faults(7))
    assert.notDeepEqual(faults(7), faults(8))
  })
})

describe("A cluster under faults", () => {
  // On a busy machine a node may stand still for longer than a short lease: then what it has not written is lost.
  const after = (seed: number, seconds: number, isGentle: boolean, expiration: number) =>
    Effect.scoped(Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => mkdtemp(join(tmpdir(), "chaos-"))),
        (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
      )
      return yield* run({
        program: join(inject("programs"), "clusterNode.mjs"),
        directory,
        cluster: { expiration, refresh: "1 second" },
        expiration,
        seed,
        seconds,
        isGentle,
        sessions: 30,
        log: (line) => console.log(line)
      })
    }))

  it.live("neither loses nor doubles an answered change, and has one owner of each session at a time", () =>
    Effect.gen(function*() {
      const { answered, faults, problems } = yield* after(4, 12, false, 3_000)
      assert.deepStrictEqual(problems, [])
      assert.isAbove(answered, 0)
      assert.isAbove(Object.values(faults).reduce((a, b) => a + b, 0), 3)
    }))

  it.live("loses nothing that is written behind when nodes are told to stop, and peers do not reach each other", () =>
    Effect.gen(function*() {
      const { faults, problems } = yield* after(5, 6, true, 20_000)
      assert.deepStrictEqual(problems, [])
      assert.isAbove(faults["SIGTERM"] ?? 0, 0)
    }))
})
