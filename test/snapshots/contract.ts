/** What every snapshot store must do: the sentences of `SnapshotStore`, as tests. */
import { assert, layer as withLayer } from "@effect/vitest"
import { Clock, Context, Effect, Exit, Layer, Option, Random, Schema } from "effect"
import {
  ClaimRefused,
  type Head,
  type Key,
  type ListOptions,
  MemoryStore,
  type Snapshot,
  SnapshotStore
} from "effect-sessions/snapshots"

const hour = 3_600_000

let count = 0
/** Each test has a kind of its own: they share a store. */
const newKind = (): string => `kind-${++count}`

export const snapshotOf = (key: Key, epoch: number, change: Partial<Snapshot> = {}): Snapshot => ({
  kind: key.kind,
  id: key.id,
  epoch,
  version: 1,
  format: 1,
  body: `{"n":${epoch}}`,
  savedAt: 1_700_000_000_000,
  expiresAt: null,
  alarmAt: null,
  user: null,
  ...change
})

/** The ids that a store lists. */
const idsOf = (store: SnapshotStore["Service"], options: ListOptions) =>
  Effect.map(store.list(options), (heads) => heads.map(({ id }) => id))

/** What a claim gives, or why it is refused. */
const claimOf = (store: SnapshotStore["Service"], key: Key, atLeast: number, term: number | undefined) =>
  Effect.catchTag(store.claim(key, atLeast, term), "ClaimRefused", (refused) => Effect.succeed(refused))

/** The store of the test, with the operations on one key at hand. */
const testing = Effect.gen(function*() {
  const store = yield* SnapshotStore
  const kind = newKind()
  return {
    store,
    kind,
    key: { kind, id: "a" },
    save: (snapshot: Snapshot) => Effect.map(store.save([snapshot]), ([written]) => written),
    remove: (key: Key, epoch: number) => Effect.map(store.remove([{ ...key, epoch }]), ([gone]) => gone),
    kept: (key: Key) => Effect.map(store.peek(key), Option.getOrUndefined),
    /** The entries of the kind, without their dates. */
    quarantined: Effect.map(
      store.quarantined,
      (all) => all.filter(({ snapshot }) => snapshot.kind === kind).map(({ at: _, ...entry }) => entry)
    )
  }
})

const letters = ["a", "b", "c", "d"]
const Id = Schema.Literals(letters)
const Time = Schema.NullOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })))
const Term = Schema.UndefinedOr(Schema.Literals([0, 1, 2, 3]))
const Owner = Schema.Literals([0, 1, 2])
const users = ["ada", "bob", ""]
const Write = Schema.Struct({
  id: Id,
  step: Schema.Literals([-1, 0, 1, 1, 1]),
  alarmAt: Time,
  expiresAt: Time,
  user: Schema.NullOr(Schema.Literals(users))
})
const Operation = Schema.Union([
  Schema.Struct({ does: Schema.Literal("claim"), owner: Owner, id: Id, term: Term }),
  Schema.Struct({ does: Schema.Literal("save"), owner: Owner, writes: Schema.Array(Write) }),
  Schema.Struct({ does: Schema.Literal("remove"), owner: Owner, ids: Schema.Array(Id) }),
  Schema.Struct({ does: Schema.Literal("quarantine"), owner: Owner, id: Id }),
  Schema.Struct({
    does: Schema.Literal("discard"),
    at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 3 }))
  }),
  Schema.Struct({ does: Schema.Literal("sweep"), now: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 })) })
])

const eachOnce = <A>(all: ReadonlyArray<A>, idOf: (one: A) => string): Array<A> =>
  Array.from(new Map(all.map((one) => [idOf(one), one])).values())

/** All that can be seen of a kind. */
const view = Effect.fnUntraced(function*(store: SnapshotStore["Service"], kind: string) {
  return {
    kept: yield* Effect.forEach(letters, (id) => store.peek({ kind, id })),
    stats: yield* Effect.forEach(letters, (id) => store.stat({ kind, id })),
    all: yield* store.list({ kind, limit: 100 }),
    ofUsers: yield* Effect.forEach(users, (user) => store.list({ kind, user, limit: 100 })),
    due: yield* store.alarms(kind, 5, 3),
    next: yield* store.nextAlarm(kind)
  }
})

/** Defines the tests of a store. `runs` is how many random scripts are tried, `keys` how many keys are listed. */
export const describeStore = <E>(
  name: string,
  layer: Layer.Layer<SnapshotStore, E>,
  { keys = 10_000, runs = 30 }: { readonly keys?: number; readonly runs?: number } = {}
): void => {
  withLayer(layer, { excludeTestServices: true })(`${name} is a snapshot store`, (it) => {
    it.effect("gives back what was saved, in place of the one before", () =>
      Effect.gen(function*() {
        const { kept, key, save, store } = yield* testing
        assert.isUndefined(yield* kept(key))
        const first = snapshotOf(key, 1, { expiresAt: 1_800_000_000_000, alarmAt: 1_750_000_000_000, format: 3 })
        assert.isTrue(yield* save(first))
        assert.deepStrictEqual(yield* kept(key), first)
        const second = snapshotOf(key, 1, { version: 2, body: "{}", savedAt: first.savedAt + 1 })
        assert.isTrue(yield* save(second))
        assert.deepStrictEqual(yield* kept(key), second)
        assert.deepStrictEqual((yield* store.claim(key, 1)).snapshot, Option.some(second))
      }))

    it.effect("claims under `atLeast`, or a higher epoch than any before", () =>
      Effect.gen(function*() {
        const { key, kind, remove, save, store } = yield* testing
        const first = yield* store.claim(key, 1_700_000_000_000)
        assert.isAtLeast(first.epoch, 1_700_000_000_000)
        assert.isTrue(Option.isNone(first.snapshot))
        assert.strictEqual((yield* store.claim(key, 5)).epoch, first.epoch + 1)
        assert.strictEqual((yield* store.claim(key, first.epoch + 1)).epoch, first.epoch + 2)
        assert.strictEqual((yield* store.claim(key, first.epoch + 100)).epoch, first.epoch + 100)
        const written = { kind, id: "written" }
        yield* save(snapshotOf(written, first.epoch + 500))
        assert.strictEqual((yield* store.claim(written, 1)).epoch, first.epoch + 501)
        const removed = { kind, id: "removed" }
        yield* remove(removed, first.epoch + 900)
        assert.strictEqual((yield* store.claim(removed, 1)).epoch, first.epoch + 901)
      }))

    it.effect("refuses a claim under a lower term than the key was claimed under, and changes nothing", () =>
      Effect.gen(function*() {
        const { kept, key, kind, remove, save, store } = yield* testing
        const refused = Effect.fnUntraced(function*(key: Key, term: number, known: number) {
          const error = yield* Effect.flip(store.claim(key, 1, term))
          assert.deepStrictEqual(error, ClaimRefused.of(key, known))
        })
        const { epoch } = yield* store.claim(key, 1, 7)
        assert.isTrue(yield* save(snapshotOf(key, epoch)))
        yield* refused(key, 6, 7)
        yield* refused(key, 0, 7)
        assert.strictEqual(Option.getOrThrow(yield* store.stat(key)).epoch, epoch)
        assert.isTrue(yield* save(snapshotOf(key, epoch, { version: 2 })))
        assert.deepStrictEqual(yield* kept(key), snapshotOf(key, epoch, { version: 2 }))
        const same = yield* store.claim(key, 1, 7)
        assert.deepStrictEqual(same, {
          epoch: epoch + 1,
          snapshot: Option.some(snapshotOf(key, epoch, { version: 2 }))
        })
        const large = 2 ** 52 + 1
        yield* store.claim(key, 1, large)
        yield* refused(key, large - 1, large)
        // A remove stays a remove.
        yield* remove(key, epoch + 5)
        yield* refused(key, 7, large)
        assert.isFalse(yield* save(snapshotOf(key, epoch + 5)))
        yield* store.claim({ kind, id: "another" }, 1, 1)
      }))

    it.effect("claims without a term whatever the term, and leaves that as it is", () =>
      Effect.gen(function*() {
        const { key, kind, save, store } = yield* testing
        const { epoch } = yield* store.claim(key, 1, 7)
        assert.strictEqual((yield* store.claim(key, 1)).epoch, epoch + 1)
        assert.strictEqual((yield* Effect.flip(store.claim(key, 1, 6)))._tag, "ClaimRefused")
        const written = { kind, id: "written" }
        yield* save(snapshotOf(written, 5))
        assert.strictEqual((yield* store.claim(written, 1, 0)).epoch, 6)
      }))

    it.effect("remembers the term of a key for as long as its epoch", () =>
      Effect.gen(function*() {
        const { kind, remove, save, store } = yield* testing
        const now = yield* Clock.currentTimeMillis
        const keys = ["claimed", "removed", "swept", "quarantined", "stored"].map((id) => ({ kind, id }))
        const [, removed, swept, quarantined, stored] = keys
        for (const key of keys) yield* store.claim(key, 1, 7)
        const at = Effect.fnUntraced(function*(key: Key, change: Partial<Snapshot> = {}) {
          const { epoch } = Option.getOrThrow(yield* store.stat(key))
          const snapshot = snapshotOf(key, epoch, change)
          assert.isTrue(yield* save(snapshot))
          return snapshot
        })
        yield* remove(removed!, (yield* at(removed!)).epoch)
        yield* at(swept!, { expiresAt: now - 1 })
        yield* store.quarantine(yield* at(quarantined!), "unreadable")
        yield* at(stored!)
        yield* store.sweep(now)
        const isRefused = (key: Key) =>
          Effect.map(claimOf(store, key, 1, 6), (claimed) => claimed instanceof ClaimRefused)
        assert.deepStrictEqual(yield* Effect.forEach(keys, isRefused), [true, true, true, true, true])
        yield* store.sweep(now + hour + 60_000)
        assert.deepStrictEqual(yield* Effect.forEach(keys, isRefused), [false, false, false, false, true])
      }))

    it.effect("stores whole numbers exactly, however large", () =>
      Effect.gen(function*() {
        const { kept, key, save, store } = yield* testing
        const most = Number.MAX_SAFE_INTEGER
        const large = 2 ** 52 + 1
        assert.strictEqual((yield* store.claim({ ...key, id: "far" }, large)).epoch, large)
        assert.strictEqual((yield* store.claim({ ...key, id: "far" }, large)).epoch, large + 1)
        const snapshot = snapshotOf(key, large, { version: most, format: 2e9, expiresAt: most, savedAt: most })
        assert.isTrue(yield* save(snapshot))
        assert.deepStrictEqual(yield* kept(key), snapshot)
        assert.isFalse(yield* save({ ...snapshot, version: most - 1 }))
        assert.isFalse(yield* save({ ...snapshot, epoch: large - 1 }))
        assert.isTrue(yield* save({ ...snapshot, alarmAt: most }))
        assert.deepStrictEqual(yield* store.nextAlarm(key.kind), Option.some(most))
        assert.deepStrictEqual(yield* store.remove([{ ...key, epoch: large - 1 }, { ...key, id: "b", epoch: large }]), [
          false,
          true
        ])
        assert.deepStrictEqual(yield* store.remove([{ ...key, epoch: large }]), [true])
      }))

    it.effect("refuses the writes and removes of a former owner", () =>
      Effect.gen(function*() {
        const { kept, key, remove, save, store } = yield* testing
        const old = (yield* store.claim(key, 1)).epoch
        assert.isTrue(yield* save(snapshotOf(key, old)))
        const { epoch } = yield* store.claim(key, 1)
        assert.isFalse(yield* save(snapshotOf(key, old, { version: 99 })))
        assert.isFalse(yield* remove(key, old))
        assert.deepStrictEqual(yield* kept(key), snapshotOf(key, old))
        assert.isTrue(yield* save(snapshotOf(key, epoch, { version: 0 })))
        assert.isFalse(yield* save(snapshotOf(key, old, { version: 99 })))
        assert.deepStrictEqual(yield* kept(key), snapshotOf(key, epoch, { version: 0 }))
      }))

    it.effect("writes a version again, and no lower one of the same epoch", () =>
      Effect.gen(function*() {
        const { kept, key, save, store } = yield* testing
        const { epoch } = yield* store.claim(key, 1)
        const fifth = snapshotOf(key, epoch, { version: 5 })
        assert.isTrue(yield* save(fifth))
        assert.isTrue(yield* save(fifth))
        assert.isFalse(yield* save(snapshotOf(key, epoch, { version: 4, body: "late" })))
        assert.deepStrictEqual(yield* kept(key), fifth)
        assert.isTrue(yield* save({ ...fifth, body: "again", alarmAt: 7 }))
        assert.deepStrictEqual(yield* kept(key), { ...fifth, body: "again", alarmAt: 7 })
      }))

    it.effect("takes a higher epoch than was claimed as a claim", () =>
      Effect.gen(function*() {
        const { key, save, store } = yield* testing
        const { epoch } = yield* store.claim(key, 1)
        assert.isTrue(yield* save(snapshotOf(key, epoch + 5)))
        assert.isFalse(yield* save(snapshotOf(key, epoch, { version: 9 })))
      }))

    it.effect("says of each snapshot of a batch, in order, whether it was written", () =>
      Effect.gen(function*() {
        const { kept, kind, store } = yield* testing
        const keys = Array.from({ length: 300 }, (_, i) => ({ kind, id: `${i}` }))
        const old = yield* Effect.forEach(keys, (key) => Effect.map(store.claim(key, 1), ({ epoch }) => epoch))
        const isFenced = (_: unknown, i: number) => i % 7 === 3
        yield* Effect.forEach(keys.filter(isFenced), (key) => store.claim(key, 1))
        const written = yield* store.save(keys.map((key, i) => snapshotOf(key, old[i]!)))
        assert.deepStrictEqual(written, keys.map((key, i) => !isFenced(key, i)))
        for (const [i, key] of keys.entries()) {
          assert.deepStrictEqual(yield* kept(key), isFenced(key, i) ? undefined : snapshotOf(key, old[i]!))
        }
        const gone = yield* store.remove(keys.map((key, i) => ({ ...key, epoch: old[i]! })))
        assert.deepStrictEqual(gone, keys.map((key, i) => !isFenced(key, i)))
        assert.deepStrictEqual(yield* idsOf(store, { kind, limit: 1000 }), [])
      }))

    it.effect("does nothing for an empty batch, and dies of a key that is named twice", () =>
      Effect.gen(function*() {
        const { key, store } = yield* testing
        assert.deepStrictEqual(yield* store.save([]), [])
        assert.deepStrictEqual(yield* store.remove([]), [])
        const twice = [snapshotOf(key, 1), snapshotOf({ ...key, id: "b" }, 1), snapshotOf(key, 1, { version: 2 })]
        for (const exit of [yield* Effect.exit(store.save(twice)), yield* Effect.exit(store.remove(twice))]) {
          assert.isTrue(Exit.hasDies(exit))
        }
        assert.deepStrictEqual(yield* idsOf(store, { kind: key.kind, limit: 10 }), [])
      }))

    it.effect("ends an epoch with a remove: a save of it that comes late is refused", () =>
      Effect.gen(function*() {
        const { kept, key, remove, save, store } = yield* testing
        const { epoch } = yield* store.claim(key, 1)
        assert.isTrue(yield* save(snapshotOf(key, epoch, { alarmAt: 5, expiresAt: 5 })))
        assert.isTrue(yield* remove(key, epoch))
        assert.isTrue(yield* remove(key, epoch))
        assert.isUndefined(yield* kept(key))
        assert.isTrue(Option.isNone(yield* store.nextAlarm(key.kind)))
        assert.isFalse(yield* save(snapshotOf(key, epoch, { version: 9 })))
        assert.isFalse(yield* save(snapshotOf(key, epoch - 1, { version: 9 })))
        assert.isFalse(yield* remove(key, epoch - 1))
        assert.isUndefined(yield* kept(key))
        const next = yield* store.claim(key, 1)
        assert.strictEqual(next.epoch, epoch + 1)
        assert.isTrue(Option.isNone(next.snapshot))
        assert.isTrue(yield* save(snapshotOf(key, next.epoch)))
        assert.isFalse(yield* remove(key, epoch))
      }))

    it.effect("removes what was never there, and refuses lower epochs from then on", () =>
      Effect.gen(function*() {
        const { key, remove, save } = yield* testing
        assert.isTrue(yield* remove(key, 50))
        assert.isFalse(yield* save(snapshotOf(key, 49)))
        assert.isFalse(yield* save(snapshotOf(key, 50)))
        assert.isTrue(yield* save(snapshotOf(key, 51)))
      }))

    it.effect("does not confuse kinds and ids, whatever they are made of", () =>
      Effect.gen(function*() {
        const { kept, kind, store } = yield* testing
        const ids = [
          "a",
          "A",
          "aa",
          "_a",
          "a_",
          "a.b",
          "a:b",
          "a~b",
          "a@b",
          "a-b",
          ".",
          "..",
          ".a",
          "con",
          "CON",
          "nul",
          "a.",
          "a.tmp",
          "X".repeat(128),
          "x".repeat(128),
          `${"X".repeat(127)}x`,
          ":~@._-".repeat(21)
        ]
        const keys = [kind, kind.toUpperCase(), `${kind}:${"K".repeat(60)}`].flatMap((kind) =>
          ids.map((id) => ({ kind, id }))
        )
        const snapshots = keys.map((key, i) => snapshotOf(key, 1, { body: `${i}`, alarmAt: i + 1 }))
        assert.isTrue((yield* store.save(snapshots)).every((written) => written))
        for (const [i, key] of keys.entries()) assert.deepStrictEqual(yield* kept(key), snapshots[i])
        assert.deepStrictEqual(yield* idsOf(store, { kind, limit: 1000 }), ids.toSorted())
        const due = yield* store.alarms(kind.toUpperCase(), 1000, 1000)
        assert.deepStrictEqual(due.map(({ id }) => id), ids)
      }))

    it.effect("stores any text: a megabyte, all of Unicode, and invalid Unicode", () =>
      Effect.gen(function*() {
        const { kept, kind, quarantined, store } = yield* testing
        const bodies = [
          "",
          "\u0000",
          "\u0001",
          "\u00010000\u0000\u0001",
          "\\u0000 \\ ' \" $1 %s {} \r\n\t",
          "\uD800 alone \uDC00, together \uD83D\uDE00, the wrong way round \uDE00\uD83D",
          "\uFEFF\uFFFD\uFFFF\u2028é ß 漢字 🧑‍🚀",
          JSON.stringify({ text: "ü漢🧑‍🚀\u0000".repeat(50_000) }),
          `${"é\u0000🙂".repeat(200_000)}`
        ]
        const snapshots = bodies.map((body, i) => snapshotOf({ kind, id: `${i}` }, 1, { body }))
        assert.isTrue((yield* store.save(snapshots)).every((written) => written))
        for (const snapshot of snapshots) assert.isTrue((yield* kept(snapshot))?.body === snapshot.body)
        yield* store.quarantine(snapshots[5]!, "\uD800\u0000 \u0001")
        assert.deepStrictEqual(yield* quarantined, [{ snapshot: snapshots[5]!, reason: "\uD800\u0000 \u0001" }])
      }))

    it.effect("gives claims of one key from many fibers distinct epochs, and only the last may write", () =>
      Effect.gen(function*() {
        const { key, store } = yield* testing
        const claims = yield* Effect.forEach(Array.from({ length: 64 }), () => store.claim(key, 1), {
          concurrency: "unbounded"
        })
        const epochs = claims.map(({ epoch }) => epoch)
        assert.strictEqual(new Set(epochs).size, 64)
        const last = Math.max(...epochs)
        assert.strictEqual(last - Math.min(...epochs), 63)
        const written = yield* Effect.forEach(
          epochs,
          (epoch) => Effect.map(store.save([snapshotOf(key, epoch)]), ([ok]) => ok),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(written, epochs.map((epoch) => epoch === last))
      }))

    it.effect("takes batches from many fibers that name the same keys in different orders", () =>
      Effect.gen(function*() {
        const { kept, kind, store } = yield* testing
        const ids = Array.from({ length: 60 }, (_, i) => `${i}`)
        yield* Effect.forEach(
          Array.from({ length: 12 }, (_, version) => version),
          (version) => {
            const turned = [...ids.slice(version * 5), ...ids.slice(0, version * 5)]
            const order = version % 2 === 0 ? turned : turned.toReversed()
            return store.save(order.map((id) => snapshotOf({ kind, id }, 1, { version })))
          },
          { concurrency: "unbounded" }
        )
        for (const id of ids) assert.strictEqual((yield* kept({ kind, id }))?.version, 11)
      }))

    it.effect("never gives a version lower than one that was acknowledged, while it is written", () =>
      Effect.gen(function*() {
        const { kept, key, save } = yield* testing
        const progress = { acknowledged: 0, done: false }
        const write = Effect.gen(function*() {
          for (let version = 1; version <= 100; version++) {
            yield* save(snapshotOf(key, 1, { version }))
            progress.acknowledged = version
            yield* Effect.yieldNow
          }
          progress.done = true
        })
        const read = Effect.gen(function*() {
          while (!progress.done) {
            const least = progress.acknowledged
            assert.isAtLeast((yield* kept(key))?.version ?? 0, least)
            yield* Effect.yieldNow
          }
        })
        yield* Effect.all([write, read, read], { concurrency: "unbounded" })
      }))

    it.effect("holds quarantined snapshots apart, completely, with reason and date", () =>
      Effect.gen(function*() {
        const { kept, key, kind, quarantined: mine, save, store } = yield* testing
        const before = yield* Clock.currentTimeMillis
        const { epoch } = yield* store.claim(key, 1)
        const first = snapshotOf(key, epoch, { alarmAt: 5, body: "not JSON" })
        yield* save(first)
        yield* store.quarantine(first, "the state does not decode")
        assert.isUndefined(yield* kept(key))
        assert.deepStrictEqual(yield* idsOf(store, { kind, limit: 10 }), [])
        assert.deepStrictEqual(yield* store.alarms(kind, 10, 10), [])
        assert.deepStrictEqual(yield* mine, [{ snapshot: first, reason: "the state does not decode" }])
        // The owner is still the owner, and starts again.
        const second = snapshotOf(key, epoch, { version: 2 })
        assert.isTrue(yield* save(second))
        assert.isFalse(yield* save(snapshotOf(key, epoch - 1, { version: 9 })))
        const next = yield* store.claim(key, 1)
        assert.deepStrictEqual(next.snapshot, Option.some(second))
        yield* store.quarantine(second, "this one does not either")
        // Tried again: nothing is done twice.
        yield* store.quarantine(second, "another reason")
        assert.isUndefined(yield* kept(key))
        // What another owner wrote meanwhile stays.
        const third = snapshotOf(key, next.epoch, { version: 1 })
        yield* save(third)
        yield* store.quarantine(second, "late")
        yield* store.quarantine(snapshotOf(key, next.epoch, { version: 0 }), "never saved")
        assert.deepStrictEqual(yield* kept(key), third)
        assert.deepStrictEqual(yield* mine, [
          { snapshot: first, reason: "the state does not decode" },
          { snapshot: second, reason: "this one does not either" },
          { snapshot: snapshotOf(key, next.epoch, { version: 0 }), reason: "never saved" }
        ])
        yield* store.remove([{ ...key, epoch: next.epoch }])
        yield* store.sweep((yield* Clock.currentTimeMillis) + 2 * hour)
        assert.lengthOf(yield* mine, 3)
        const after = yield* Clock.currentTimeMillis
        for (const { at, snapshot } of yield* store.quarantined) {
          if (snapshot.kind === kind) assert.isTrue(at >= before && at <= after)
        }
      }))

    it.effect("discards from the quarantine exactly the entry that is named, once", () =>
      Effect.gen(function*() {
        const { kept, key, kind, quarantined, save, store } = yield* testing
        const first = snapshotOf(key, 3, { version: 2, body: "bad" })
        const others = [
          snapshotOf(key, 2, { version: 2 }),
          snapshotOf(key, 3, { version: 1 }),
          { ...first, savedAt: first.savedAt + 1 },
          snapshotOf({ kind, id: "b" }, 3, { version: 2 })
        ]
        for (const snapshot of [...others, first]) yield* store.quarantine(snapshot, "unreadable")
        assert.lengthOf(yield* quarantined, 5)
        assert.isFalse(yield* store.discardQuarantined({ ...first, kind: newKind() }))
        assert.isFalse(yield* store.discardQuarantined({ ...first, version: 9 }))
        assert.isTrue(yield* store.discardQuarantined(first))
        assert.isFalse(yield* store.discardQuarantined(first))
        assert.sameDeepMembers((yield* quarantined).map(({ snapshot }) => snapshot), others)
        // What is stored under the key is no entry, and stays.
        yield* save(snapshotOf(key, 9))
        assert.isFalse(yield* store.discardQuarantined(snapshotOf(key, 9)))
        assert.deepStrictEqual(yield* kept(key), snapshotOf(key, 9))
        // It can be quarantined again, with another reason.
        yield* store.quarantine(first, "again")
        const again = (yield* quarantined).find(({ reason }) => reason === "again")
        assert.deepStrictEqual(again!.snapshot, first)
      }))

    it.effect("finds the alarms of a kind that are due, the earliest first", () =>
      Effect.gen(function*() {
        const { key, kind, save, store } = yield* testing
        const other = newKind()
        assert.isTrue(Option.isNone(yield* store.nextAlarm(kind)))
        const at = [50, 20, null, 30, 20, 40]
        yield* store.save(at.map((alarmAt, i) => snapshotOf({ kind, id: `${5 - i}` }, 1, { alarmAt })))
        yield* save(snapshotOf({ kind: other, id: "a" }, 1, { alarmAt: 1 }))
        const found = (until: number, limit: number) =>
          Effect.map(store.alarms(kind, until, limit), (all) =>
            all.map((alarm) => {
              assert.strictEqual(alarm.kind, kind)
              return [alarm.id, alarm.alarmAt]
            }))
        assert.deepStrictEqual(yield* found(19, 10), [])
        assert.deepStrictEqual(yield* found(30, 10), [["1", 20], ["4", 20], ["2", 30]])
        assert.deepStrictEqual(yield* found(100, 4), [["1", 20], ["4", 20], ["2", 30], ["0", 40]])
        assert.deepStrictEqual(yield* found(100, 0), [])
        assert.deepStrictEqual(yield* store.nextAlarm(kind), Option.some(20))
        // It is later, earlier, gone with a save, and gone with a remove.
        yield* store.save([
          snapshotOf({ kind, id: "1" }, 1, { alarmAt: 60 }),
          snapshotOf({ kind, id: "0" }, 1, { alarmAt: 10 }),
          snapshotOf({ kind, id: "2" }, 1, { alarmAt: null })
        ])
        yield* store.remove([{ kind, id: "4", epoch: 1 }])
        assert.deepStrictEqual(yield* found(100, 10), [["0", 10], ["5", 50], ["1", 60]])
        yield* store.claim({ kind, id: "0" }, 1)
        assert.deepStrictEqual(yield* store.nextAlarm(kind), Option.some(10))
        assert.deepStrictEqual(yield* store.nextAlarm(other), Option.some(1))
        assert.isTrue(Option.isNone(yield* store.nextAlarm(key.kind + "?")))
      }))

    it.effect(`lists ${keys} keys in pages, in order and each once`, () =>
      Effect.gen(function*() {
        const { kind, store } = yield* testing
        const ids = Array.from({ length: keys }, (_, i) => `${(i * 7919) % keys}${i % 2 === 0 ? "A" : "a"}`)
        for (let at = 0; at < ids.length; at += 500) {
          yield* store.save(ids.slice(at, at + 500).map((id) => snapshotOf({ kind, id }, 1)))
        }
        yield* store.claim({ kind, id: "only claimed" }, 1)
        const found: Array<string> = []
        for (let after: string | undefined;; after = found.at(-1)) {
          const page = yield* idsOf(store, { kind, after, limit: 999 })
          assert.isAtMost(page.length, 999)
          if (page.length === 0) break
          found.push(...page)
        }
        assert.deepStrictEqual(found, ids.toSorted())
        assert.deepStrictEqual(yield* idsOf(store, { kind, limit: 0 }), [])
        assert.deepStrictEqual(yield* idsOf(store, { kind: newKind(), limit: 10 }), [])
        // What comes and goes meanwhile is seen.
        yield* store.save([snapshotOf({ kind, id: "0-new" }, 1)])
        yield* store.remove([{ kind, id: found[0]!, epoch: 1 }])
        const now = yield* idsOf(store, { kind, limit: 2 })
        assert.deepStrictEqual(now, [...found.slice(1, 4), "0-new"].toSorted().slice(0, 2))
      }))

    it.effect("says what is known of a key, and who owns it, without the body", () =>
      Effect.gen(function*() {
        const { key, remove, save, store } = yield* testing
        const stat = Effect.map(store.stat(key), Option.getOrUndefined)
        assert.isUndefined(yield* stat)
        const { epoch } = yield* store.claim(key, 1)
        assert.deepStrictEqual(yield* stat, { epoch, head: Option.none() })
        const snapshot = snapshotOf(key, epoch, { expiresAt: 9, alarmAt: 8, format: 7, version: 6, user: "ada" })
        yield* save(snapshot)
        const { body: _, ...head } = snapshot
        assert.deepStrictEqual(yield* stat, { epoch, head: Option.some(head) })
        const next = yield* store.claim(key, 1)
        assert.deepStrictEqual(yield* stat, { epoch: next.epoch, head: Option.some(head) })
        yield* remove(key, next.epoch)
        assert.deepStrictEqual(yield* stat, { epoch: next.epoch, head: Option.none() })
      }))

    it.effect("lists what belongs to a user, as it was written last", () =>
      Effect.gen(function*() {
        const { kind, quarantined, remove, save, store } = yield* testing
        const other = newKind()
        const names = ["ada", "", "a/b", "=ada", "\u0000\uD800é", "x".repeat(5_000)]
        const snapshots = names.flatMap((user, i) => [
          snapshotOf({ kind, id: `${i}b` }, 1, { user }),
          snapshotOf({ kind, id: `${i}a` }, 1, { user, version: 5, format: 3, expiresAt: 4, alarmAt: 2 })
        ])
        yield* store.save([...snapshots, snapshotOf({ kind, id: "nobody" }, 1)])
        yield* save(snapshotOf({ kind: other, id: "0a" }, 1, { user: "ada" }))
        const of = (user: string) => idsOf(store, { kind, user, limit: 10 })
        for (const [i, user] of names.entries()) {
          assert.deepStrictEqual(yield* of(user), [`${i}a`, `${i}b`])
          assert.strictEqual((yield* store.peek({ kind, id: `${i}a` })).pipe(Option.getOrThrow).user, user)
        }
        const [head] = yield* store.list({ kind, user: "ada", limit: 1 })
        const { body: _, ...expected } = snapshots[1]!
        assert.deepStrictEqual(head, expected)
        assert.deepStrictEqual(yield* of("x".repeat(4_999)), [])
        assert.deepStrictEqual(yield* of("nobody"), [])
        // It belongs to another user, to none, or is gone, expired, or quarantined.
        yield* save(snapshotOf({ kind, id: "0a" }, 1, { version: 9, user: "bob" }))
        yield* save(snapshotOf({ kind, id: "0b" }, 1, { version: 9 }))
        assert.deepStrictEqual([yield* of("ada"), yield* of("bob")], [[], ["0a"]])
        assert.isFalse(yield* save(snapshotOf({ kind, id: "0a" }, 1, { version: 8, user: "ada" })))
        assert.deepStrictEqual([yield* of("ada"), yield* of("bob")], [[], ["0a"]])
        yield* remove({ kind, id: "0a" }, 1)
        yield* store.quarantine(snapshots[2]!, "unreadable")
        yield* store.sweep(5)
        assert.deepStrictEqual([yield* of("bob"), yield* of(""), yield* of("a/b")], [[], [], ["2b"]])
        assert.deepStrictEqual((yield* quarantined)[0]?.snapshot, snapshots[2]!)
        yield* save(snapshotOf({ kind, id: "0b" }, 2, { user: "ada" }))
        assert.deepStrictEqual(yield* of("ada"), ["0b"])
        assert.deepStrictEqual(yield* idsOf(store, { kind: other, user: "ada", limit: 10 }), ["0a"])
      }))

    it.effect("lists in pages what begins with a text, of all or of a user", () =>
      Effect.gen(function*() {
        const { kind, store } = yield* testing
        const ids = ["a", "a:", "a:1", "a:2", "a:~", "a:~~", "a;", "b", "a:3"].filter((id) => !id.includes(";"))
        yield* store.save(ids.map((id, i) => snapshotOf({ kind, id }, 1, { user: i % 2 === 0 ? "ada" : "bob" })))
        const pages = Effect.fnUntraced(function*(options: Omit<ListOptions, "kind">) {
          const found: Array<Head> = []
          for (let after = options.after;; after = found.at(-1)!.id) {
            const page = yield* store.list({ kind, ...options, after })
            assert.isAtMost(page.length, options.limit)
            if (page.length === 0) return found.map(({ id }) => id)
            found.push(...page)
          }
        })
        for (const limit of [1, 2, 100]) {
          for (const user of [undefined, "ada", "bob"]) {
            const all = ids.filter((_, i) => user === undefined || (user === "ada") === (i % 2 === 0)).toSorted()
            for (const prefix of [undefined, "", "a", "a:", "a:~", "c", "é", "\u0000"]) {
              const fit = all.filter((id) => id.startsWith(prefix ?? ""))
              assert.deepStrictEqual(yield* pages({ prefix, user, limit }), fit)
              for (const after of ["", "A", "a:1", "a:15", "b", "z"]) {
                assert.deepStrictEqual(yield* pages({ prefix, user, limit, after }), fit.filter((id) => id > after))
              }
            }
          }
        }
        assert.deepStrictEqual(yield* store.list({ kind, user: "ada", limit: 0 }), [])
      }))

    it.effect("sweeps what has expired before a time, and leaves its owner the owner", () =>
      Effect.gen(function*() {
        const { kept, kind, save, store } = yield* testing
        const now = yield* Clock.currentTimeMillis
        yield* store.sweep(now)
        const [early, exact, never] = ["early", "exact", "never"].map((id) => ({ kind, id }))
        const { epoch } = yield* store.claim(early!, 10)
        yield* store.save([
          snapshotOf(early!, epoch, { expiresAt: now - 1, alarmAt: 5 }),
          snapshotOf(exact!, 1, { expiresAt: now }),
          snapshotOf(never!, 1)
        ])
        // Only a sweep looks at the time.
        assert.isDefined(yield* kept(early!))
        assert.strictEqual(yield* store.sweep(now), 1)
        assert.strictEqual(yield* store.sweep(now), 0)
        assert.deepStrictEqual(yield* idsOf(store, { kind, limit: 9 }), ["exact", "never"])
        assert.isTrue(Option.isNone(yield* store.nextAlarm(kind)))
        assert.isFalse(yield* save(snapshotOf(early!, epoch - 1)))
        assert.isTrue(yield* save(snapshotOf(early!, epoch, { version: 0, expiresAt: now + 5 })))
        assert.strictEqual(yield* store.sweep(now + 6), 2)
      }))

    it.effect("sweeps a thousand that have expired, of several kinds", () =>
      Effect.gen(function*() {
        const { kind, store } = yield* testing
        yield* store.sweep(100)
        const other = newKind()
        yield* store.save(
          Array.from({ length: 1200 }, (_, i) =>
            snapshotOf({ kind: i % 2 ? kind : other, id: `${i}` }, 1, { expiresAt: i }))
        )
        assert.strictEqual(yield* store.sweep(1000), 1000)
        assert.lengthOf(yield* idsOf(store, { kind, limit: 1000 }), 100)
        assert.strictEqual(yield* store.sweep(2000), 200)
      }))

    it.effect("remembers epochs for an hour, and gives no lower one even when it has forgotten them", () =>
      Effect.gen(function*() {
        const { key, kind, remove, save, store } = yield* testing
        const now = yield* Clock.currentTimeMillis
        const { epoch } = yield* store.claim(key, 1000)
        yield* save(snapshotOf(key, epoch))
        yield* store.sweep(now)
        yield* remove(key, epoch)
        yield* store.sweep(now + hour - 10_000)
        assert.isFalse(yield* save(snapshotOf(key, epoch)))
        yield* store.sweep(now + hour + 60_000)
        // An owner that was suspended for longer is forgotten, and cannot be distinguished from a new one.
        assert.isTrue(yield* save(snapshotOf(key, epoch - 1, { version: 1 })))
        assert.isAbove((yield* store.claim(key, 1)).epoch, epoch)
        // The owner of a forgotten key loses it to the next claimant.
        const claimed = yield* store.claim({ kind, id: "b" }, 1)
        yield* store.sweep(now + hour + 60_000)
        const next = yield* store.claim({ kind, id: "b" }, 1)
        assert.isAbove(next.epoch, claimed.epoch)
        assert.isFalse(yield* save(snapshotOf({ kind, id: "b" }, claimed.epoch)))
      }))

    it.effect("does not forget the epochs of stored snapshots", () =>
      Effect.gen(function*() {
        const { key, save, store } = yield* testing
        const { epoch } = yield* store.claim(key, 1)
        yield* save(snapshotOf(key, epoch))
        const next = yield* store.claim(key, 1)
        yield* store.sweep((yield* Clock.currentTimeMillis) + 10 * hour)
        assert.isFalse(yield* save(snapshotOf(key, epoch, { version: 9 })))
        assert.isTrue(yield* save(snapshotOf(key, next.epoch)))
      }))

    it.effect.prop(
      "does what the model does, whatever several owners do in whatever order",
      [Schema.Array(Operation)],
      Effect.fnUntraced(function*([script]) {
        const { kind, quarantined, store } = yield* testing
        const model = Context.get(yield* Layer.build(Layer.fresh(MemoryStore.layer)), SnapshotStore)
        yield* store.sweep(100)
        const epochs = new Map<string, number>()
        const versions = new Map<string, number>()
        const epochOf = (owner: number, id: string) => epochs.get(`${owner}${id}`) ?? 0
        for (const operation of script) {
          switch (operation.does) {
            case "claim": {
              const { id, owner, term } = operation
              const claimed = yield* claimOf(store, { kind, id }, 1, term)
              const atLeast = claimed instanceof ClaimRefused ? 1 : claimed.epoch
              assert.deepStrictEqual(yield* claimOf(model, { kind, id }, atLeast, term), claimed)
              if (!(claimed instanceof ClaimRefused)) epochs.set(`${owner}${id}`, claimed.epoch)
              break
            }
            case "save": {
              const snapshots = eachOnce(operation.writes, ({ id }) => id).map(({ step, ...write }) => {
                const { id } = write
                const epoch = epochOf(operation.owner, id)
                const version = Math.max(0, (versions.get(`${id}${epoch}`) ?? 0) + step)
                versions.set(`${id}${epoch}`, version)
                return snapshotOf({ kind, id }, epoch, { ...write, version, body: `${operation.owner}` })
              })
              assert.deepStrictEqual(yield* store.save(snapshots), yield* model.save(snapshots))
              break
            }
            case "remove": {
              const keys = eachOnce(operation.ids, (id) => id).map((id) => ({
                kind,
                id,
                epoch: epochOf(operation.owner, id)
              }))
              assert.deepStrictEqual(yield* store.remove(keys), yield* model.remove(keys))
              break
            }
            case "quarantine": {
              const { id, owner } = operation
              const epoch = epochOf(owner, id)
              const snapshot = Option.getOrElse(yield* model.peek({ kind, id }), () => snapshotOf({ kind, id }, epoch))
              yield* store.quarantine(snapshot, `${owner}`)
              yield* model.quarantine(snapshot, `${owner}`)
              break
            }
            case "discard": {
              const entry = (yield* model.quarantined)[operation.at]?.snapshot ?? snapshotOf({ kind, id: "a" }, 99)
              assert.strictEqual(yield* store.discardQuarantined(entry), yield* model.discardQuarantined(entry))
              break
            }
            case "sweep":
              assert.strictEqual(yield* store.sweep(operation.now), yield* model.sweep(operation.now))
          }
          assert.deepStrictEqual(yield* view(store, kind), yield* view(model, kind))
        }
        assert.deepStrictEqual(yield* quarantined, (yield* model.quarantined).map(({ at: _, ...entry }) => entry))
        yield* store.sweep(100)
      }, Effect.scoped),
      { arbitrary: { runs, size: 60 } }
    )
  })
}

/** Claims under many terms, through two connections to one store: the highest term wins, whatever comes first. */
export const raceForTerms = Effect.fnUntraced(function*(
  first: SnapshotStore["Service"],
  second: SnapshotStore["Service"]
) {
  for (let round = 0; round < 10; round++) {
    const key = { kind: newKind(), id: "a" }
    const terms = yield* Random.shuffle(Array.from({ length: 40 }, (_, i) => i + 1))
    const outcomes = yield* Effect.forEach(
      terms,
      (term, i) => Effect.map(claimOf(i % 2 === 0 ? first : second, key, 1, term), (claimed) => ({ term, claimed })),
      { concurrency: "unbounded" }
    )
    const granted: Array<readonly [epoch: number, term: number]> = []
    for (const { claimed, term } of outcomes) {
      if (claimed instanceof ClaimRefused) assert.isAbove(claimed.term, term)
      else granted.push([claimed.epoch, term])
    }
    granted.sort(([one], [other]) => one - other)
    const inOrder = granted.map(([, term]) => term)
    assert.deepStrictEqual(inOrder, inOrder.toSorted((one, other) => one - other), "later epochs have higher terms")
    assert.strictEqual(inOrder.at(-1), terms.length)
    assert.strictEqual(Option.getOrThrow(yield* second.stat(key)).epoch, granted.at(-1)![0])
  }
})
