// oxlint-disable no-restricted-imports -- the modules are internal: the package does not export them
/** Nodes that join and leave, with `Sharding` itself: on a table of locks in memory and a TestClock. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber, Layer, Logger, Scope } from "effect"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import { TestClock } from "effect/testing"
import { check, joinWith } from "../../src/edge/cluster/internal/membership.ts"
import type { Place } from "../../src/edge/cluster/internal/Place.ts"
import { Places } from "../../src/edge/cluster/internal/Places.ts"
import { LockTable } from "./LockTable.ts"

const shards = 12

const joined = Effect.fnUntraced(function*(table: LockTable, host: string, weight?: number, process = host) {
  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const settings = yield* check({ self: { host, port: 1 }, shards, weight })
  const places = new Places({ self: settings.self, count: settings.shards, now, threw: () => {} })
  const drained: Array<string> = []
  const node = { places, drained, gate: Effect.void as Effect.Effect<void>, isAlive: true }
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { leave } = yield* joinWith(
    settings,
    places,
    {
      drain: (places, why) =>
        Effect.andThen(
          Effect.suspend(() => node.gate),
          Effect.sync(() => {
            for (const { index } of places) drained.push(`${why} ${index}`)
          })
        ),
      isAlive: () => Effect.sync(() => node.isAlive)
    },
    table.termsFor(process),
    Layer.succeed(RunnerStorage, table.storage(process))
  ).pipe(Scope.provide(scope))
  return Object.assign(node, {
    leave,
    close: Scope.close(scope, Exit.void),
    here: () => places.all.flatMap((place: Place) => place.isHere(now()) ? [place.index] : [])
  })
})

/** Runs a test with a table. Whatever happens in it, its nodes can leave at the end. */
const cluster = Effect.fnUntraced(function*<E>(test: (table: LockTable) => Effect.fn.Return<void, E, Scope.Scope>) {
  const [table, scope] = [new LockTable(), yield* Scope.make()]
  const exit = yield* Effect.exit(Scope.provide(Effect.gen(() => test(table)), scope))
  table.repair()
  const closing = yield* Effect.forkChild(Scope.close(scope, exit))
  while (closing.pollUnsafe() === undefined) yield* TestClock.adjust(50)
  return yield* exit
})

type Node = Effect.Success<ReturnType<typeof joined>>

const everyPlace = Array.from({ length: shards }, (_, index) => index)

/** Each place is open on one node: none on none, and none on two. */
const assertComplete = (...nodes: ReadonlyArray<Node>) =>
  assert.deepStrictEqual(nodes.flatMap((node) => node.here()).toSorted((a, b) => a - b), everyPlace)

/** Lets time pass in small steps, and checks that no place is open on two nodes at any of them. */
const pass = Effect.fnUntraced(function*(millis: number, ...nodes: ReadonlyArray<Node>) {
  for (let passed = 0; passed < millis; passed += 50) {
    yield* TestClock.adjust(50)
    const open = nodes.flatMap((node) => node.here())
    assert.strictEqual(new Set(open).size, open.length)
  }
})

describe("a cluster", () => {
  it.effect("gives all places to the first node, and half of them to the second, which are handed over", () =>
    cluster(function*(table) {
      const a = yield* joined(table, "a")
      yield* pass(500, a)
      assertComplete(a)
      const b = yield* joined(table, "b")
      yield* pass(1500, a, b)
      assertComplete(a, b)
      assert.strictEqual(b.here().length, 6)
      assert.deepStrictEqual(a.drained.toSorted(), b.here().map((index) => `release ${index}`).toSorted())
      for (const place of a.places.all) {
        assert.strictEqual(a.places.ownerOf(place)?.key, table.ownerOf(place.index))
        assert.strictEqual(place.term + b.places.all[place.index]!.term, a.places.isMine(place) ? 1 : 3)
      }
    }))

  it.effect("waits for a slow handler of a node that leaves: its locks are refreshed until it is drained", () =>
    cluster(function*(table) {
      const a = yield* joined(table, "a")
      const b = yield* joined(table, "b")
      yield* pass(3000, a, b)
      assertComplete(a, b)
      const slow = yield* Deferred.make<void>()
      const slowPlace = a.here()[0]!
      let isFirst = true
      a.gate = Effect.suspend(() => isFirst ? (isFirst = false, Deferred.await(slow)) : Effect.void)
      const leaving = yield* Effect.forkChild(a.leave, { startImmediately: true })
      yield* pass(1500, a, b)
      // All others are there at once.
      assert.deepStrictEqual(b.here(), everyPlace.filter((place) => place !== slowPlace))
      yield* pass(9000, a, b)
      assert.deepStrictEqual([b.here().length, table.ownerOf(slowPlace)], [11, "a:1"])
      yield* Deferred.succeed(slow, undefined)
      yield* pass(2000, a, b)
      yield* Fiber.join(leaving)
      assertComplete(b)
      assert.isTrue(a.drained.every((one) => one.startsWith("release")))
      // Once more does nothing, and closing the scope neither.
      yield* a.leave
      yield* a.close
      assert.strictEqual(table.log.filter((one) => one === "unregister a").length, 1)
      assert.deepStrictEqual(table.log.filter((one) => one === `release ${slowPlace}`).length, 1)
    }))

  it.effect("moves the places of a node that is gone when its locks have expired", () =>
    cluster(function*(table) {
      const a = yield* joined(table, "a")
      const b = yield* joined(table, "b")
      yield* pass(3000, a, b)
      // Nothing of it reaches the database any more.
      table.gone.add("a")
      yield* pass(4000, a, b)
      assert.deepStrictEqual(a.here(), [])
      yield* pass(3500, a, b)
      assertComplete(b)
      assert.strictEqual(a.drained.filter((one) => one.startsWith("lost")).length, 6)
      // It is back: its places are under new terms.
      table.gone.delete("a")
      yield* pass(10_000, a, b)
      assertComplete(a, b)
      assert.strictEqual(a.here().length, 6)
      for (const index of a.here()) assert.isAtLeast(a.places.all[index]!.term, 3)
    }))

  it.effect("takes a node back that was restarted with another weight before its places had moved", () =>
    cluster(function*(table) {
      const dead = yield* joined(table, "a")
      const b = yield* joined(table, "b")
      yield* pass(3000, dead, b)
      // The process is killed, and another one has its address.
      table.gone.add("a")
      yield* pass(100, dead, b)
      const a = yield* joined(table, "a", 3, "restarted")
      yield* pass(8000, a, b)
      assertComplete(a, b)
      assert.deepStrictEqual([a.here().length, b.here().length], [9, 3])
    }))

  it.effect("pauses nothing while the database is away for less than a lease", () =>
    cluster(function*(table) {
      const a = yield* joined(table, "a")
      const b = yield* joined(table, "b")
      yield* pass(3000, a, b)
      const before = [a.here(), b.here()]
      for (const state of ["fails", "stalls"] as const) {
        for (let times = 0; times < 10; times++) {
          table.state = state
          yield* pass(2300, a, b)
          assert.deepStrictEqual([a.here(), b.here()], before)
          table.state = "works"
          yield* pass(1850, a, b)
          assert.deepStrictEqual([a.here(), b.here()], before)
        }
      }
      assert.deepStrictEqual([a.drained.length, b.drained.length], [6, 0])
      assert.isTrue([...table.terms.values()].every((term) => term <= 2))
    }))

  it.effect("closes all places by itself while the database is away for longer, and opens them again under new terms", () =>
    cluster(function*(table) {
      const a = yield* joined(table, "a")
      const b = yield* joined(table, "b")
      yield* pass(3000, a, b)
      const terms = new Map(table.terms)
      for (const state of ["fails", "stalls", "hangs"] as const) {
        table.state = state
        yield* pass(4000, a, b)
        assert.deepStrictEqual([a.here(), b.here()], [[], []])
        yield* pass(60_000, a, b)
        assert.deepStrictEqual([a.places.open, b.places.open], [0, 0])
        table.state = "works"
        yield* pass(12_000, a, b)
        assertComplete(a, b)
        assert.deepStrictEqual([a.here().length, b.here().length], [6, 6])
        for (const [place, term] of table.terms) assert.isAbove(term, terms.get(place)!)
        for (const [place, term] of table.terms) terms.set(place, term)
      }
    }))

  it.effect("says nothing when its last node leaves, however long that takes", () => {
    const logged: Array<string> = []
    return cluster(function*(table) {
      const a = yield* joined(table, "a")
      yield* pass(500, a)
      a.gate = Effect.sleep(5000)
      const leaving = yield* Effect.forkChild(a.leave, { startImmediately: true })
      yield* pass(10_000, a)
      yield* Fiber.join(leaving)
      assert.deepStrictEqual([a.drained.length, a.places.nodes, table.locks.size, logged], [shards, [], 0, []])
    }).pipe(
      Effect.provide(Logger.layer([Logger.make(({ logLevel, message }) => {
        if (logLevel !== "Debug") logged.push(String(message))
      })]))
    )
  })

  it.effect("is left by a node whose database is gone, without an end to wait for", () =>
    cluster(function*(table) {
      const a = yield* joined(table, "a")
      yield* pass(500, a)
      table.state = "hangs"
      const leaving = yield* Effect.forkChild(a.leave, { startImmediately: true })
      yield* pass(10_000, a)
      assert.strictEqual(a.drained.length, shards)
      assert.isDefined(leaving.pollUnsafe())
    }))
})

describe("the options", () => {
  it.effect("are refused with the name of the setting", () =>
    Effect.gen(function*() {
      const self = { host: "a", port: 1 }
      const refused = [
        ["self.host", { self: { host: "a'; DROP TABLE x; --", port: 1 } }],
        ["self.host", { self: { host: "", port: 1 } }],
        ["self.port", { self: { host: "a", port: 0 } }],
        ["self.port", { self: { host: "a", port: 65_536 } }],
        ["weight", { self, weight: 0 }],
        ["shards", { self, shards: 1.5 }],
        ["expiration", { self, expiration: "2 seconds", refresh: 500, assignments: 100 }],
        ["refresh", { self, expiration: "5 seconds", refresh: "1.7 seconds" }],
        ["refresh", { self, refresh: 100 }],
        ["assignments", { self, assignments: "2 seconds" }],
        ["health", { self, health: 0 }],
        ["prefix", { self, prefix: "a b" }]
      ] as const
      for (const [setting, options] of refused) {
        const error = yield* Effect.flip(check(options))
        assert.deepStrictEqual([error._tag, error.setting], ["InvalidConfig", setting])
        assert.isTrue(error.message.startsWith(setting))
      }
      assert.deepStrictEqual(yield* check({ self }), {
        self: { host: "a", port: 1, key: "a:1" },
        weight: 1,
        shards: 300,
        expiration: 5000,
        refresh: 1500,
        assignments: 250,
        health: 1000,
        prefix: "effect_sessions_cluster"
      })
    }))
})
