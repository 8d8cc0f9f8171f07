import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { type ClaimRefused, SnapshotStore, type SnapshotStoreError, SqlStore } from "effect-sessions/snapshots"
import * as Child from "./Child.ts"
import { describeStore, raceForTerms, snapshotOf } from "./contract.ts"
import * as PostgresServer from "./PostgresServer.ts"

class Server extends Context.Service<Server, Redacted.Redacted>()("test/PostgresServer") {
  static readonly layer = Layer.effect(Server, PostgresServer.start)
}

const ClientLayer = Layer.unwrap(Effect.map(Server, (url) => PgClient.layer({ url })))

describeStore("SqlStore", SqlStore.layer().pipe(Layer.provide(ClientLayer), Layer.provide(Server.layer)))

const build = (options: SqlStore.Options) =>
  Effect.map(
    Layer.build(Layer.fresh(SqlStore.layer(options))),
    (context) => Context.get(context, SnapshotStore)
  )

const key = { kind: "cart", id: "a" }

layer(ClientLayer.pipe(Layer.provideMerge(Server.layer)), { excludeTestServices: true })(
  "SqlStore",
  (it) => {
    it.effect("creates its tables, also when many start at the same time", () =>
      Effect.gen(function*() {
        const stores = yield* Effect.forEach(Array.from({ length: 8 }), () => build({ table: "together" }), {
          concurrency: "unbounded"
        })
        yield* stores[0]!.save([snapshotOf(key, 1)])
        for (const store of stores) assert.deepStrictEqual(yield* store.peek(key), Option.some(snapshotOf(key, 1)))
      }))

    it.effect("takes a table in a schema, and the statements of `schema` make it work without its own", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const options = { table: "app.sessions", createTables: false }
        yield* sql`CREATE SCHEMA app`
        const early = yield* build(options)
        assert.strictEqual((yield* Effect.flip(early.claim(key, 1)))._tag, "SnapshotStoreError")
        for (let times = 0; times < 2; times++) {
          for (const statement of yield* SqlStore.schema(options.table)) yield* sql.unsafe(statement)
        }
        assert.strictEqual((yield* early.claim(key, 1)).epoch, 1)
        assert.deepStrictEqual(yield* early.save([snapshotOf(key, 1)]), [true])
        assert.lengthOf(yield* sql`SELECT id FROM app.sessions`, 1)
      }))

    it.effect("distinguishes errors of one key, such as a row that is too large, from errors of the database", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const small = yield* build({ table: "sizes", maxBodySize: 1_000 })
        const large = yield* build({ table: "sizes" })
        const [fits, exceeds] = ["é".repeat(500), "é".repeat(500) + "."]
        assert.deepStrictEqual(yield* small.save([snapshotOf(key, 1, { body: fits })]), [true])
        const scopeOf = <A>(effect: Effect.Effect<A, SnapshotStoreError | ClaimRefused>) =>
          Effect.map(Effect.flip(effect), (error) => "scope" in error ? error.scope : error._tag)
        assert.strictEqual(yield* scopeOf(small.save([snapshotOf(key, 1, { body: exceeds })])), "key")
        assert.deepStrictEqual(yield* large.save([snapshotOf(key, 1, { body: exceeds, version: 2 })]), [true])
        assert.strictEqual(yield* scopeOf(small.peek(key)), "key")
        assert.strictEqual(yield* scopeOf(small.claim(key, 1)), "key")
        assert.strictEqual((yield* small.list({ kind: key.kind, limit: 9 })).length, 1)
        assert.deepStrictEqual(yield* small.remove([{ ...key, epoch: 99 }]), [true])
        yield* sql`ALTER TABLE sizes ADD CHECK (id <> 'forbidden')`
        assert.strictEqual(yield* scopeOf(large.save([snapshotOf({ ...key, id: "forbidden" }, 1)])), "key")
        assert.deepStrictEqual(yield* large.save([snapshotOf({ ...key, id: "fine" }, 1)]), [true])
        yield* sql`DROP TABLE sizes`
        assert.strictEqual(yield* scopeOf(large.save([snapshotOf({ ...key, id: "fine" }, 1)])), "store")
        assert.strictEqual(yield* scopeOf(large.claim(key, 1)), "store")
      }))

    it.effect("refuses a name that is not one", () =>
      Effect.gen(function*() {
        const names = ["", "a b", "a\"; DROP TABLE x; --", "Sessions", "a.b.c", "1a", "x".repeat(53), "a.", ".a"]
        for (const table of names) {
          const error = yield* Effect.flip(build({ table }))
          assert.strictEqual(error._tag, "InvalidConfig")
        }
      }))

    it.effect("does not take part in the transaction of who calls it", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const store = yield* build({ table: "outside" })
        yield* Effect.ignore(
          sql.withTransaction(Effect.andThen(store.save([snapshotOf(key, 1)]), Effect.fail("roll back")))
        )
        assert.deepStrictEqual(yield* store.peek(key), Option.some(snapshotOf(key, 1)))
      }))

    it.effect("adds what is missing to a table of an older version, which goes on working", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const old = yield* build({ table: "older" })
        const { epoch } = yield* old.claim(key, 1)
        yield* old.save([snapshotOf(key, epoch)])
        yield* sql`ALTER TABLE older DROP COLUMN term`
        const stores = yield* Effect.forEach(Array.from({ length: 4 }), () => build({ table: "older" }), {
          concurrency: "unbounded"
        })
        const claimed = yield* stores[0]!.claim(key, 1, 7)
        assert.deepStrictEqual(claimed, { epoch: epoch + 1, snapshot: Option.some(snapshotOf(key, epoch)) })
        assert.strictEqual((yield* Effect.flip(stores[1]!.claim(key, 1, 6)))._tag, "ClaimRefused")
      }))

    it.effect("starts while others read a table that is up to date, such as a backup", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        yield* build({ table: "read" })
        yield* sql.withTransaction(Effect.andThen(sql`LOCK TABLE read IN ACCESS SHARE MODE`, build({ table: "read" })))
      }))

    it.effect("grants the highest term in the end, through two connections", () =>
      Effect.gen(function*() {
        const url = yield* Server
        const other = Layer.fresh(SqlStore.layer()).pipe(Layer.provide(Layer.fresh(PgClient.layer({ url }))))
        yield* raceForTerms(yield* build({}), Context.get(yield* Layer.build(other), SnapshotStore))
      }))

    it.effect("never gives an epoch twice while epochs are being forgotten", () =>
      Effect.gen(function*() {
        const store = yield* build({ table: "forgetful", epochRetention: 1 })
        const keys = ["a", "b", "c"].map((id) => ({ kind: "cart", id }))
        const epochs = new Map<string, Array<number>>(keys.map(({ id }) => [id, []]))
        const claim = Effect.forEach(Array.from({ length: 100 }), (_, i) => {
          const key = keys[i % 3]!
          return Effect.map(store.claim(key, 1), ({ epoch }) => epochs.get(key.id)!.push(epoch))
        })
        const forget = Effect.forEach(Array.from({ length: 100 }), () => store.sweep(Number.MAX_SAFE_INTEGER))
        yield* Effect.all([claim, claim, forget, forget], { concurrency: "unbounded" })
        for (const given of epochs.values()) assert.strictEqual(new Set(given).size, given.length)
      }))

    it.effect("uses its indexes for alarms, expiry and pages", () =>
      Effect.gen(function*() {
        const sql = yield* PgClient.PgClient
        const store = yield* build({ table: "many" })
        for (let at = 0; at < 5000; at += 1000) {
          yield* store.save(Array.from({ length: 1000 }, (_, i) =>
            snapshotOf({ kind: "cart", id: `${at + i}` }, 1, { alarmAt: at + i, expiresAt: at + i })))
        }
        yield* sql`ANALYZE many`
        const plan = (query: string) =>
          Effect.map(sql.unsafe<Record<string, string>>(`EXPLAIN ${query}`), (rows) =>
            rows.map((row) =>
              row["QUERY PLAN"]
            ).join("\n"))
        const alarms = "SELECT id FROM many WHERE kind = 'cart' AND alarm_at <= 10 ORDER BY alarm_at, id LIMIT 5"
        const expiry = "SELECT id FROM many WHERE expires_at < 10 ORDER BY expires_at LIMIT 5"
        assert.include(yield* plan(alarms), "many_alarm")
        assert.include(yield* plan(expiry), "many_expiry")
      }))

    it.effect(
      "lets two processes that race for a key never write in place of a newer owner",
      () =>
        Effect.gen(function*() {
          const sql = yield* PgClient.PgClient
          const url = Redacted.value(yield* Server)
          const store = yield* build({})
          // Everything that ever was visible, in the order in which it was.
          yield* sql`CREATE TABLE history (
            seq bigserial PRIMARY KEY, claimed bigint, epoch bigint, version bigint, body text)`
          yield* sql.unsafe(`CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.kind = 'race' THEN
              INSERT INTO history (claimed, epoch, version, body)
              VALUES (NEW.epoch, NEW.snapshot_epoch, NEW.version, NEW.body);
            END IF;
            RETURN NEW;
          END $$`)
          yield* sql`CREATE TRIGGER remember AFTER INSERT OR UPDATE ON effect_sessions_snapshots
            FOR EACH ROW EXECUTE FUNCTION remember()`
          const children = yield* Effect.forEach(["first", "second"], (name) => Child.start("raceWriter", url, name))
          // They did get in each other's way.
          yield* Effect.forEach(children, (child) => child.says("enough"))
          yield* Effect.forEach(children, (child) => child.stop, { concurrency: 2 })
          const counts = children.map(({ lines }) => {
            assert.strictEqual(lines[0], "enough")
            return JSON.parse(lines[1]!)
          })
          const history = yield* sql<{ claimed: number; epoch: number | null; version: number | null; body: string }>`
            SELECT claimed::float8 AS claimed, epoch::float8 AS epoch, version::float8 AS version, body
            FROM history ORDER BY seq`
          let [claimed, version, writes, claims] = [0, 0, 0, 0]
          for (const row of history) {
            if (row.claimed > claimed) {
              assert.strictEqual(row.claimed, claimed + 1, "a claim gives the next epoch")
              ;[claimed, version] = [row.claimed, 0]
              claims++
            } else {
              assert.strictEqual(row.claimed, claimed)
              assert.strictEqual(row.epoch, claimed, "only the owner writes")
              assert.isAtLeast(row.version!, version, "versions only grow")
              version = row.version!
              writes++
            }
          }
          assert.strictEqual(writes, counts[0].written + counts[1].written)
          assert.strictEqual(claims, counts[0].claims + counts[1].claims)
          const last = Option.getOrThrow(yield* store.peek({ kind: "race", id: "one" }))
          assert.strictEqual(last.body, history.at(-1)!.body)
        })
    )
  }
)
