// oxlint-disable no-restricted-imports -- the modules are internal: the package does not export them
/** Nodes in one process, on the tables of a PostgreSQL server. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Scope } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { check, join } from "../../src/edge/cluster/internal/membership.ts"
import type { Place } from "../../src/edge/cluster/internal/Place.ts"
import { Places } from "../../src/edge/cluster/internal/Places.ts"
import { makeTerms } from "../../src/edge/cluster/internal/terms.ts"
import { MonotonicClock } from "../../src/internal/MonotonicClock.ts"
import * as PostgresServer from "../snapshots/PostgresServer.ts"

const ClientLayer = Layer.unwrap(Effect.map(PostgresServer.start, (url) => PgClient.layer({ url, maxConnections: 8 })))

const shards = 40

const joined = Effect.fnUntraced(function*(prefix: string, port: number) {
  const clock = new MonotonicClock(yield* Clock.Clock)
  const settings = yield* check({
    self: { host: "127.0.0.1", port },
    shards,
    prefix,
    expiration: "3 seconds",
    refresh: "500 millis",
    assignments: "100 millis"
  })
  const places = new Places({ self: settings.self, count: shards, now: () => clock.now(), threw: () => {} })
  const drained: Array<string> = []
  const scope = yield* Scope.fork(yield* Effect.scope)
  const { leave } = yield* join(settings, places, {
    drain: (places, why) =>
      Effect.sync(() => {
        for (const { index } of places) drained.push(`${why} ${index}`)
      }),
    isAlive: () => Effect.succeed(true)
  }).pipe(Scope.provide(scope))
  return {
    places,
    drained,
    leave,
    close: Scope.close(scope, Exit.void),
    here: () => places.all.filter((place: Place) => place.isHere(clock.now()))
  }
})

type Node = Effect.Success<ReturnType<typeof joined>>

/** Waits until each place is here on one of the nodes, in equal parts. */
const untilShared = Effect.fnUntraced(function*(...nodes: ReadonlyArray<Node>) {
  while (nodes.some((node) => node.here().length !== shards / nodes.length)) {
    const here = nodes.flatMap((node) => node.here().map(({ index }) => index))
    assert.strictEqual(new Set(here).size, here.length)
    yield* Effect.sleep(5)
  }
})

layer(ClientLayer, { excludeTestServices: true })("a cluster in PostgreSQL", (it) => {
  it.effect("shares its places out, hands them over, and knows the owners as the table of locks does", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const [a, b] = yield* Effect.all([joined("shared", 1), joined("shared", 2)], { concurrency: 2 })
      yield* untilShared(a, b)
      const locks = yield* sql<{ shard_id: string; address: string }>`SELECT shard_id, address FROM shared_locks`
      assert.deepStrictEqual(
        new Map(locks.map(({ address, shard_id }) => [shard_id, address])),
        new Map(a.places.all.map((place) => [`default:${place.index + 1}`, b.places.ownerOf(place)!.key]))
      )
      const terms = yield* sql<{ place: number; term: string }>`SELECT place, term FROM shared_places WHERE place >= 0`
      for (const { place, term } of terms) {
        assert.strictEqual(Math.max(a.places.all[place]!.term, b.places.all[place]!.term), Number(term))
      }
      yield* a.leave
      assert.deepStrictEqual(yield* sql`SELECT 1 FROM shared_locks WHERE address = '127.0.0.1:1'`, [])
      yield* untilShared(b)
      assert.isFalse([...a.drained, ...b.drained].some((one) => one.startsWith("lost")))
      yield* b.close
      assert.deepStrictEqual([yield* sql`SELECT 1 FROM shared_locks`, yield* sql`SELECT 1 FROM shared_runners`], [
        [],
        []
      ])
    }))

  it.effect("moves nothing when its connections are closed again and again", () =>
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      const [a, b] = yield* Effect.all([joined("closed", 1), joined("closed", 2)], { concurrency: 2 })
      yield* untilShared(a, b)
      const [here, drained, terms] = [
        [...a.here(), ...b.here()],
        a.drained.length + b.drained.length,
        yield* sql`
        SELECT * FROM closed_places ORDER BY place`
      ]
      for (let times = 0; times < 5; times++) {
        const leases = here.map(({ leaseUntil }) => leaseUntil)
        yield* Effect.ignore(
          sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`
        )
        // Until each of them is confirmed after that.
        while (here.some(({ leaseUntil }, i) => leaseUntil === leases[i])) {
          assert.deepStrictEqual([...a.here(), ...b.here()], here)
          yield* Effect.sleep(5)
        }
      }
      assert.strictEqual(a.drained.length + b.drained.length, drained)
      assert.deepStrictEqual(yield* sql`SELECT * FROM closed_places ORDER BY place`, terms)
    }))

  it.effect("refuses a node with another number of places", () =>
    Effect.gen(function*() {
      yield* makeTerms("counted", 40)
      yield* makeTerms("counted", 40)
      const error = yield* Effect.flip(makeTerms("counted", 41))
      assert.deepInclude(error, { _tag: "InvalidConfig", setting: "shards" })
      assert.include(error.message, "40")
    }))

  it.effect("gives each term once, however many ask for it at the same time", () =>
    Effect.gen(function*() {
      const each = yield* Effect.forEach(Array.from({ length: 6 }), () => makeTerms("raced", 40), { concurrency: 6 })
      const given = yield* Effect.forEach(
        Array.from({ length: 60 }),
        (_, i) => each[i % 6]!.raise(i % 2 === 0 ? [3, 1, 2] : [2, 3, 1]),
        { concurrency: 60 }
      )
      for (const place of [1, 2, 3]) {
        assert.deepStrictEqual(
          given.map((terms) => terms.get(place)!).toSorted((x, y) => x - y),
          Array.from({ length: 60 }, (_, i) => i + 1)
        )
      }
    }))

  it.effect("needs sessions in UTC, as the locks have no time zone", () =>
    Effect.gen(function*() {
      const { config } = yield* PgClient.PgClient
      for (const [zone, isUsable] of [["Europe/Berlin", false], ["Europe/London", false], ["Etc/UTC", true]] as const) {
        const ZonedLayer = PgClient.layer({ ...config, startupParameters: { TimeZone: zone } })
        const exit = yield* Effect.exit(Effect.provide(Effect.scoped(joined("zones", 1)), ZonedLayer))
        assert.strictEqual(Exit.isSuccess(exit), isUsable, zone)
        if (Exit.isFailure(exit)) assert.include(String(exit.cause), `TimeZone must be UTC`)
      }
    }))

  it.effect("needs a client for PostgreSQL", () =>
    Effect.gen(function*() {
      const sql = yield* SqlClient
      const error = yield* Effect.flip(
        Effect.provideService(
          joined("none", 1),
          SqlClient,
          Object.assign(Object.create(sql) as typeof sql, {
            driver: "other",
            onDialectOrElse: ({ orElse }: { orElse: () => unknown }) => orElse()
          })
        )
      )
      assert.strictEqual(error._tag, "InvalidConfig")
    }))
})
