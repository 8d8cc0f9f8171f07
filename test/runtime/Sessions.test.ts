import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { EndReason, MemoryUsage, Session, SessionError, Sessions, Supervision } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"

class SoldOut extends Schema.TaggedError<SoldOut>()("SoldOut", { message: Schema.String }) {}

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Int,
  args: Schema.Struct({ items: Schema.Int }),
  error: SoldOut,
  protocol: [
    Rpc.make("Add", { payload: Schema.Int, success: Schema.Int }),
    Rpc.make("Note", { payload: { text: Schema.String } }),
    Rpc.make("Die")
  ]
}) {}
const CartLayer = Cart.toLayer(
  Cart.behavior({
    init: ({ args }) =>
      args.items < 0 ? Effect.fail(new SoldOut({ message: "nothing is left" })) : Effect.succeed(args.items),
    handlers: {
      Add: ({ payload, state }) => [state + payload, state + payload],
      Note: ({ payload, state }) => [state + payload.text.length],
      Die: () => {
        throw new Error("dead")
      }
    }
  }),
  { supervision: Supervision.resume({ backoff: () => "1 second" }) }
)

class Room extends Session.Service<Room>()("Room", {
  state: Schema.Int,
  protocol: [Rpc.make("Ping"), Rpc.make("Add", { payload: Schema.String })]
}) {}
const RoomLayer = Room.toLayer(Room.behavior({
  init: () => 0,
  handlers: { Ping: ({ state }) => [state + 1], Add: ({ state }) => [state + 1] }
}))

const kinds = Layer.mergeAll(CartLayer, RoomLayer)
const test = Effect.provide(TestSessions.layer(kinds, { maxSessions: 10 }))

const args = { items: 1 }

/** Two carts and two rooms; one cart and one room share an id. */
const some = Effect.gen(function*() {
  const sessions = yield* Sessions
  for (const id of ["ada", "bob"]) yield* sessions.start(id, { kind: "Cart", args })
  for (const id of ["ada", "lobby.1"]) yield* sessions.start(id, { kind: "Room" })
  return sessions
})

const addresses = (refs: ReadonlyArray<{ readonly kind: string; readonly id: string }>) =>
  refs.map(({ id, kind }) => `${kind}/${id}`).sort()

describe("Sessions.kinds", () => {
  it.effect("names the registered kinds", () =>
    test(Effect.gen(function*() {
      assert.deepStrictEqual((yield* (yield* Sessions).kinds).sort(), ["Cart", "Room"])
    })))

  it.effect("is empty where none is registered", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* (yield* Sessions).kinds, [])
    }).pipe(Effect.provide(Sessions.layer())))
})

describe("Sessions.start", () => {
  it.effect("starts a session of the named kind with its arguments, or finds it", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      const ref = yield* sessions.start("ada", { kind: "Cart", args: { items: 5 } })
      assert.deepStrictEqual([ref.kind, ref.id], ["Cart", "ada"])
      assert.strictEqual(yield* ref.call("Add", 1), 6)
      const again = yield* sessions.start("ada", { kind: "Cart", args: { items: 100 } })
      assert.strictEqual(yield* again.state, 6)
      assert.strictEqual(yield* (yield* (yield* Cart).get("ada")).state, 6)
    })))

  it.effect("hands on the other options of a start", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      const ref = yield* sessions.start("ada", {
        kind: "Cart",
        args,
        user: "u1",
        metadata: { agent: "test" },
        idleTimeout: "5 minutes"
      })
      const info = yield* ref.info
      assert.strictEqual(info.user, "u1")
      assert.deepStrictEqual(info.metadata, { agent: "test" })
      assert.strictEqual(info.expiresAt, 300_000)
    })))

  it.effect("starts the configured default kind when none is named", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* (yield* Sessions).start("lobby")).kind, "Room")
    }).pipe(Effect.provide(TestSessions.layer(kinds, { defaultKind: "Room" }))))

  it.effect("fails with UnknownKind, which names the known kinds", () =>
    test(Effect.gen(function*() {
      for (const kind of ["Card", "cart", "", "constructor", "__proto__"]) {
        const error = yield* Effect.flip((yield* Sessions).start("ada", { kind }))
        assert.instanceOf(error, SessionError.UnknownKind)
        assert.strictEqual(error.kind, kind)
        assert.include(error.message, "Cart, Room")
      }
    })))

  it.effect("fails with InvalidMessage when the arguments do not fit, and starts nothing", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      for (const args of [undefined, null, 5, {}, { items: "5" }, { items: 1.5 }]) {
        const error = yield* Effect.flip(sessions.start("ada", { kind: "Cart", args }))
        assert.instanceOf(error, SessionError.InvalidMessage)
        assert.strictEqual(error.kind, "Cart")
        assert.strictEqual(error.tag, "start")
        assert.include(error.message, "the arguments do not fit session kind Cart")
      }
      assert.strictEqual((yield* sessions.count).count, 0)
    })))

  it.effect("fails with StartRefused when the kind refuses, with what it said", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      const error = yield* Effect.flip(sessions.start("ada", { kind: "Cart", args: { items: -1 } }))
      assert.instanceOf(error, SessionError.StartRefused)
      assert.deepStrictEqual(error.error, new SoldOut({ message: "nothing is left" }))
      assert.include(error.message, "nothing is left")
      assert.strictEqual((yield* sessions.count).count, 0)
    })))

  it.effect("fails with the errors of a typed start as they are", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      assert.strictEqual((yield* Effect.flip(sessions.start("a b", { kind: "Room" })))._tag, "InvalidSessionId")
      for (let i = 0; i < 10; i++) yield* sessions.start(`room-${i}`, { kind: "Room" })
      assert.strictEqual((yield* Effect.flip(sessions.start("more", { kind: "Room" })))._tag, "SessionLimitReached")
      assert.strictEqual((yield* sessions.start("room-0", { kind: "Room" })).id, "room-0")
    })))
})

describe("Sessions.find, get and inspect", () => {
  it.effect("reach the session of that kind and id", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      const found = Option.getOrThrow(yield* sessions.find({ kind: "Room", id: "ada" }))
      yield* found.call("Ping")
      assert.strictEqual(yield* (yield* sessions.get({ kind: "Room", id: "ada" })).state, 1)
      assert.strictEqual((yield* sessions.inspect({ kind: "Room", id: "ada" })).state, 1)
      assert.strictEqual((yield* sessions.inspect({ kind: "Cart", id: "ada" })).state, 1)
    })))

  it.effect("find nothing where no session, or no such kind, is", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      for (const address of [{ kind: "Room", id: "bob" }, { kind: "Card", id: "ada" }, { kind: "Cart", id: "a b" }]) {
        assert.isTrue(Option.isNone(yield* sessions.find(address)))
        const expected = SessionError.SessionNotFound.of(address.kind, address.id)
        assert.deepStrictEqual(yield* Effect.flip(sessions.get(address)), expected)
        assert.deepStrictEqual(yield* Effect.flip(sessions.inspect(address)), expected)
      }
    })))

  it.effect("show to operators all there is to know, and do not count as activity", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      yield* TestClock.adjust("10 seconds")
      const ref = yield* sessions.start("ada", { kind: "Cart", args, user: "u1", metadata: { ip: "10.0.0.1" } })
      yield* TestClock.adjust("20 seconds")
      yield* ref.call("Add", 2)
      yield* TestClock.adjust("30 seconds")
      const { epoch, ...info } = yield* sessions.inspect({ kind: "Cart", id: "ada" })
      assert.isAbove(epoch, 0)
      assert.deepStrictEqual(info, {
        kind: "Cart",
        id: "ada",
        status: "running",
        state: 3,
        version: 1,
        startedAt: 10_000,
        lastActiveAt: 30_000,
        expiresAt: 30_000 + 3_600_000,
        endsAt: undefined,
        mailbox: 0,
        crashes: 0,
        watchers: 0,
        connections: 0,
        remembers: 64,
        accepted: 0,
        user: "u1",
        metadata: { ip: "10.0.0.1" }
      })
    })))

  it.effect("do not find what has expired, swept or not", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      yield* TestClock.adjust("30 seconds")
      yield* sessions.start("ada", { kind: "Room", idleTimeout: "10 seconds" })
      yield* TestClock.adjust("11 seconds")
      const address = { kind: "Room", id: "ada" }
      assert.deepStrictEqual(yield* sessions.list(), [])
      assert.isTrue(Option.isNone(yield* sessions.find(address)))
      assert.strictEqual((yield* Effect.flip(sessions.inspect(address)))._tag, "SessionNotFound")
    })))
})

describe("Sessions.list, match and ofUser", () => {
  it.effect("list all sessions, or those of one kind", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      assert.deepStrictEqual(addresses(yield* sessions.list()), ["Cart/ada", "Cart/bob", "Room/ada", "Room/lobby.1"])
      assert.deepStrictEqual(addresses(yield* sessions.list("Room")), ["Room/ada", "Room/lobby.1"])
      assert.deepStrictEqual(yield* sessions.list("Card"), [])
    })))

  const patterns: ReadonlyArray<readonly [string | RegExp, ReadonlyArray<string>]> = [
    ["*", ["Cart/ada", "Cart/bob", "Room/ada", "Room/lobby.1"]],
    ["ada", ["Cart/ada", "Room/ada"]],
    ["a*", ["Cart/ada", "Room/ada"]],
    ["*b*", ["Cart/bob", "Room/lobby.1"]],
    ["*.1", ["Room/lobby.1"]],
    ["lobby.*", ["Room/lobby.1"]],
    ["lobby?1", []],
    ["lobbyx1", []],
    ["ad", []],
    ["", []],
    ["(ada|bob)", []],
    [/^(ada|bob)$/, ["Cart/ada", "Cart/bob", "Room/ada"]],
    [/ADA/i, ["Cart/ada", "Room/ada"]],
    [/o/g, ["Cart/bob", "Room/lobby.1"]],
    [/b/y, ["Cart/bob", "Room/lobby.1"]],
    [/\d$/, ["Room/lobby.1"]]
  ]

  it.effect.each(patterns)("match ids by %s", ([pattern, expected]) =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      assert.deepStrictEqual(addresses(yield* sessions.match(pattern)), expected)
      // A pattern has no memory.
      assert.deepStrictEqual(addresses(yield* sessions.match(pattern)), expected)
      if (pattern instanceof RegExp) assert.strictEqual(pattern.lastIndex, 0)
    })))

  it.effect("find the sessions of a user, over all kinds, as users come and go", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      const cart = yield* sessions.start("c", { kind: "Cart", args, user: "u1" })
      const room = yield* sessions.start("r", { kind: "Room", user: "u1" })
      yield* sessions.start("x", { kind: "Room" })
      assert.deepStrictEqual(addresses(yield* sessions.ofUser("u1")), ["Cart/c", "Room/r"])
      assert.deepStrictEqual(yield* sessions.ofUser("u2"), [])
      yield* cart.setUser("u2")
      assert.deepStrictEqual(addresses(yield* sessions.ofUser("u1")), ["Room/r"])
      assert.deepStrictEqual(addresses(yield* sessions.ofUser("u2")), ["Cart/c"])
      yield* cart.setUser(undefined)
      assert.deepStrictEqual(yield* sessions.ofUser("u2"), [])
      yield* room.end()
      assert.deepStrictEqual(yield* sessions.ofUser("u1"), [])
    })))

  it.effect("do not give a user what has expired", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      yield* TestClock.adjust("30 seconds")
      yield* sessions.start("r", { kind: "Room", user: "u1", idleTimeout: "10 seconds" })
      yield* TestClock.adjust("11 seconds")
      assert.deepStrictEqual(yield* sessions.ofUser("u1"), [])
    })))
})

describe("Sessions.end and endAll", () => {
  it.effect("end one session with its reason, and say whether there was one", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      const address = { kind: "Cart", id: "ada" }
      assert.isTrue(yield* sessions.end(address, { reason: EndReason.evicted }))
      assert.isFalse(yield* sessions.end(address))
      assert.isFalse(yield* sessions.end({ kind: "Card", id: "ada" }))
      assert.deepStrictEqual(addresses(yield* sessions.list()), ["Cart/bob", "Room/ada", "Room/lobby.1"])
      const stops = yield* (yield* TestSessions.Recorder).of("Stop")
      assert.deepStrictEqual(stops.map(({ reason }) => reason), [EndReason.evicted])
    })))

  it.effect("end all of all kinds, and give their number", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      assert.strictEqual(yield* sessions.endAll({ reason: EndReason.stopped("maintenance") }), 4)
      assert.deepStrictEqual(yield* sessions.list(), [])
      assert.strictEqual((yield* sessions.count).count, 0)
      const stops = yield* (yield* TestSessions.Recorder).of("Stop")
      assert.strictEqual(stops.length, 4)
      for (const { reason } of stops) assert.deepStrictEqual(reason, EndReason.stopped("maintenance"))
      assert.strictEqual(yield* sessions.endAll(), 0)
      yield* sessions.start("ada", { kind: "Room" })
    })))
})

describe("Sessions.broadcast", () => {
  it.effect("reaches all sessions of the kinds that know the message and whose payload fits", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      assert.strictEqual(yield* sessions.broadcast("Ping"), 2)
      assert.strictEqual(yield* sessions.broadcast("Add", 5), 2)
      assert.strictEqual(yield* sessions.broadcast("Add", "five"), 2)
      assert.strictEqual(yield* sessions.broadcast("Note", { text: "hello" }), 2)
      for (const id of ["ada", "bob"]) assert.strictEqual(yield* (yield* (yield* Cart).get(id)).state, 1 + 5 + 5)
      for (const id of ["ada", "lobby.1"]) assert.strictEqual(yield* (yield* (yield* Room).get(id)).state, 2)
    })))

  it.effect("reaches no session if no kind has the message or accepts the payload", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      assert.strictEqual(yield* sessions.broadcast("Nothing"), 0)
      assert.strictEqual(yield* sessions.broadcast("constructor"), 0)
      assert.strictEqual(yield* sessions.broadcast("Add", { five: 5 }), 0)
      assert.strictEqual(yield* sessions.broadcast("Add", 1.5), 0)
      assert.strictEqual(yield* sessions.broadcast("Note", { text: 5 }), 0)
      assert.strictEqual(yield* sessions.broadcast("Add"), 0)
      for (const ref of yield* sessions.list()) assert.strictEqual((yield* ref.info).version, 0)
    })))
})

describe("Sessions.count, stats and health", () => {
  it.effect("count sessions by kind and as a part of the limit", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      assert.deepStrictEqual(yield* sessions.count, {
        count: 0,
        limit: 10,
        utilisation: 0,
        kinds: { Cart: 0, Room: 0 }
      })
      yield* some
      yield* sessions.start("third", { kind: "Room" })
      assert.deepStrictEqual(yield* sessions.count, {
        count: 5,
        limit: 10,
        utilisation: 50,
        kinds: { Cart: 2, Room: 3 }
      })
    })))

  it.effect("total what happened in each kind, as a copy", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      const { totals } = yield* sessions.stats
      assert.strictEqual(totals["Cart"]!.started, 2)
      const ref = yield* (yield* Cart).get("ada")
      yield* ref.call("Add", 1)
      yield* ref.cast("Add", 1)
      yield* Effect.flip(ref.call("Die"))
      yield* Effect.flip(sessions.start("no", { kind: "Cart", args: { items: -1 } }))
      yield* sessions.end({ kind: "Cart", id: "bob" })
      const { count, totals: { Cart: after, Room: other } } = yield* sessions.stats
      assert.strictEqual(count, 3)
      assert.deepInclude(after, { started: 2, startFailures: 1, calls: 2, casts: 1, crashes: 1, deadLetters: 1 })
      assert.deepStrictEqual(after?.ended, { ...other?.ended, Stopped: 1 })
      assert.deepInclude(other, { started: 2, calls: 0, casts: 0, crashes: 0 })
      assert.strictEqual(totals["Cart"]!.calls, 0)
      assert.strictEqual(totals["Cart"]!.ended.Stopped, 0)
      yield* TestClock.adjust("1 second")
    })))

  it.effect("estimate the bytes of a session from what the heap grew by", () => {
    let heap = 1_000_000
    return Effect.gen(function*() {
      const sessions = yield* Sessions
      const none = yield* sessions.stats
      assert.strictEqual(none.heapBytes, 1_000_000)
      assert.isUndefined(none.averageBytes)
      yield* some
      heap = 1_008_000
      const { averageBytes, heapBytes } = yield* sessions.stats
      assert.strictEqual(heapBytes, 1_008_000)
      assert.strictEqual(averageBytes, 2_000)
      heap = 900_000
      assert.strictEqual((yield* sessions.stats).averageBytes, 0)
    }).pipe(Effect.provide(
      Layer.provide(TestSessions.layer(kinds), Layer.succeed(MemoryUsage, () => heap))
    ))
  })

  it.effect("have no estimate if the platform does not report the heap", () =>
    Effect.gen(function*() {
      const { averageBytes, heapBytes } = yield* (yield* some).stats
      assert.isUndefined(heapBytes)
      assert.isUndefined(averageBytes)
    }).pipe(Effect.provide(
      Layer.provide(TestSessions.layer(kinds), Layer.succeed(MemoryUsage, () => undefined))
    )))

  it.effect("ask the platform by default", () =>
    test(Effect.gen(function*() {
      assert.isAbove((yield* (yield* Sessions).stats).heapBytes ?? 0, 1_000_000)
    })))

  it.effect("distinguish sessions that pause after a crash from healthy ones", () =>
    test(Effect.gen(function*() {
      const sessions = yield* some
      assert.deepStrictEqual(yield* sessions.health, { total: 4, healthy: 4, crashed: 0 })
      yield* Effect.flip((yield* (yield* Cart).get("ada")).call("Die"))
      assert.deepStrictEqual(yield* sessions.health, { total: 4, healthy: 3, crashed: 1 })
      assert.strictEqual((yield* sessions.inspect({ kind: "Cart", id: "ada" })).status, "recovering")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* sessions.health, { total: 4, healthy: 4, crashed: 0 })
    })))
})

describe("Sessions.sweep", () => {
  it.effect("ends the expired sessions at once, and gives their number", () =>
    test(Effect.gen(function*() {
      const sessions = yield* Sessions
      yield* TestClock.adjust("30 seconds")
      for (let i = 0; i < 3; i++) yield* sessions.start(`short-${i}`, { kind: "Room", idleTimeout: "5 seconds" })
      yield* sessions.start("long", { kind: "Room" })
      assert.strictEqual(yield* sessions.sweep, 0)
      yield* TestClock.adjust("5 seconds")
      const recorder = yield* TestSessions.Recorder
      yield* recorder.clear
      assert.strictEqual(yield* sessions.sweep, 3)
      assert.strictEqual(yield* sessions.sweep, 0)
      assert.strictEqual((yield* sessions.count).count, 1)
      assert.deepStrictEqual((yield* recorder.of("AutoCleanup")).map(({ count }) => count), [3, 0])
      for (const { reason } of yield* recorder.of("Stop")) assert.deepStrictEqual(reason, EndReason.expired("idle"))
    })))

  it.effect("sweeps thousands at once", () =>
    Effect.gen(function*() {
      const rooms = yield* Room
      const sessions = yield* Sessions
      yield* rooms.startAll(Array.from({ length: 2_000 }, (_, i) => `room-${i}`), { idleTimeout: "1 second" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* sessions.sweep, 2_000)
      assert.strictEqual((yield* sessions.count).count, 0)
    }).pipe(Effect.provide(TestSessions.layer(kinds))))
})
