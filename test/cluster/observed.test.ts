// oxlint-disable no-restricted-imports -- the modules are internal: the package does not export them
/** What the places learn from what `Sharding` asks of its storage. The lease is 4 s, the locks expire after 5 s. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Exit, Fiber } from "effect"
import { nodeAddress } from "effect-sessions/cluster"
import * as Runner from "effect/cluster/Runner"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { TestClock } from "effect/testing"
import { Observed } from "../../src/edge/cluster/internal/observed.ts"
import type { Place } from "../../src/edge/cluster/internal/Place.ts"
import { Places } from "../../src/edge/cluster/internal/Places.ts"
import { LockTable, shard } from "./LockTable.ts"

const count = 4
const all = Array.from({ length: count }, (_, place) => shard(place))

/** A node, as `Sharding` uses it. */
const makeNode = Effect.fnUntraced(function*(table: LockTable, host: string) {
  const clock = yield* Clock.Clock
  const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const places = new Places({
    self: nodeAddress(host, 1),
    count,
    now,
    threw: (defect) => {
      throw defect
    }
  })
  const drained: Array<string> = []
  const node = {
    places,
    drained,
    /** Drains wait for it. */
    gate: Effect.void as Effect.Effect<void>
  }
  const observed = new Observed({
    inner: table.storage(host),
    places,
    terms: table.termsFor(host),
    drain: (places, why) =>
      Effect.andThen(
        Effect.suspend(() => node.gate),
        Effect.sync(() => drained.push(`${why} ${places.map(({ index }) => index).join()}`))
      ),
    scope: yield* Effect.scope,
    lease: 4000,
    patience: 1000,
    eager: 900
  })
  const address = RunnerAddress.make(host, 1)
  const { storage } = observed
  return Object.assign(node, {
    observed,
    address,
    runner: Runner.make({ address, groups: ["default"], weight: 1 }),
    storage,
    acquire: (shards = all) => Effect.map(storage.acquire(address, shards), (got) => got.map(({ id }) => id - 1)),
    refresh: (shards = all) => Effect.map(storage.refresh(address, shards), (got) => got.map(({ id }) => id - 1)),
    release: (place: number) => storage.release(address, shard(place)),
    here: () => places.all.flatMap((place: Place) => place.isHere(now()) ? [place.index] : []),
    open: () => places.all.flatMap((place: Place) => place.isOpen ? [place.index] : []),
    terms: () => places.all.map(({ term }) => term)
  })
})

const setup = Effect.gen(function*() {
  const table = new LockTable()
  return { table, a: yield* makeNode(table, "a"), b: yield* makeNode(table, "b") }
})

const gate = Effect.map(Deferred.make<void>(), (deferred) => ({
  wait: Deferred.await(deferred),
  open: Deferred.succeed(deferred, undefined)
}))

/** Runs it in the background until it waits. */
const start = <A, E>(effect: Effect.Effect<A, E>) => Effect.forkChild(effect, { startImmediately: true })

describe("a place that is acquired", () => {
  it.effect("opens under a new term, and its lease counts from before the question", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      table.after = () => Effect.sleep(300)
      const acquiring = yield* start(a.acquire())
      yield* TestClock.adjust(599)
      assert.deepStrictEqual(a.here(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(acquiring), [0, 1, 2, 3])
      assert.deepStrictEqual([a.here(), a.terms()], [[0, 1, 2, 3], [1, 1, 1, 1]])
      yield* TestClock.adjust(3399)
      assert.deepStrictEqual(a.here(), [0, 1, 2, 3])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(a.here(), [])
    }))

  it.effect("does not open when its lease has ended before its term is known", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      table.before = (operation) => operation === "raise" ? Effect.sleep(4000) : Effect.void
      const acquiring = yield* start(a.acquire())
      yield* TestClock.adjust(4000)
      assert.deepStrictEqual([yield* Fiber.join(acquiring), a.open()], [[], []])
    }))

  it.effect("keeps its term when it is acquired once more without a gap", () =>
    Effect.gen(function*() {
      const { a } = yield* setup
      yield* a.acquire()
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual(yield* a.acquire([shard(1)]), [1])
      yield* TestClock.adjust(3000)
      assert.deepStrictEqual([a.here(), a.terms()], [[1], [1, 1, 1, 1]])
    }))

  it.effect("is waited for while its former owner drains it: Sharding would ask again in a second", () =>
    Effect.gen(function*() {
      const { a, b } = yield* setup
      yield* a.acquire()
      const acquiring = yield* start(b.acquire([shard(2)]))
      yield* TestClock.adjust(400)
      assert.deepStrictEqual(b.here(), [])
      yield* a.release(2)
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(yield* Fiber.join(acquiring), [2])
      assert.deepStrictEqual([a.here(), b.here(), b.terms()], [[0, 1, 3], [2], [0, 0, 2, 0]])
    }))

  it.effect("is not waited for much longer than that, nor when the members have changed", () =>
    Effect.gen(function*() {
      const { a, b, table } = yield* setup
      yield* a.acquire([shard(2)])
      const [first, second] = [yield* start(b.acquire()), yield* start(b.acquire([shard(2)]))]
      yield* TestClock.adjust(500)
      yield* b.storage.register(b.runner, true)
      yield* b.storage.getRunners
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(yield* Fiber.join(first), [0, 1, 3])
      assert.deepStrictEqual(yield* Fiber.join(second), [])
      const third = yield* start(b.acquire([shard(2)]))
      yield* TestClock.adjust(849)
      assert.isUndefined(third.pollUnsafe())
      yield* TestClock.adjust(51)
      assert.deepStrictEqual(yield* Fiber.join(third), [])
      assert.strictEqual(table.ownerOf(2), "a:1")
    }))

  it.effect("is told to Sharding although a later attempt for others fails", () =>
    Effect.gen(function*() {
      const { a, b, table } = yield* setup
      yield* a.acquire([shard(2)])
      const acquiring = yield* start(b.acquire())
      table.state = "fails"
      yield* TestClock.adjust(900)
      assert.deepStrictEqual(yield* Fiber.join(acquiring), [0, 1, 3])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(b.acquire([shard(2)]))))
    }))
})

describe("a refresh", () => {
  it.effect("prolongs the leases, counted from before the question", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      yield* TestClock.adjust(3000)
      table.after = () => Effect.sleep(200)
      const refreshing = yield* start(a.refresh())
      yield* TestClock.adjust(200)
      assert.deepStrictEqual(yield* Fiber.join(refreshing), [0, 1, 2, 3])
      yield* TestClock.adjust(3799)
      assert.deepStrictEqual(a.here(), [0, 1, 2, 3])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(a.here(), [])
    }))

  it.effect("closes at once what another node has, and waits for no drain", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      const { open, wait } = yield* gate
      a.gate = wait
      table.locks.set(2, { owner: "b:1", at: 0 })
      assert.deepStrictEqual(yield* a.refresh(), [0, 2, 3])
      assert.deepStrictEqual([a.here(), a.drained, a.places.all[1]!.isLeaving], [[0, 2, 3], [], true])
      yield* open
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([a.drained, a.places.all[1]!.isLeaving], [["lost 1"], false])
      // Sharding releases it, but it is not ours to release.
      yield* a.release(1)
      assert.deepStrictEqual([table.ownerOf(1), table.log], ["b:1", []])
    }))

  it.effect("that is answered after the end of the lease proves nothing: another owner may have come and gone", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      yield* TestClock.adjust(3500)
      table.after = () => Effect.sleep(500)
      const refreshing = yield* start(a.refresh())
      yield* TestClock.adjust(500)
      table.after = () => Effect.void
      assert.deepStrictEqual(yield* Fiber.join(refreshing), [])
      assert.deepStrictEqual([a.open(), a.drained], [[], ["lost 0,1,2,3"]])
      // The rows were ours all the time, and yet all begins anew.
      for (const place of [0, 1, 2, 3]) yield* a.release(place)
      assert.deepStrictEqual(yield* a.acquire(), [0, 1, 2, 3])
      assert.deepStrictEqual([a.here(), a.terms()], [[0, 1, 2, 3], [2, 2, 2, 2]])
    }))

  it.effect("after the process stood still drops what it has, and opens it again under a new term after the drain", () =>
    Effect.gen(function*() {
      const { a, b } = yield* setup
      yield* a.acquire()
      // It stands still: another node takes a place, and gives it back.
      yield* TestClock.adjust(5001)
      assert.deepStrictEqual(yield* b.acquire([shard(0)]), [0])
      yield* b.release(0)
      const { open, wait } = yield* gate
      a.gate = wait
      // Acquired without a refresh before, as after an interrupted `acquire`.
      const acquiring = yield* start(a.acquire())
      assert.deepStrictEqual([a.open(), a.terms()], [[], [1, 1, 1, 1]])
      yield* open
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(yield* Fiber.join(acquiring), [0, 1, 2, 3])
      assert.deepStrictEqual([a.drained, a.terms()], [["lost 0,1,2,3"], [3, 2, 2, 2]])
    }))

  it.effect("is tried again while the database fails, and then tells which leases hold", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      for (const state of ["fails", "hangs"] as const) {
        table.state = state
        const refreshing = yield* start(a.refresh())
        yield* TestClock.adjust(999)
        assert.isUndefined(refreshing.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.deepStrictEqual(yield* Fiber.join(refreshing), [0, 1, 2, 3])
      }
      table.state = "fails"
      const refreshing = yield* start(a.refresh())
      yield* TestClock.adjust(120)
      table.state = "works"
      yield* TestClock.adjust(30)
      assert.deepStrictEqual(yield* Fiber.join(refreshing), [0, 1, 2, 3])
      yield* TestClock.adjust(3999)
      assert.deepStrictEqual([a.here(), a.terms()], [[0, 1, 2, 3], [1, 1, 1, 1]])
    }))

  it.effect("fails when no lease is left, and its places are lost", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      table.state = "hangs"
      yield* TestClock.adjust(3500)
      const refreshing = yield* start(Effect.exit(a.refresh()))
      yield* TestClock.adjust(1000)
      assert.isTrue(Exit.isFailure(yield* Fiber.join(refreshing)))
      yield* a.observed.expire
      assert.deepStrictEqual([a.open(), a.drained], [[], ["lost 0,1,2,3"]])
    }))

  it.effect("without shards asks whether the database works, and does not hide that it fails", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      table.state = "fails"
      assert.isTrue(Exit.isFailure(yield* Effect.exit(a.refresh([]))))
    }))
})

describe("a place that is handed over", () => {
  it.effect("is closed at once, and its lock is released when it is drained: each caller waits for the same drain", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      const { open, wait } = yield* gate
      a.gate = wait
      const first = yield* start(a.release(1))
      const second = yield* start(a.release(1))
      const whole = yield* start(a.storage.releaseAll(a.address))
      assert.deepStrictEqual([a.here(), table.ownerOf(1), table.log], [[], "a:1", []])
      // Its lock is refreshed meanwhile.
      yield* TestClock.adjust(3000)
      yield* a.refresh()
      assert.deepStrictEqual(table.locks.get(2), { owner: "a:1", at: 3000 })
      yield* open
      yield* Fiber.joinAll([first, second, whole])
      assert.deepStrictEqual(a.drained.toSorted(), ["release 0", "release 1", "release 2", "release 3"])
      assert.deepStrictEqual([table.log, table.locks.size], [["release 1", "releaseAll"], 0])
      assert.isFalse(a.places.all[1]!.isLeaving)
    }))

  it.effect("goes on being drained when the caller is interrupted, and its release is tried again when it failed", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      const { open, wait } = yield* gate
      a.gate = wait
      const first = yield* start(a.release(1))
      yield* Fiber.interrupt(first)
      yield* open
      yield* TestClock.adjust(0)
      assert.deepStrictEqual([a.drained, table.ownerOf(1)], [["release 1"], "a:1"])
      table.state = "fails"
      assert.isTrue(Exit.isFailure(yield* Effect.exit(a.release(1))))
      table.state = "works"
      yield* a.release(1)
      assert.isUndefined(table.ownerOf(1))
    }))

  it.effect("is released although its drain fails", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      a.gate = Effect.die(new Error("of the drain"))
      yield* a.release(1)
      assert.isUndefined(table.ownerOf(1))
    }))
})

describe("a node that leaves", () => {
  it.effect("is not a member any more, then hands over each place as soon as that is drained, with its locks refreshed", () =>
    Effect.gen(function*() {
      const { a, b, table } = yield* setup
      yield* a.acquire()
      // The handler of a session in place 0 runs for longer than a refresh, and longer than a lease.
      const { open, wait } = yield* gate
      let slow = true
      a.gate = Effect.suspend(() => slow ? (slow = false, wait) : Effect.void)
      const leaving = yield* start(a.storage.unregister(a.address))
      assert.deepStrictEqual([a.here(), a.places.isLeaving], [[], true])
      assert.deepStrictEqual(table.log, ["unregister a", "release 1", "release 2", "release 3"])
      for (let passed = 0; passed < 9000; passed += 1500) {
        yield* TestClock.adjust(1500)
        yield* a.refresh()
        yield* Effect.ignore(Effect.timeout(b.acquire(), 0))
      }
      assert.strictEqual(table.ownerOf(0), "a:1")
      assert.isUndefined(leaving.pollUnsafe())
      yield* open
      yield* Fiber.join(leaving)
      assert.isUndefined(table.ownerOf(0))
    }))

  it.effect("opens nothing any more, not even what it was acquiring", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      const { open, wait } = yield* gate
      table.before = (operation) => operation === "raise" ? wait : Effect.void
      const acquiring = yield* start(a.acquire())
      yield* a.storage.unregister(a.address)
      yield* open
      // Sharding learns that they are locked, and releases them.
      assert.deepStrictEqual([yield* Fiber.join(acquiring), a.open()], [[0, 1, 2, 3], []])
      for (const place of [0, 1, 2, 3]) yield* a.release(place)
      assert.strictEqual(table.locks.size, 0)
    }))

  it.effect("drains its places although the database is gone", () =>
    Effect.gen(function*() {
      const { a, table } = yield* setup
      yield* a.acquire()
      table.state = "hangs"
      const leaving = yield* start(Effect.exit(a.storage.unregister(a.address)))
      yield* TestClock.adjust(1000)
      assert.deepStrictEqual(a.drained.length, 4)
      table.state = "fails"
      yield* Fiber.interrupt(leaving)
    }))
})

describe("the members", () => {
  it.effect("own the places as Sharding shares them out: only healthy ones, by their weights", () =>
    Effect.gen(function*() {
      const { a, b } = yield* setup
      yield* a.storage.register(a.runner, true)
      yield* a.storage.register(b.runner, true)
      let changes = 0
      a.places.onChange(() => changes++)
      yield* a.storage.getRunners
      yield* a.storage.getRunners
      assert.deepStrictEqual(a.places.nodes.map(({ key }) => key), ["a:1", "b:1"])
      assert.strictEqual(a.places.all.filter((place) => a.places.isMine(place)).length, 2)
      yield* a.storage.setRunnerHealth(b.address, false)
      yield* a.storage.getRunners
      assert.deepStrictEqual(a.places.nodes.map(({ key }) => key), ["a:1"])
      assert.isTrue(a.places.all.every((place) => a.places.isMine(place)))
      assert.strictEqual(changes, 2)
    }))
})
