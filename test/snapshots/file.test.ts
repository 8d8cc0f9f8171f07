import { NodeFileSystem, NodePath } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, FileSystem, Layer, Option, PlatformError, Scope } from "effect"
import { FileStore, SnapshotStore } from "effect-sessions/snapshots"
import { readdirSync } from "node:fs"
import * as Child from "./Child.ts"
import { describeStore, idsOf, snapshotOf } from "./contract.ts"
import { keysOfWriter } from "./rounds.ts"

const PlatformLayer = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer)

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "snapshots-" }))

const fresh = (options: Omit<FileStore.Options, "directory">) =>
  Layer.unwrap(Effect.map(temporary, (directory) => FileStore.layer({ directory, ...options }))).pipe(
    Layer.provide(PlatformLayer)
  )

describeStore("FileStore", fresh({}))
describeStore("FileStore with sync", fresh({ sync: true, concurrency: 4 }), { runs: 5, keys: 300 })

/** Opens the store of a directory; it is closed with the scope. */
const open = (directory: string, options: Omit<FileStore.Options, "directory"> = {}) =>
  Effect.map(
    Layer.build(Layer.fresh(FileStore.layer({ directory, ...options }))),
    (context) => Context.get(context, SnapshotStore)
  )

/** Uses the store of a directory, and closes it. */
const using = <A, E, R>(directory: string, use: (store: SnapshotStore["Service"]) => Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.flatMap(open(directory), use))

const filesIn = (directory: string) =>
  readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) =>
    `${entry.parentPath}/${entry.name}`
  )

const snapshotFiles = (directory: string) => filesIn(directory).filter((file) => file.endsWith(".snapshot"))

const key = { kind: "cart", id: "a" }
const test = Effect.provide(PlatformLayer)

describe("FileStore", () => {
  it.effect("knows all of it again when it is opened again", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const first = snapshotOf(key, 5, { alarmAt: 70, expiresAt: 90 })
      const removed = { kind: "cart", id: "removed" }
      yield* using(directory, (store) =>
        Effect.gen(function*() {
          yield* store.save([first, snapshotOf({ kind: "cart", id: "b" }, 2, { alarmAt: 60 }), snapshotOf(removed, 8)])
          yield* store.remove([{ ...removed, epoch: 9 }])
          yield* store.claim({ kind: "cart", id: "claimed" }, 1000)
          yield* store.setAside(snapshotOf({ kind: "cart", id: "bad" }, 3), "why")
        }))
      yield* using(directory, (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual(yield* store.peek(key), Option.some(first))
          assert.deepStrictEqual(yield* idsOf(store, { kind: "cart", limit: 10 }), ["a", "b"])
          assert.deepStrictEqual((yield* store.alarms("cart", 100, 10)).map(({ id }) => id), ["b", "a"])
          assert.deepStrictEqual(yield* store.save([snapshotOf(removed, 9)]), [false])
          assert.strictEqual((yield* store.claim({ kind: "cart", id: "claimed" }, 1)).epoch, 1001)
          assert.strictEqual((yield* store.claim(key, 1)).epoch, 6)
          assert.lengthOf(yield* store.aside, 1)
          assert.strictEqual(yield* store.sweep(91), 1)
        }))
      assert.lengthOf(snapshotFiles(directory), 1)
      yield* using(directory, (store) =>
        Effect.map(idsOf(store, { kind: "cart", limit: 10 }), (ids) => assert.deepStrictEqual(ids, ["b"])))
    }).pipe(test))

  it.live("belongs to one Layer at a time, also within a process", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      yield* open(directory)
      const error = yield* Effect.flip(Effect.scoped(open(directory)))
      assert.instanceOf(error, FileStore.DirectoryInUse)
      assert.include(error.message, `process ${process.pid} on`)
    }).pipe(Effect.scoped, test))

  it.live("is refused while another process has it, and taken over when that one was killed", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const child = yield* Child.start("fileWriter.ts", directory)
      yield* child.said(2)
      const error = yield* Effect.flip(Effect.scoped(open(directory)))
      assert.instanceOf(error, FileStore.DirectoryInUse)
      assert.strictEqual(error.pid, child.pid)
      yield* child.kill
      yield* using(
        directory,
        (store) => Effect.map(store.peek(keysOfWriter[0]!), (found) => assert.isTrue(Option.isSome(found)))
      )
      assert.deepStrictEqual(filesIn(directory).filter((file) => file.includes("/lock-")), [])
    }).pipe(Effect.scoped, test))

  it.live("gives the directory to at most one of those that come at the same time", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      for (let round = 0; round < 5; round++) {
        const scopes = yield* Effect.forEach(Array.from({ length: 5 }), () => Scope.make())
        const exits = yield* Effect.forEach(
          scopes,
          (scope) => Effect.exit(Effect.provideService(open(directory), Scope.Scope, scope)),
          { concurrency: "unbounded" }
        )
        assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
        yield* Effect.forEach(scopes, (scope) => Scope.close(scope, Exit.void))
      }
    }).pipe(Effect.scoped, test))

  it.effect("sets damaged files aside, as they are, and goes on with the others", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const directory = yield* temporary
      const keys = ["cut", "edited", "empty", "swapped", "good"].map((id) => ({ kind: "cart", id }))
      yield* using(directory, (store) => store.save(keys.map((key) => snapshotOf(key, 1))))
      const fileOf = (id: string) => snapshotFiles(directory).find((file) => file.endsWith(`k-${id}.snapshot`))!
      const whole = yield* fs.readFileString(fileOf("cut"))
      const cut = whole.slice(0, -3)
      yield* fs.writeFileString(fileOf("cut"), cut)
      yield* fs.writeFileString(fileOf("edited"), whole.replace("\"version\":1", "\"version\":2"))
      yield* fs.writeFileString(fileOf("empty"), "")
      yield* fs.copyFile(fileOf("good"), fileOf("swapped"))
      const check = (store: SnapshotStore["Service"]) =>
        Effect.gen(function*() {
          for (const [i, key] of keys.entries()) {
            const { epoch, snapshot } = yield* store.claim(key, 1)
            assert.deepStrictEqual(snapshot, i === 4 ? Option.some(snapshotOf(key, 1)) : Option.none())
            assert.isAtLeast(epoch, 2)
            if (i < 4) assert.deepStrictEqual(yield* store.save([snapshotOf(key, epoch)]), [true])
          }
          const aside = yield* store.aside
          assert.deepStrictEqual(aside.map(({ snapshot }) => snapshot.id), ["cut", "edited", "empty", "swapped"])
          assert.strictEqual(aside[0]!.snapshot.body, cut)
          for (const { reason } of aside) assert.include(reason, "damaged")
        })
      yield* using(directory, check)
      const raw = filesIn(directory).filter((file) => file.endsWith(".raw"))
      assert.lengthOf(raw, 4)
      assert.include(yield* Effect.forEach(raw, (file) => fs.readFileString(file)), cut)
    }).pipe(test))

  it.effect("reads all files when the journal is gone or damaged", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      for (const damage of ["gone", "middle", "end"]) {
        const directory = yield* temporary
        const keys = Array.from({ length: 20 }, (_, i) => ({ kind: i % 2 ? "Cart" : "cart", id: `Id:${i}` }))
        yield* using(directory, (store) =>
          Effect.gen(function*() {
            yield* store.save(keys.map((key, i) => snapshotOf(key, 7, { alarmAt: i + 1 })))
            yield* store.remove([{ ...keys[0]!, epoch: 7 }])
          }))
        const journal = `${directory}/journal`
        const text = yield* fs.readFileString(journal)
        if (damage === "gone") yield* fs.remove(journal)
        else if (damage === "end") yield* fs.writeFileString(journal, `${text}[99,[],["cart","Id:`)
        else yield* fs.writeFileString(journal, text.replace("\n", "\u0000\u0000\n"))
        const [file] = snapshotFiles(directory)
        yield* fs.writeFileString(`${file}.tmp`, "left")
        if (damage !== "end") yield* fs.writeFileString(file!, "damaged")
        yield* using(directory, (store) =>
          Effect.gen(function*() {
            const ids = [
              ...(yield* idsOf(store, { kind: "cart", limit: 99 })),
              ...(yield* idsOf(store, { kind: "Cart", limit: 99 }))
            ]
            assert.lengthOf(ids, damage === "end" ? 19 : 18)
            assert.lengthOf(yield* store.aside, damage === "end" ? 0 : 1)
            assert.isTrue(Option.isSome(yield* store.nextAlarm("cart")))
            for (const key of keys) assert.strictEqual((yield* store.claim(key, 1)).epoch, 8)
          }))
        if (damage !== "end") assert.deepStrictEqual(filesIn(directory).filter((name) => name.endsWith(".tmp")), [])
      }
    }).pipe(test))

  it.effect("keeps what it had when a write fails, and takes it when it is tried again", () =>
    Effect.gen(function*() {
      const directory = yield* temporary
      const real = yield* FileSystem.FileSystem
      const full = { is: false, journal: false }
      const noSpace = (path: string) =>
        PlatformError.systemError({ _tag: "WriteZero", module: "FileSystem", method: "rename", pathOrDescriptor: path })
      const Failing = Layer.succeed(FileSystem.FileSystem, {
        ...real,
        rename: (from, to) => full.is && to.includes("k-b") ? Effect.fail(noSpace(to)) : real.rename(from, to)
      })
      const [a, b] = [{ kind: "cart", id: "a" }, { kind: "cart", id: "b" }]
      const both = (version: number) => [a, b].map((key) => snapshotOf(key, 1, { version, alarmAt: version }))
      yield* using(directory, (store) =>
        Effect.gen(function*() {
          yield* store.save(both(1))
          full.is = true
          const error = yield* Effect.flip(store.save(both(2)))
          assert.strictEqual(error._tag, "SnapshotStoreError")
          assert.isTrue(error.retrySafe)
          assert.deepStrictEqual(yield* store.peek(b), Option.some(both(1)[1]!))
          assert.deepStrictEqual((yield* store.alarms("cart", 9, 9)).map(({ alarmAt }) => alarmAt), [1, 2])
          yield* store.save([snapshotOf({ kind: "cart", id: "c" }, 1)])
        })).pipe(Effect.provide(Failing))
      yield* using(directory, (store) =>
        Effect.gen(function*() {
          assert.deepStrictEqual((yield* store.alarms("cart", 9, 9)).map(({ alarmAt }) => alarmAt), [1, 2])
          assert.deepStrictEqual(yield* store.save(both(2)), [true, true])
          assert.deepStrictEqual(yield* store.peek(b), Option.some(both(2)[1]!))
        }))
      assert.deepStrictEqual(filesIn(directory).filter((name) => name.endsWith(".tmp")), [])
    }).pipe(test))
})
