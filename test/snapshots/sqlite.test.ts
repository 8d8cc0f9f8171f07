import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Option } from "effect"
import { SnapshotStore, SqliteStore } from "effect-sessions/snapshots"
import nodeFs, * as fs from "node:fs"
import { syncBuiltinESMExports } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
// oxlint-disable-next-line no-restricted-imports -- internal: only from within can a test come between two of its steps
import { open as openDatabase } from "../../src/edge/snapshots/internal/sqlite/openDatabase.ts"
import * as Child from "./Child.ts"
import { describeStore, raceForTerms, snapshotOf } from "./contract.ts"

const temporary = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(join(tmpdir(), "sqlite-store-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

const temporaryFile = Effect.map(temporary, (directory) => join(directory, "sessions.sqlite"))

const fresh = (options: Omit<SqliteStore.Options, "file">) =>
  Layer.unwrap(Effect.map(temporaryFile, (file) => SqliteStore.layer({ file, ...options })))

describeStore("SqliteStore", fresh({}))
describeStore("SqliteStore that survives a crash of the machine", fresh({ synchronous: "full" }), {
  runs: 5,
  keys: 300
})

/** Opens the store of a file; it is closed with the scope. */
const open = (file: string) =>
  Effect.map(Layer.build(Layer.fresh(SqliteStore.layer({ file }))), (context) => Context.get(context, SnapshotStore))

/** Uses the store of a file, and closes it. */
const using = <A, E, R>(file: string, use: (store: SnapshotStore["Service"]) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.flatMap(open(file), use))

/** Puts many snapshots into a file, and closes it. */
const fill = (file: string) =>
  using(file, (store) =>
    store.save(
      Array.from({ length: 2000 }, (_, i) => snapshotOf({ kind: "cart", id: `${i}` }, 1, { body: `${i}`.repeat(100) }))
    ))

const key = { kind: "cart", id: "a" }

/** Ways to damage the file of a store, and what is said of it then. */
const damages: Record<string, (file: string) => void> = {
  emptied: (file) => fs.truncateSync(file, 0),
  "cut short": (file) => fs.truncateSync(file, 40_960 + 17),
  "something else": (file) => fs.writeFileSync(file, "{\"sessions\": []}\n".repeat(1000)),
  "overwritten in the middle": (file) => {
    const whole = fs.readFileSync(file)
    whole.fill(0xA5, 3 * 4096, 40 * 4096)
    fs.writeFileSync(file, whole)
  }
}

describe("SqliteStore", () => {
  it.live("knows all of it again when it is opened again", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const first = snapshotOf(key, 5, { alarmAt: 70, expiresAt: 90 })
      const removed = { kind: "cart", id: "removed" }
      yield* using(file, (store) =>
        Effect.gen(function*() {
          yield* store.save([first, snapshotOf({ kind: "cart", id: "b" }, 2, { alarmAt: 60 }), snapshotOf(removed, 8)])
          yield* store.remove([{ ...removed, epoch: 9 }])
          yield* store.claim({ kind: "cart", id: "claimed" }, 1000)
          yield* store.quarantine(snapshotOf({ kind: "cart", id: "bad" }, 3), "why")
        }))
      yield* using(file, (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* store.peek(key), Option.some(first))
          assert.deepStrictEqual((yield* store.list({ kind: "cart", limit: 10 })).map(({ id }) => id), ["a", "b"])
          assert.deepStrictEqual((yield* store.alarms("cart", 100, 10)).map(({ id }) => id), ["b", "a"])
          assert.deepStrictEqual(yield* store.save([snapshotOf(removed, 9)]), [false])
          assert.strictEqual((yield* store.claim({ kind: "cart", id: "claimed" }, 1)).epoch, 1001)
          assert.lengthOf(yield* store.quarantined, 1)
        }))
      assert.deepStrictEqual(
        fs.readdirSync(join(file, "..")),
        ["sessions.sqlite"],
        "a store that closes leaves one file"
      )
    }))

  it.live("is readable by its owner only, and so is the directory that it creates", () =>
    Effect.gen(function*() {
      const directory = join(yield* temporary, "deep", "down")
      const file = join(directory, "sessions.sqlite")
      const store = yield* open(file)
      yield* store.save([snapshotOf(key, 1)])
      const modeOf = (path: string) => (fs.statSync(path).mode & 0o777).toString(8)
      assert.strictEqual(modeOf(directory), "700")
      assert.strictEqual(modeOf(join(directory, "..")), "700")
      const files = fs.readdirSync(directory)
      assert.sameMembers(files, ["sessions.sqlite", "sessions.sqlite-shm", "sessions.sqlite-wal"])
      for (const name of files) assert.strictEqual(modeOf(join(directory, name)), "600", name)
    }))

  for (const [how, damage] of Object.entries(damages)) {
    it.live(`does not open a file that was ${how}, says what to do, and changes nothing`, () =>
      Effect.gen(function*() {
        const file = yield* temporaryFile
        yield* fill(file)
        damage(file)
        const before = fs.readFileSync(file)
        const error = yield* Effect.flip(Effect.scoped(open(file)))
        assert.instanceOf(error, SqliteStore.DatabaseUnusable)
        assert.strictEqual(error.reason, "damaged")
        assert.include(error.message, file)
        assert.include(error.message, "restore a backup")
        assert.isTrue(before.equals(fs.readFileSync(file)))
      }))
  }

  it.live("does not create a new database if the file is gone and its journal is not", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* Effect.scoped(Effect.gen(function*() {
        const store = yield* open(file)
        yield* store.save([snapshotOf(key, 1)])
        fs.copyFileSync(`${file}-wal`, `${file}-copy`)
      }))
      fs.renameSync(`${file}-copy`, `${file}-wal`)
      fs.rmSync(file)
      const error = yield* Effect.flip(Effect.scoped(open(file)))
      assert.strictEqual(error._tag === "DatabaseUnusable" && error.reason, "damaged")
      assert.isFalse(fs.existsSync(file))
    }))

  it.live("refuses databases of other programs and of newer versions, and what is no file", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const reasonOf = (file: string) =>
        Effect.map(Effect.flip(Effect.scoped(open(file))), (error) => error._tag === "DatabaseUnusable" && error.reason)
      const other = new DatabaseSync(file)
      other.exec("CREATE TABLE t (a)")
      other.close()
      assert.strictEqual(yield* reasonOf(file), "foreign")
      const newer = `${file}2`
      yield* fill(newer)
      const database = new DatabaseSync(newer)
      database.exec("PRAGMA user_version = 99")
      database.close()
      assert.strictEqual(yield* reasonOf(newer), "newer")
      assert.strictEqual(yield* reasonOf(join(file, "..")), "inaccessible")
      assert.strictEqual(yield* reasonOf(join(file, "below")), "inaccessible")
    }))

  it.live("waits for another process that writes", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const store = yield* open(file)
      const other = new DatabaseSync(file)
      other.exec("BEGIN IMMEDIATE")
      const save = yield* Effect.forkChild(store.save([snapshotOf(key, 1)]), { startImmediately: true })
      // Reads do not wait for who writes.
      assert.isTrue(Option.isNone(yield* (yield* open(file)).peek(key)))
      other.exec("COMMIT")
      other.close()
      assert.deepStrictEqual(yield* Fiber.join(save), [true])
    }))

  it.live("fails when its file was moved away or replaced, where what it writes would be lost", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const store = yield* open(file)
      yield* store.save([snapshotOf(key, 1)])
      fs.renameSync(file, `${file}.moved`)
      const gone = yield* Effect.flip(store.save([snapshotOf(key, 1)]))
      assert.include(gone.message, file)
      fs.copyFileSync(`${file}.moved`, file)
      const replaced = yield* Effect.flip(store.claim(key, 1))
      assert.include(replaced.message, "another file")
      fs.rmSync(file)
      fs.renameSync(`${file}.moved`, file)
      assert.deepStrictEqual(yield* store.save([snapshotOf(key, 1)]), [true])
    }))

  it.live("brings a file of the first version up to date, also when many open it at the same time", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* using(file, (store) => store.save([snapshotOf(key, 5)]))
      const database = new DatabaseSync(file)
      database.exec("ALTER TABLE snapshots DROP COLUMN term; PRAGMA user_version = 1")
      database.close()
      const stores = yield* Effect.forEach(Array.from({ length: 4 }), () => open(file), { concurrency: "unbounded" })
      const claimed = yield* stores[0]!.claim(key, 1, 7)
      assert.deepStrictEqual(claimed, { epoch: 6, snapshot: Option.some(snapshotOf(key, 5)) })
      assert.strictEqual((yield* Effect.flip(stores[1]!.claim(key, 1, 6)))._tag, "ClaimRefused")
      yield* using(file, (store) => Effect.flip(store.claim(key, 1, 6)))
    }))

  it.live("grants the highest term in the end, through two connections", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* raceForTerms(yield* open(file), yield* open(file))
    }))

  it.live("is created once by many processes that start at the same time", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const stores = yield* Effect.forEach(Array.from({ length: 8 }), () => open(file), { concurrency: "unbounded" })
      yield* Effect.forEach(stores, (store, i) => store.save([snapshotOf({ kind: "cart", id: `${i}` }, 1)]), {
        concurrency: "unbounded"
      })
      for (const store of stores) assert.lengthOf(yield* store.list({ kind: "cart", limit: 99 }), 8)
      assert.sameMembers(fs.readdirSync(join(file, "..")), [
        "sessions.sqlite",
        "sessions.sqlite-shm",
        "sessions.sqlite-wal"
      ])
    }))

  it.live("is opened if another process creates it just after it was found missing", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      yield* Effect.acquireUseRelease(
        Effect.sync(() => {
          const { existsSync } = nodeFs
          let other: DatabaseSync | undefined
          nodeFs.existsSync = (path) => {
            if (path !== file) return existsSync(path)
            nodeFs.existsSync = existsSync
            syncBuiltinESMExports()
            other = openDatabase(file, "normal", 500)
            return false
          }
          syncBuiltinESMExports()
          return () => {
            nodeFs.existsSync = existsSync
            syncBuiltinESMExports()
            other?.close()
          }
        }),
        () => Effect.sync(() => openDatabase(file, "normal", 500).close()),
        (restore) => Effect.sync(restore)
      )
    }))

  it.live(
    "writes again when a full disk has room again",
    (context) =>
      Effect.gen(function*() {
        const child = yield* Child.start("fullDisk", yield* temporary)
        yield* child.ended
        if (child.lines[0] === "no namespaces") return context.skip("this machine lets nobody mount a small disk")
        assert.deepStrictEqual(child.lines, ["full: there is no room left", "after some", "goes on: true", "has all"])
      })
  )

  it.live("lets two processes that race for a key never write in place of a newer owner", () =>
    Effect.gen(function*() {
      const file = yield* temporaryFile
      const store = yield* open(file)
      const database = new DatabaseSync(file)
      // Everything that ever was visible, in the order in which it was.
      database.exec(`CREATE TABLE history (seq INTEGER PRIMARY KEY, claimed INTEGER, epoch INTEGER, version INTEGER);
        CREATE TRIGGER inserted AFTER INSERT ON snapshots WHEN NEW.kind = 'race' BEGIN
          INSERT INTO history (claimed, epoch, version) VALUES (NEW.epoch, NEW.snapshot_epoch, NEW.version); END;
        CREATE TRIGGER updated AFTER UPDATE ON snapshots WHEN NEW.kind = 'race' BEGIN
          INSERT INTO history (claimed, epoch, version) VALUES (NEW.epoch, NEW.snapshot_epoch, NEW.version); END;`)
      const children = yield* Effect.forEach(["first", "second"], (name) =>
        Child.start("raceWriter", `file://${file}`, name))
      // They did get in each other's way.
      yield* Effect.forEach(children, (child) =>
        child.says("enough"))
      yield* Effect.forEach(children, (child) => child.stop, { concurrency: 2 })
      const counts = children.map(({ lines }) => {
        assert.strictEqual(lines[0], "enough")
        return JSON.parse(lines[1]!)
      })
      const history = database.prepare("SELECT claimed, epoch, version FROM history ORDER BY seq").all() as Array<
        { claimed: number; epoch: number | null; version: number | null }
      >
      database.close()
      let [claimed, version, writes, claims] = [0, 0, 0, 0]
      for (const row of history) {
        if (row.claimed > claimed) {
          assert.strictEqual(row.claimed, claimed + 1, "a claim gives the next epoch")
          ;[claimed, version] = [row.claimed, 0]
          claims++
        } else {
          assert.strictEqual(row.epoch, claimed, "only the owner writes")
          assert.isAtLeast(row.version!, version, "versions only grow")
          version = row.version!
          writes++
        }
      }
      assert.strictEqual(writes, counts[0].written + counts[1].written)
      assert.strictEqual(claims, counts[0].claims + counts[1].claims)
      assert.isTrue(Option.isSome(yield* store.peek({ kind: "race", id: "one" })))
    }))
})
