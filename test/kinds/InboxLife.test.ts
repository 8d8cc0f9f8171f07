import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { EndReason, Inbox, Live, Migration, SessionError, Sessions, SnapshotStore, Supervision } from "effect-sessions"
import { LiveViews } from "effect-sessions/live"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import type * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class Inboxes extends Inbox.Service<Inboxes>()("Inboxes", {
  kinds: { message: Schema.String, order: Schema.Struct({ n: Schema.Int, due: Schema.DateTimeUtc }), ping: Schema.Void }
}) {}

type Kinds = typeof Inboxes["kinds"]
type Options = Inbox.Options<Kinds>

const layer = (options?: Options) => TestSessions.layer(Inbox.layer(Inboxes, options))

const provide = (options?: Options) => Effect.provide(layer(options))

const push = (...texts: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const inboxes = yield* Inboxes
    const ids: Array<number> = []
    for (const text of texts) {
      ids.push((yield* inboxes.push("ada", "message", text)).id)
      yield* TestSessions.settle
    }
    return ids
  })

const due = Schema.decodeUnknownSync(Schema.DateTimeUtcFromString)("2030-01-02T03:04:05Z")

const texts = Effect.flatMap(
  Inboxes,
  (inboxes) => Effect.map(inboxes.list("ada"), (all) => all.map(({ payload }) => payload))
)

/** Follows ada's messages. */
const follow = (options?: Inbox.SubscribeOptions<"message">) =>
  Effect.gen(function*() {
    return yield* TestSessions.collect(
      Stream.map((yield* Inboxes).subscribe("ada", { kinds: ["message"], ...options }), ({ payload }) => payload)
    )
  })

/** A store that never answers while it is turned off. */
const faulty = () => {
  let isUp = true
  const guard = <A, E>(effect: Effect.Effect<A, E>) => Effect.suspend(() => isUp ? effect : Effect.never)
  const layer = Layer.effect(
    SnapshotStore.SnapshotStore,
    Effect.map(SnapshotStore.SnapshotStore, (store) => ({
      ...store,
      peek: (key) => guard(store.peek(key)),
      claim: (...args) => guard(store.claim(...args))
    }))
  ).pipe(Layer.provide(MemoryStore.layer))
  return {
    layer,
    turn: (on: boolean) => {
      isUp = on
    }
  }
}

describe("a subscription", () => {
  it.effect("gives the unread notifications, oldest first, then each new one", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const [a] = yield* push("a", "b", "c")
      yield* inboxes.read("ada", [a! + 1])
      const { seen } = yield* follow()
      assert.deepStrictEqual(seen, ["a", "c"])
      yield* push("d")
      yield* inboxes.readAll("ada")
      yield* inboxes.push("ada", "ping")
      yield* TestSessions.settle
      yield* push("e")
      assert.deepStrictEqual(seen, ["a", "c", "d", "e"])
    }).pipe(provide()))

  it.effect("begins before the first notification, for a user who was never there", () =>
    Effect.gen(function*() {
      const { seen } = yield* follow()
      yield* push("a")
      assert.deepStrictEqual(seen, ["a"])
    }).pipe(provide()))

  it.effect("continues after an id, with what came since, read or not", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const [, b] = yield* push("a", "b", "c", "d")
      yield* inboxes.read("ada", [b! + 1])
      const since = yield* follow({ after: b! })
      assert.deepStrictEqual(since.seen, ["c", "d"])
      // A subscription after an id that was not given yet waits for the next notification.
      const future = yield* follow({ after: Number.MAX_SAFE_INTEGER })
      yield* push("e")
      assert.deepStrictEqual(since.seen, ["c", "d", "e"])
      assert.deepStrictEqual(future.seen, ["e"])
    }).pipe(provide()))

  it.effect("gives the kinds that are asked for, or all", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const all = yield* TestSessions.collect(Stream.map(inboxes.subscribe("ada"), ({ kind }) => kind))
      const pings = yield* TestSessions.collect(
        Stream.map(inboxes.subscribe("ada", { kinds: ["ping"] }), ({ kind }) => kind)
      )
      yield* push("a")
      yield* inboxes.push("ada", "ping")
      yield* TestSessions.settle
      assert.deepStrictEqual(all.seen, ["message", "ping"])
      assert.deepStrictEqual(pings.seen, ["ping"])
    }).pipe(provide()))

  it.effect("gives a replacement as a new notification, and does not repeat the others", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const { seen } = yield* follow()
      yield* inboxes.push("ada", "message", "a", { key: "k" })
      yield* TestSessions.settle
      yield* inboxes.push("ada", "message", "b", { key: "k" })
      yield* TestSessions.settle
      yield* inboxes.push("ada", "message", "c", { key: "k", onDuplicate: "replace" })
      yield* TestSessions.settle
      assert.deepStrictEqual(seen, ["a", "c"])
    }).pipe(provide()))

  it.effect("gives a burst whole and in order", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const { seen } = yield* follow()
      const burst = Array.from({ length: 80 }, (_, i) => String(i))
      for (const text of burst) assert.isTrue(inboxes.pushUnsafe("ada", "message", text))
      yield* TestSessions.settle
      assert.deepStrictEqual(seen, burst)
    }).pipe(provide()))

  it.effect("gives a slow reader what is still in the inbox", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* push("first")
      const { seen } = yield* TestSessions.collect(
        Stream.mapEffect(
          inboxes.subscribe("ada"),
          ({ payload }) => Effect.as(Effect.sleep("1 second"), payload)
        )
      )
      yield* push("a", "b", "c", "d", "e")
      yield* TestClock.adjust("1 minute")
      // "a" was taken while the first one was being read.
      assert.deepStrictEqual(seen.filter((text) => text !== "a"), ["first", "c", "d", "e"])
    }).pipe(provide({ capacity: 3 })))

  it.effect("counts as a watcher, which goes with it", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const ref = yield* inboxes.open("ada")
      const scope = yield* Scope.make()
      yield* Stream.runDrain(inboxes.subscribe("ada")).pipe(Effect.forkIn(scope))
      yield* TestSessions.settle
      assert.strictEqual((yield* ref.info).watchers, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* ref.info).watchers, 0)
    }).pipe(provide()))

  it.effect("continues when the inbox ends, is evicted, or is reset, any number of times", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const sessions = yield* Inboxes.kind
      const { seen } = yield* follow()
      const counts = yield* TestSessions.collect(inboxes.unreadCounts("ada"))
      const expected: Array<string> = []
      for (let i = 0; i < 60; i++) {
        yield* push(`${i}`)
        expected.push(`${i}`)
        if (i % 3 === 2) {
          yield* Effect.exit(sessions.ref("ada").call("Push", undefined as never))
        } else yield* sessions.end("ada", { reason: i % 3 === 0 ? EndReason.stopped() : EndReason.shutdown })
        yield* TestSessions.settle
      }
      assert.deepStrictEqual(seen, expected)
      assert.deepStrictEqual(counts.seen.slice(0, 5), [0, 1, 0, 1, 0])
    }).pipe(provide({ supervision: Supervision.reset({ maxCrashes: Infinity, backoff: () => 0 }) })))

  it.effect("continues over hibernation, and keeps the inbox in memory", () =>
    Effect.gen(function*() {
      const recorder = yield* TestSessions.Recorder
      const { seen } = yield* follow()
      yield* push("a")
      yield* TestSessions.elapse("1 hour")
      assert.strictEqual((yield* recorder.of("Hibernate")).length, 1)
      assert.strictEqual((yield* recorder.of("Passivate")).length, 0)
      yield* push("b")
      assert.deepStrictEqual(seen, ["a", "b"])
    }).pipe(provide({ snapshots: {} }), Effect.provide(MemoryStore.layer)))

  it.effect("ends with the server", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.provide(Inbox.layer(Inboxes), Sessions.layer()), scope)
      const { counts, ended } = yield* Effect.gen(function*() {
        yield* push("a")
        return {
          ended: yield* follow(),
          counts: yield* TestSessions.collect((yield* Inboxes).unreadCounts("ada"))
        }
      }).pipe(Effect.provide(context))
      yield* Scope.close(scope, Exit.void)
      yield* TestSessions.settle
      assert.deepStrictEqual(ended.fiber.pollUnsafe(), Exit.succeed(Exit.void))
      assert.deepStrictEqual(counts.fiber.pollUnsafe(), Exit.succeed(Exit.void))
      assert.deepStrictEqual(ended.seen, ["a"])
      assert.deepStrictEqual(counts.seen, [1])
    }))

  it.effect("fails when the inbox cannot be opened at first", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* inboxes.open("bob")
      assert.instanceOf(
        yield* Effect.flip(Stream.runDrain(inboxes.subscribe("ada"))),
        SessionError.SessionLimitReached
      )
    }).pipe(Effect.provide(TestSessions.layer(Inbox.layer(Inboxes), { maxSessions: 1 }))))

  it.effect("tries again when the inbox cannot be opened again at once", () =>
    Effect.gen(function*() {
      const { layer: store, turn } = faulty()
      yield* Effect.gen(function*() {
        const sessions = yield* Inboxes.kind
        const { seen } = yield* follow()
        yield* push("a")
        turn(false)
        yield* sessions.end("ada")
        yield* TestClock.adjust("5 minutes")
        turn(true)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* sessions.count, 1)
        yield* push("b")
        assert.deepStrictEqual(seen, ["a", "b"])
      }).pipe(provide({ snapshots: {} }), Effect.provide(store))
    }))
})

describe("the number of unread notifications", () => {
  it.effect("is given at once, and when it has changed", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* push("a")
      const all = yield* TestSessions.collect(inboxes.unreadCounts("ada"))
      const pings = yield* TestSessions.collect(inboxes.unreadCounts("ada", { kinds: ["ping"] }))
      yield* push("b")
      yield* inboxes.push("ada", "ping", undefined, { expireAfter: "1 second" })
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      yield* inboxes.readAll("ada")
      yield* TestSessions.settle
      yield* inboxes.clear("ada")
      yield* TestSessions.settle
      assert.deepStrictEqual(all.seen, [1, 2, 3, 2, 0])
      assert.deepStrictEqual(pings.seen, [0, 1, 0])
    }).pipe(provide()))
})

describe("an inbox without a store", () => {
  it.effect("does not expire, and hibernates", () =>
    Effect.gen(function*() {
      yield* push("a")
      const sessions = yield* Inboxes.kind
      const ref = yield* sessions.get("ada")
      yield* TestSessions.elapse("90 seconds")
      assert.strictEqual((yield* ref.info).status, "hibernating")
      yield* TestSessions.elapse("2 days")
      assert.deepStrictEqual(yield* texts, ["a"])
    }).pipe(
      Effect.provide(
        TestSessions.layer(Inbox.layer(Inboxes), {
          idleTimeout: "1 minute",
          absoluteTimeout: "1 hour"
        })
      )
    ))

  it.effect("takes the options of its kind", () =>
    Effect.gen(function*() {
      yield* push("a")
      yield* TestSessions.elapse("1 minute")
      assert.deepStrictEqual(yield* texts, [])
    }).pipe(provide({ idleTimeout: "1 minute", hibernateAfter: undefined })))
})

describe("a stored inbox", () => {
  it.effect("leaves memory, and is loaded for a push, a query, or a subscriber", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const sessions = yield* Inboxes.kind
      const recorder = yield* TestSessions.Recorder
      const away = Effect.gen(function*() {
        yield* TestSessions.elapse("10 minutes")
        assert.strictEqual(yield* sessions.count, 0)
      })
      const [a] = yield* push("a")
      yield* away
      assert.isFalse(inboxes.pushUnsafe("ada", "message", "lost"), "it loads nothing")
      assert.deepStrictEqual(yield* push("b"), [a! + 1])
      yield* away
      assert.deepStrictEqual(yield* texts, ["b", "a"])
      yield* away
      assert.strictEqual(yield* inboxes.readUpTo("ada", a!), 1)
      yield* away
      assert.strictEqual(yield* inboxes.unread("ada"), 1)
      yield* away
      assert.deepStrictEqual((yield* follow()).seen, ["b"])
      assert.strictEqual((yield* recorder.of("Restore")).length, 5)
    }).pipe(provide({ snapshots: {} }), Effect.provide(MemoryStore.layer)))

  it.effect("is found in the store by a push that creates none", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      yield* inboxes.open("ada")
      yield* TestSessions.elapse("10 minutes")
      assert.strictEqual(yield* (yield* Inboxes.kind).count, 0)
      yield* push("hi")
      assert.deepStrictEqual(yield* texts, ["hi"])
    }).pipe(provide({ snapshots: {}, create: "onOpen" }), Effect.provide(MemoryStore.layer)))

  it.effect("stays in memory where it never hibernates, or where that is wanted", () =>
    Effect.gen(function*() {
      for (
        const options of [
          { snapshots: {}, hibernateAfter: "Infinity" },
          { snapshots: { passivateAfter: "Infinity" } }
        ] as const
      ) {
        yield* Effect.gen(function*() {
          yield* push("a")
          yield* TestSessions.elapse("1 day")
          assert.strictEqual(yield* (yield* Inboxes.kind).count, 1)
        }).pipe(provide(options))
      }
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("outlives the process: ids continue, and unread marks, keys and times are restored", () =>
    Effect.gen(function*() {
      const kept = { snapshots: {} }
      const [a, before] = yield* Effect.gen(function*() {
        const inboxes = yield* Inboxes
        yield* TestClock.adjust("1 hour")
        const [a] = yield* push("a", "b")
        yield* inboxes.push("ada", "order", { n: 7, due }, { key: "k", expireAfter: "1 hour" })
        yield* inboxes.push("ada", "ping")
        yield* inboxes.read("ada", [a!])
        return [a!, yield* inboxes.list("ada")] as const
      }).pipe(provide(kept))
      yield* TestClock.adjust("1 minute")
      yield* Effect.gen(function*() {
        const inboxes = yield* Inboxes
        assert.deepStrictEqual(yield* inboxes.list("ada"), before)
        assert.strictEqual(yield* inboxes.unread("ada"), 3)
        assert.isFalse((yield* inboxes.push("ada", "message", "x", { key: "k" })).isNew)
        assert.deepStrictEqual(yield* push("next"), [a + 4])
        const { seen } = yield* follow({ after: a })
        assert.deepStrictEqual(seen, ["b", "next"])
      }).pipe(provide(kept))
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("loses what expires while it is in the store only, at its time", () =>
    Effect.gen(function*() {
      const kept = { snapshots: {} }
      const bodies = Effect.gen(function*() {
        const snapshot = yield* (yield* SnapshotStore.SnapshotStore).peek({ kind: "Inboxes", id: "ada" })
        return snapshot._tag === "Some" ? snapshot.value.body : ""
      })
      yield* Effect.gen(function*() {
        const inboxes = yield* Inboxes
        yield* inboxes.push("ada", "message", "secret", { expireAfter: "1 hour" })
        yield* inboxes.push("ada", "message", "later", { expireAfter: "3 hours" })
        yield* TestSessions.elapse("30 minutes")
        assert.strictEqual(yield* (yield* Inboxes.kind).count, 0)
      }).pipe(provide(kept))
      yield* Effect.gen(function*() {
        yield* TestSessions.elapse("20 minutes")
        assert.include(yield* bodies, "secret")
        yield* TestSessions.elapse("20 minutes")
        assert.notInclude(yield* bodies, "secret")
        assert.include(yield* bodies, "later")
        const recorder = yield* TestSessions.Recorder
        assert.strictEqual((yield* recorder.of("Restore")).length, 1)
        yield* TestSessions.elapse("2 hours")
        assert.notInclude(yield* bodies, "later")
      }).pipe(provide(kept))
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("is reduced to a capacity that has become smaller, by its policy", () =>
    Effect.gen(function*() {
      const kept = { snapshots: {} }
      yield* Effect.gen(function*() {
        const ids = yield* push("a", "b", "c", "d", "e")
        yield* (yield* Inboxes).read("ada", [ids[3]!])
      }).pipe(provide(kept))
      const now = (options: Options) =>
        Effect.gen(function*() {
          const inboxes = yield* Inboxes
          return { texts: yield* texts, unread: yield* inboxes.unread("ada") }
        }).pipe(provide({ ...kept, ...options }))
      assert.strictEqual((yield* now({ capacity: 2, whenFull: "reject" })).texts.length, 5)
      assert.deepStrictEqual(yield* now({ capacity: 4 }), { texts: ["e", "c", "b", "a"], unread: 4 })
      assert.deepStrictEqual(yield* now({ capacity: 2 }), { texts: ["e", "c"], unread: 2 })
      assert.deepStrictEqual(yield* now({ capacity: 1, whenFull: "dropOldest" }), { texts: ["e"], unread: 1 })
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("is brought up to a new format by migrations, as any session", () =>
    Effect.gen(function*() {
      class Old extends Inbox.Service<Old>()("Inboxes", { kinds: { note: Schema.Int } }) {}
      yield* Effect.gen(function*() {
        yield* (yield* Old).push("ada", "note", 5)
      }).pipe(Effect.provide(TestSessions.layer(Inbox.layer(Old, { snapshots: {} }))))
      const up = Migration.make(Old.kind.state, (state): Inbox.State<Kinds> => ({
        ...state,
        notifications: state.notifications.map((note) => ({
          ...note,
          kind: "message",
          payload: `note ${note.payload}`
        }))
      }))
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* texts, ["note 5"])
        yield* push("b")
        assert.deepStrictEqual(yield* texts, ["b", "note 5"])
      }).pipe(provide({ snapshots: { migrations: [up] } }))
    }).pipe(Effect.provide(MemoryStore.layer)))

  it.effect("fails with StoreUnavailable while the store is down, and is not empty then", () =>
    Effect.gen(function*() {
      const { layer: store, turn } = faulty()
      yield* Effect.gen(function*() {
        const inboxes = yield* Inboxes
        yield* push("a")
        yield* TestSessions.elapse("10 minutes")
        turn(false)
        for (const ask of [texts, inboxes.unread("ada"), inboxes.push("ada", "ping"), inboxes.open("ada")]) {
          const fiber = yield* Effect.forkChild(Effect.exit(ask as Effect.Effect<unknown, unknown, Inboxes>))
          yield* TestClock.adjust("1 minute")
          const exit = fiber.pollUnsafe()
          assert(exit !== undefined && Exit.isSuccess(exit) && Exit.isFailure(exit.value))
          const error = Cause.squash(exit.value.cause) as { readonly _tag: string }
          assert.include(["StoreUnavailable", "CallTimeout"], error._tag)
        }
        turn(true)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* texts, ["a"])
      }).pipe(provide({ snapshots: {} }), Effect.provide(store))
    }))
})

describe("live views of an inbox", () => {
  class Bell extends Live.Service<Bell>()("Bell", {
    kind: Inboxes.kind,
    views: { unread: Schema.Int, notifications: Schema.Array(Inboxes.Notification) },
    messages: ["Read", "ReadAll", "List"]
  }) {}

  it.effect("show what is in it, and lose what expires", () =>
    Effect.gen(function*() {
      const inboxes = yield* Inboxes
      const views = yield* Bell
      const ref = yield* inboxes.open("ada")
      const bell = yield* TestSessions.collect(views.stream(ref, "unread"))
      const all = yield* TestSessions.collect(views.stream(ref, "notifications"))
      yield* inboxes.push("ada", "order", { n: 1, due }, { expireAfter: "1 second" })
      yield* TestSessions.settle
      assert.deepNestedInclude(all.seen.at(-1), { "patch[0].op": "add", "patch[0].value.payload.n": 1 })
      yield* ref.call("ReadAll", {})
      yield* TestSessions.settle
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(
        bell.seen.map((event) => event._tag === "snapshot" ? event.state : event.patch[0]),
        [0, { op: "replace", path: "", value: 1 }, { op: "replace", path: "", value: 0 }]
      )
      const [last] = all.seen.slice(-1)
      assert(last?._tag === "patch")
      assert.deepStrictEqual(last.patch, [{ op: "remove", path: "/0" }])
    }).pipe(
      Effect.provide(
        LiveViews.layer(Bell, {
          select: { unread: ({ unread }) => unread, notifications: ({ notifications }) => notifications }
        }).pipe(Layer.provideMerge(layer()))
      )
    ))

  it("let clients do what the definition names", () => {
    assert.sameMembers(Array.from(Bell.commands.keys()), ["Read", "ReadAll", "List"])
    const read = Bell.commands.get("Read") as Rpc.AnyWithProps
    assert.isTrue(Schema.is(read.payloadSchema)({ ids: [1] }))
    assert.isFalse(Schema.is(read.payloadSchema)({ ids: ["1"] }))
    const list = Bell.commands.get("List") as Rpc.AnyWithProps
    assert.isTrue(Schema.is(list.payloadSchema)({ kinds: ["ping"], limit: 3 }))
    assert.isFalse(Schema.is(list.payloadSchema)({ kinds: ["news"] }))
  })
})

describe("a definition", () => {
  it("has kinds, and a name that is one", () => {
    assert.throws(() => Inbox.Service()("None", { kinds: {} }), TypeError, "no kinds")
    assert.throws(() => Inbox.Service()("not a name", { kinds: { a: Schema.Void } }), TypeError, "not a name")
  })

  it("is a schema of its notifications", () => {
    const encode = Schema.encodeUnknownSync(Schema.toCodecJson(Inboxes.Notification))
    const notification = { id: 1, at: 2, readAt: null, key: null, expiresAt: null }
    assert.deepStrictEqual(
      encode({ ...notification, kind: "order", payload: { n: 1, due: due } }),
      { ...notification, kind: "order", payload: { n: 1, due: "2030-01-02T03:04:05.000Z" } }
    )
    assert.throws(() => encode({ ...notification, kind: "order", payload: "text" }))
  })

  it.effect("fails with InvalidConfig where an option is not usable", () =>
    Effect.gen(function*() {
      for (
        const [options, setting] of [
          [{ capacity: 0 }, "Inboxes.capacity"],
          [{ capacity: 1.5 }, "Inboxes.capacity"],
          [{ whenFull: "explode" }, "Inboxes.whenFull"],
          [{ create: "never" }, "Inboxes.create"],
          [{ onDuplicate: "drop" }, "Inboxes.onDuplicate"],
          [{ expireAfter: "soon" }, "Inboxes.expireAfter"],
          [{ expireAfter: 0 }, "Inboxes.expireAfter"],
          [{ kinds: { ping: { expireAfter: -1 } } }, "Inboxes.kinds.ping.expireAfter"],
          [{ kinds: { ping: { onDuplicate: "" } } }, "Inboxes.kinds.ping.onDuplicate"],
          [{ kinds: { news: {} } }, "Inboxes.kinds.news"],
          [{ snapshots: {} }, "Inboxes.snapshots"],
          [{ mailboxCapacity: 0 }, "Inboxes.mailboxCapacity"],
          [{ overflow: { Shout: "wait" } }, "Inboxes.overflow.Shout"]
        ] as unknown as ReadonlyArray<[Options, string]>
      ) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer(options))))
        assert.instanceOf(error, SessionError.InvalidConfig)
        assert.strictEqual(error.setting, setting)
        assert.include(error.message, setting)
      }
    }))
})
