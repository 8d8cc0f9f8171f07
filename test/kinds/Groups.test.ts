import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, HashMap, Latch, Layer, Schema, Scope, Tracer } from "effect"
import {
  Bag,
  DeadLetters,
  EndReason,
  Groups,
  type KindOptions,
  Session,
  type SessionEvent,
  type SessionsConfig,
  type SnapshotStore,
  Supervision
} from "effect-sessions"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import * as Rpc from "effect/rpc/Rpc"

const Probe = Schema.declare((u: unknown): u is Latch.Latch => typeof u === "object")

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Array(Schema.String),
  protocol: [
    Rpc.make("Notify", { payload: Schema.String }),
    Rpc.make("Sample", { payload: Schema.String }),
    Rpc.make("Urgent", { payload: Schema.String }),
    Rpc.make("Ping"),
    /** Waits until the latch opens. */
    Rpc.make("Hold", { payload: Probe }),
    Rpc.make("Run", { payload: Schema.declare((u: unknown): u is Effect.Effect<unknown> => Effect.isEffect(u)) })
  ]
}) {}

const VisitLayer = (
  options?: KindOptions.KindOptions<Session.Protocol<typeof Visit>["_tag"]>,
  log: (id: string, text: string) => void = () => {}
) => {
  const hear = ({ payload, self, state }: Session.Turn<ReadonlyArray<string>, string, any>) => {
    log(self.id, payload)
    return [[...state, payload]] as const
  }
  return Visit.toLayer(
    Visit.behavior({
      init: (): ReadonlyArray<string> => [],
      handlers: {
        Notify: hear,
        Sample: hear,
        Urgent: hear,
        Ping: ({ state }) => [[...state, "ping"]],
        Hold: ({ payload, state }) => Effect.as(payload.await, [state] as const),
        Run: ({ payload, state }) => Effect.as(payload, [state] as const)
      }
    }),
    options
  )
}

class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Visit }) {}

/** Full with two messages, so that it is full soon. */
const small = { mailboxCapacity: 2, overflow: { Sample: "dropOldest", Urgent: "reject" } } as const

interface Setup {
  readonly visits?: KindOptions.KindOptions<Session.Protocol<typeof Visit>["_tag"]>
  readonly rooms?: Groups.Options
  readonly config?: SessionsConfig.Options
}

const layer = ({ config, rooms, visits }: Setup = {}) =>
  TestSessions.layer(
    Groups.layer(Rooms, rooms).pipe(Layer.provideMerge(Layer.merge(VisitLayer(visits), Bag.layer()))),
    config
  )

const provide = (setup?: Setup) => Effect.provide(layer(setup))

/** With a store that all of it uses. */
const stored = (
  setup: Setup = {},
  store: Layer.Layer<SnapshotStore.SnapshotStore> = MemoryStore.layer
) => {
  const kept = { snapshots: { passivateAfter: "1 minute" }, hibernateAfter: "1 minute" } as const
  return TestSessions.layer(
    Groups.layer(Rooms, { ...kept, ...setup.rooms }).pipe(
      Layer.provideMerge(VisitLayer({ ...kept, ...setup.visits })),
      Layer.provide(store)
    )
  )
}

const start = (...ids: ReadonlyArray<string>) =>
  Effect.flatMap(Visit, (visits) => Effect.forEach(ids, (id) => visits.start(id), { discard: true }))

const enter = (group: string, ...ids: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    yield* start(...ids)
    const rooms = yield* Rooms
    for (const id of ids) yield* rooms.join(group, id)
  })

const got = (id: string) => Effect.flatMap(Visit, (visits) => visits.ref(id).state)

const members = (group: string) =>
  Effect.map(Effect.flatMap(Rooms, (rooms) => rooms.members(group)), (ids) => [...ids].sort())

/** The members as the group has them, without a look at each. */
const listed = (group: string) =>
  Effect.gen(function*() {
    const { members } = yield* (yield* Rooms.kind).ref(group).state
    return Array.from(HashMap.keys(members)).sort()
  })

/** Keeps a session busy until the latch opens. */
const hold = (id: string) =>
  Effect.gen(function*() {
    const latch = Latch.makeUnsafe()
    yield* (yield* Visit).ref(id).cast("Hold", latch)
    return latch
  })

const events = <T extends SessionEvent.SessionEvent["_tag"]>(tag: T) =>
  Effect.flatMap(TestSessions.Recorder, (recorder) => recorder.of(tag))

const sent = (delivered: number, waiting = 0, missed = 0) => ({ delivered, waiting, missed })

describe("Membership", () => {
  it.effect("a session that has joined is a member until it leaves", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* rooms.join("lobby", "ada")
      assert.deepStrictEqual(yield* members("lobby"), ["ada", "bob"])
      assert.strictEqual(yield* rooms.size("lobby"), 2)
      assert.isTrue(yield* rooms.has("lobby", "ada"))
      assert.isTrue(yield* rooms.leave("lobby", "ada"))
      assert.isFalse(yield* rooms.leave("lobby", "ada"))
      assert.isFalse(yield* rooms.has("lobby", "ada"))
      assert.deepStrictEqual(yield* members("lobby"), ["bob"])
    }).pipe(provide()))

  it.effect("a group that no session has joined has no members, and does not exist", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      assert.deepStrictEqual(yield* members("lobby"), [])
      assert.strictEqual(yield* rooms.size("lobby"), 0)
      assert.isFalse(yield* rooms.has("lobby", "ada"))
      assert.isFalse(yield* rooms.leave("lobby", "ada"))
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello"), sent(0))
      assert.strictEqual(yield* (yield* Rooms.kind).count, 0)
    }).pipe(provide()))

  it.effect("fails on names and members that cannot be", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      const nowhere = yield* Effect.flip(rooms.join("the lobby", "ada"))
      assert.strictEqual(nowhere._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(rooms.members("the lobby")))._tag, "InvalidSessionId")
      assert.strictEqual((yield* Effect.flip(rooms.broadcast("", "Ping")))._tag, "InvalidSessionId")
      const noone = yield* Effect.flip(rooms.join("lobby", "bob"))
      assert.strictEqual(noone._tag, "SessionNotFound")
      assert.include(noone.message, "Visit/bob")
      assert.strictEqual(yield* (yield* Rooms.kind).count, 0)
    }).pipe(provide()))

  it.effect("a Scope holds a member, and lets it go when it closes", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* rooms.joinScoped("lobby", "ada")
        assert.deepStrictEqual(yield* members("lobby"), ["ada"])
      }))
      assert.deepStrictEqual(yield* members("lobby"), [])
    }).pipe(provide()))

  it.effect("a member that several Scopes hold stays until the last one closes", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      const [one, two] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.provide(rooms.joinScoped("lobby", "ada"), one)
      yield* Scope.provide(rooms.joinScoped("lobby", "ada"), two)
      yield* Scope.close(one, Exit.void)
      assert.deepStrictEqual(yield* members("lobby"), ["ada"])
      yield* Scope.close(two, Exit.void)
      assert.deepStrictEqual(yield* members("lobby"), [])
    }).pipe(provide()))

  it.effect("a session that has also joined stays when the Scope closes, whichever came first", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada", "bob")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* rooms.join("lobby", "ada")
        yield* rooms.joinScoped("lobby", "ada")
        yield* rooms.joinScoped("lobby", "bob")
        yield* rooms.join("lobby", "bob")
      }))
      assert.deepStrictEqual(yield* members("lobby"), ["ada", "bob"])
    }).pipe(provide()))

  it.effect("to leave ends what Scopes hold, and an old Scope does not end what came after", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      const [old, young] = [yield* Scope.make(), yield* Scope.make()]
      yield* Scope.provide(rooms.joinScoped("lobby", "ada"), old)
      yield* rooms.leave("lobby", "ada")
      assert.deepStrictEqual(yield* members("lobby"), [])
      yield* Scope.provide(rooms.joinScoped("lobby", "ada"), young)
      yield* Scope.close(old, Exit.void)
      assert.deepStrictEqual(yield* members("lobby"), ["ada"])
      yield* rooms.leave("lobby", "ada")
      // No Scope holds her any more, also not in a group that starts again.
      yield* (yield* Rooms.kind).end("lobby")
      yield* rooms.group("lobby")
      assert.deepStrictEqual(yield* listed("lobby"), [])
      yield* Scope.close(young, Exit.void)
      assert.deepStrictEqual(yield* members("lobby"), [])
    }).pipe(provide()))

  it.effect("a Scope that is let go late does not end what another holds", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      yield* rooms.joinScoped("lobby", "ada")
      yield* (yield* Rooms.kind).ref("lobby").cast("Leave", { member: "ada", held: true, owner: "" })
      assert.deepStrictEqual(yield* members("lobby"), ["ada"])
    }).pipe(Effect.scoped, provide()))

  it.effect("who could not join is not held", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* Effect.scoped(Effect.gen(function*() {
        const failed = yield* Effect.flip(rooms.joinScoped("lobby", "ada"))
        assert.strictEqual(failed._tag, "SessionNotFound")
        yield* enter("lobby", "bob")
        assert.deepStrictEqual(yield* members("lobby"), ["bob"])
      }))
    }).pipe(provide()))

  it.effect("a group that an operator has ended has those again whom Scopes hold", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* Effect.scoped(Effect.gen(function*() {
        yield* rooms.joinScoped("lobby", "cyd").pipe(Effect.ignore)
        yield* start("cyd")
        yield* rooms.joinScoped("lobby", "cyd")
        yield* (yield* Rooms.kind).end("lobby")
        assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello"), sent(1))
        assert.deepStrictEqual(yield* members("lobby"), ["cyd"])
      }))
      assert.deepStrictEqual(yield* members("lobby"), [])
    }).pipe(provide()))

  it.effect("the sessions of groups can be watched", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      const sizes: Array<number> = []
      yield* Effect.scoped(Effect.gen(function*() {
        const lobby = yield* rooms.group("lobby")
        yield* lobby.watch({ changed: ({ members }) => sizes.push(HashMap.size(members)), ended: () => {} })
        yield* rooms.join("lobby", "ada")
        yield* rooms.join("lobby", "ada")
        yield* rooms.leave("lobby", "ada")
      }))
      assert.deepStrictEqual(sizes, [1, 0])
    }).pipe(provide()))
})

describe("Broadcasts", () => {
  it.effect("reach the members of a group, and say how many", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* enter("attic", "cyd")
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello"), sent(2))
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Ping"), sent(2))
      yield* rooms.leave("lobby", "bob")
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "bye"), sent(1))
      assert.deepStrictEqual(yield* got("ada"), ["hello", "ping", "bye"])
      assert.deepStrictEqual(yield* got("bob"), ["hello", "ping"])
      assert.deepStrictEqual(yield* got("cyd"), [])
    }).pipe(provide()))

  it.effect("leave out whom they are to", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob", "cyd")
      const options = { except: ["ada", "cyd", "nobody"] }
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello", options), sent(1))
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Ping", undefined, options), sent(1))
      assert.deepStrictEqual(yield* rooms.broadcastToAll("Ping", undefined, options), sent(1))
      assert.deepStrictEqual(yield* got("bob"), ["hello", "ping", "ping"])
      assert.deepStrictEqual(yield* got("ada"), [])
    }).pipe(provide()))

  it.effect("reach all sessions of a user, of this kind", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      const visits = yield* Visit
      yield* visits.start("phone", { user: "ada" })
      yield* visits.start("desk", { user: "ada" })
      yield* visits.start("other", { user: "bob" })
      yield* (yield* Bag).start("bag", { user: "ada" })
      assert.deepStrictEqual(yield* rooms.broadcastToUser("ada", "Notify", "hello"), sent(2))
      assert.deepStrictEqual(
        yield* rooms.broadcastToUser("ada", "Notify", "again", { except: ["desk"] }),
        sent(1)
      )
      assert.deepStrictEqual(yield* rooms.broadcastToUser("eve", "Notify", "hello"), sent(0))
      assert.deepStrictEqual(yield* got("phone"), ["hello", "again"])
      assert.deepStrictEqual(yield* got("desk"), ["hello"])
      assert.deepStrictEqual(yield* got("other"), [])
    }).pipe(provide()))

  it.effect("reach every live session of the kind", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada", "bob")
      yield* (yield* Bag).start("bag")
      assert.deepStrictEqual(yield* rooms.broadcastToAll("Notify", "hello"), sent(2))
      assert.deepStrictEqual(yield* got("ada"), ["hello"])
    }).pipe(provide()))

  it.effect("of messages that the members do not know are a defect, also when there are none", () =>
    Effect.gen(function*() {
      const rooms: Groups.Groups<any> = yield* Rooms
      for (const broadcast of [rooms.broadcast("lobby", "Nope"), rooms.broadcastToAll("Nope")]) {
        const exit = yield* Effect.exit(broadcast)
        assert.isTrue(Exit.hasDies(exit))
        assert.include(String(exit), "session kind Visit has no message Nope")
      }
    }).pipe(provide()))

  it.effect("are events, with the group", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* (yield* Visit).end("bob")
      yield* rooms.broadcast("lobby", "Notify", "hello")
      yield* rooms.broadcastToAll("Ping")
      assert.deepStrictEqual(
        (yield* events("Broadcast")).map(({ count, id, kind, tag }) => ({ kind, id, tag, count })),
        [{ kind: "Rooms", id: "lobby", tag: "Notify", count: 1 }, { kind: "Visit", id: "", tag: "Ping", count: 1 }]
      )
    }).pipe(provide()))

  it.effect("to many reach each once, and give others a turn meanwhile", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      const ids = Array.from({ length: 5_000 }, (_, i) => `v${i}`)
      yield* (yield* Visit).startAll(ids)
      for (const id of ids) yield* rooms.join("lobby", id)
      let turns = 0
      const others = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(Effect.yieldNow, Effect.sync(() => turns++)))
      )
      yield* Effect.yieldNow
      const broadcast = yield* Effect.forkChild(
        Effect.all([rooms.broadcast("lobby", "Notify", "hello"), rooms.broadcastToAll("Notify", "again")])
      )
      assert.deepStrictEqual(yield* Fiber.join(broadcast), [sent(5_000), sent(5_000)])
      assert.isAtLeast(turns, 8)
      yield* Fiber.interrupt(others)
      for (const id of ids) assert.deepStrictEqual(yield* got(id), ["hello", "again"])
    }).pipe(provide()))

  it.effect("belong to the trace of their sender", () =>
    Effect.gen(function*() {
      const spans: Array<Tracer.Span> = []
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          spans.push(span)
          return span
        }
      })
      const rooms = yield* Rooms
      yield* enter("lobby", "ada")
      yield* rooms.broadcast("lobby", "Notify", "hello").pipe(
        Effect.withSpan("sender"),
        Effect.withTracer(tracer)
      )
      const handled = spans.find(({ name }) => name === "Visit.Notify")
      assert.strictEqual(handled?.traceId, spans.find(({ name }) => name === "sender")?.traceId)
    }).pipe(provide()))
})

describe("Members that are busy", () => {
  it.effect("get the waiting messages in the order in which they were sent, and delay no other", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow", "fast")
      const latch = yield* hold("slow")
      for (const text of ["1", "2"]) {
        assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", text), sent(2))
      }
      for (const text of ["3", "4"]) {
        assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", text), sent(1, 1))
      }
      yield* latch.open
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* got("slow"), ["1", "2", "3", "4"])
      assert.deepStrictEqual(yield* got("fast"), ["1", "2", "3", "4"])
      // There is no lane any more.
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Urgent", "5"), sent(2))
      assert.deepStrictEqual(yield* events("CommunicationError"), [])
    }).pipe(provide({ visits: small })))

  it.effect("get nothing before what waits, whatever its policy, which decides when it is its turn", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow")
      const latch = yield* hold("slow")
      yield* rooms.broadcast("lobby", "Sample", "1")
      yield* rooms.broadcast("lobby", "Notify", "2")
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "3"), sent(0, 1))
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Sample", "4"), sent(0, 1))
      assert.deepStrictEqual(yield* rooms.broadcastToAll("Urgent", "5"), sent(0, 1))
      assert.deepStrictEqual(yield* events("CommunicationError"), [])
      yield* latch.open
      yield* TestSessions.settle
      // By then there was room for one, and none for the other.
      const all = yield* got("slow")
      assert.deepStrictEqual(all.slice(0, 3), ["1", "2", "3"])
      const refused = (yield* events("CommunicationError")).map(({ tag }) => tag)
      assert.strictEqual(all.length + refused.length, 5)
      assert.deepStrictEqual(yield* TestSessions.deadLetters, [])
    }).pipe(provide({ visits: small })))

  it.effect("miss what is not to wait", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow", "fast")
      const latch = yield* hold("slow")
      yield* rooms.broadcast("lobby", "Notify", "1")
      yield* rooms.broadcast("lobby", "Notify", "2")
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Urgent", "3"), sent(1, 0, 1))
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Sample", "4"), sent(1, 0, 1))
      assert.deepStrictEqual(
        (yield* events("CommunicationError")).map(({ error, id, tag }) => [id, tag, (error as Error).name]),
        [["slow", "Urgent", "MailboxFull"], ["slow", "Sample", "MailboxFull"]]
      )
      yield* latch.open
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* got("slow"), ["1", "2"])
    }).pipe(provide({ visits: small })))

  it.effect("get the newest sample in place of an older one", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow")
      const latch = yield* hold("slow")
      yield* rooms.broadcast("lobby", "Sample", "1")
      yield* rooms.broadcast("lobby", "Notify", "2")
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Sample", "3"), sent(1))
      yield* latch.open
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* got("slow"), ["2", "3"])
    }).pipe(provide({ visits: small })))

  it.effect("miss what comes when their lane is full, which is an event", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow")
      yield* enter("attic", "slow")
      const latch = yield* hold("slow")
      for (const text of ["1", "2"]) yield* rooms.broadcast("lobby", "Notify", text)
      // The lane is that of the member, whatever the group.
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "3"), sent(0, 1))
      assert.deepStrictEqual(yield* rooms.broadcast("attic", "Notify", "4"), sent(0, 1))
      assert.deepStrictEqual(yield* rooms.broadcastToAll("Notify", "5"), sent(0, 1))
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "6"), sent(0, 0, 1))
      const [event] = yield* events("CommunicationError")
      assert.deepInclude(event, { kind: "Visit", id: "slow", tag: "Notify" })
      assert.deepInclude(event?.error, { _tag: "MailboxFull", capacity: 3 })
      yield* latch.open
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* got("slow"), ["1", "2", "3", "4", "5"])
      assert.deepStrictEqual(yield* TestSessions.deadLetters, [])
    }).pipe(provide({ visits: small, rooms: { laneCapacity: 3 } })))

  it.effect("leave dead letters when they end before they got what waits", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow", "fast")
      yield* hold("slow")
      for (const text of ["1", "2", "3", "4", "5"]) yield* rooms.broadcast("lobby", "Notify", text)
      yield* (yield* Visit).end("slow", { drain: false, reason: EndReason.disconnected })
      yield* TestSessions.settle
      const letters = yield* TestSessions.deadLetters
      assert.deepStrictEqual(
        letters.flatMap(({ id, kind, payload, reason, tag }) =>
          tag === "Hold" ? [] : [[kind, id, payload, reason._tag === "Undelivered" && reason.end._tag]]
        ).sort(),
        [
          // What had got into the mailbox is left over with the reason; the rest came to a session that was gone.
          ...["1", "2", "3"].map((text) => ["Visit", "slow", text, "Disconnected"]),
          ...["4", "5"].map((text) => ["Visit", "slow", text, "Stopped"])
        ]
      )
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* listed("lobby"), ["fast"])
    }).pipe(provide({ visits: small })))

  it.effect("may have a long lane, of which nothing is lost silently", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "slow", "gone")
      const latch = yield* hold("slow")
      yield* hold("gone")
      const texts = Array.from({ length: 2_000 }, (_, i) => String(i))
      for (const text of texts) yield* rooms.broadcast("lobby", "Notify", text)
      yield* latch.open
      yield* (yield* Visit).end("gone", { drain: false })
      while ((yield* got("slow")).length < texts.length) yield* Effect.yieldNow
      assert.deepStrictEqual(yield* got("slow"), texts)
      yield* TestSessions.settle
      // With the message that held it.
      assert.strictEqual(yield* (yield* DeadLetters).count, texts.length + 1)
    }).pipe(provide({ visits: small, rooms: { laneCapacity: 5_000 } })))

  it.effect("may broadcast to their own group", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      const done = yield* Deferred.make<Groups.Sent>()
      const speak = Effect.flatMap(
        Effect.orDie(rooms.broadcast("lobby", "Ping")),
        (sent) => Deferred.succeed(done, sent)
      )
      yield* (yield* Visit).ref("ada").cast("Run", speak)
      assert.deepStrictEqual(yield* Deferred.await(done), sent(2))
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* got("ada"), ["ping"])
      assert.deepStrictEqual(yield* got("bob"), ["ping"])
    }).pipe(provide()))
})

describe("Members that have ended", () => {
  it.effect("are removed by the next broadcast, which they miss", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* (yield* Visit).end("bob")
      assert.deepStrictEqual(yield* listed("lobby"), ["ada", "bob"])
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello"), sent(1, 0, 1))
      assert.deepStrictEqual(yield* listed("lobby"), ["ada"])
    }).pipe(provide()))

  it.effect("are not among the members, and removed by that look", () =>
    Effect.gen(function*() {
      yield* enter("lobby", "ada", "bob")
      yield* (yield* Visit).end("bob")
      assert.deepStrictEqual(yield* members("lobby"), ["ada"])
      assert.deepStrictEqual(yield* listed("lobby"), ["ada"])
    }).pipe(provide()))

  it.effect("are removed by a check now and then", () =>
    Effect.gen(function*() {
      yield* enter("lobby", "ada", "bob")
      yield* (yield* Visit).end("bob")
      yield* TestSessions.elapse("4 minutes")
      assert.deepStrictEqual(yield* listed("lobby"), ["ada", "bob"])
      yield* TestSessions.elapse("1 minute")
      assert.deepStrictEqual(yield* listed("lobby"), ["ada"])
      yield* (yield* Visit).end("ada")
      yield* TestSessions.elapse("5 minutes")
      assert.deepStrictEqual(yield* listed("lobby"), [])
    }).pipe(provide({ rooms: { checkEvery: "5 minutes", idleTimeout: "1 hour" } })))

  it.effect("are not thrown out when they are there again", () =>
    Effect.gen(function*() {
      yield* enter("lobby", "ada", "bob")
      yield* (yield* Visit).end("bob")
      // What a check found is on its way, and may be outdated.
      yield* (yield* Rooms.kind).ref("lobby").cast("Gone", ["ada", "bob"])
      assert.deepStrictEqual(yield* listed("lobby"), ["ada"])
    }).pipe(provide()))

  it.effect("do not come back with the Scope that held them", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* rooms.joinScoped("lobby", "bob")
      yield* (yield* Visit).end("bob")
      yield* rooms.broadcast("lobby", "Notify", "hello")
      yield* (yield* Rooms.kind).end("lobby")
      yield* rooms.group("lobby")
      assert.deepStrictEqual(yield* listed("lobby"), [])
    }).pipe(Effect.scoped, provide()))
})

describe("The life of a group", () => {
  it.effect("does not end while it has members, however long it is quiet", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada")
      yield* (yield* Visit).ref("ada").setIdleTimeout("Infinity")
      yield* TestSessions.elapse("10 days")
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello"), sent(1))
    }).pipe(
      provide({ config: { absoluteTimeout: "5 days", idleTimeout: "1 hour" }, visits: { absoluteTimeout: "Infinity" } })
    ))

  it.effect("ends a while after the last member has left", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      const kind = yield* Rooms.kind
      yield* enter("lobby", "ada")
      yield* rooms.group("attic")
      yield* TestSessions.elapse("30 seconds")
      yield* rooms.leave("lobby", "ada")
      yield* TestSessions.elapse("30 seconds")
      assert.isTrue(yield* kind.has("lobby"))
      // No member ever joined.
      assert.isFalse(yield* kind.has("attic"))
      yield* rooms.join("lobby", "ada")
      yield* TestSessions.elapse("20 seconds")
      yield* rooms.leave("lobby", "ada")
      yield* TestSessions.elapse("59 seconds")
      assert.isTrue(yield* kind.has("lobby"))
      yield* TestSessions.elapse("1 second")
      assert.isFalse(yield* kind.has("lobby"))
    }).pipe(provide()))

  it.effect("loses no member that joins while it ends", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      const ids = Array.from({ length: 600 }, (_, i) => `v${i}`)
      yield* (yield* Visit).startAll(ids)
      for (const id of ids) yield* rooms.join("lobby", id)
      const lobby = (yield* Rooms.kind).ref("lobby")
      const { epoch } = yield* lobby.info
      // It is busy with so many, so that what follows waits in its mailbox: it ends before it comes to who joins.
      const broadcast = yield* Effect.forkChild(rooms.broadcast("lobby", "Ping"), { startImmediately: true })
      for (const member of ids) assert.isTrue(lobby.castUnsafe("Leave", { member, held: false, owner: "" }))
      assert.isTrue(lobby.castUnsafe("Retire"))
      assert.strictEqual((yield* lobby.info).mailbox, 601)
      yield* rooms.join("lobby", "v7")
      yield* Fiber.join(broadcast)
      assert.deepStrictEqual(yield* members("lobby"), ["v7"])
      assert.isAbove((yield* lobby.info).epoch, epoch)
    }).pipe(provide({ config: { maxSessions: 100_000 } })))

  it.effect("starts again after a crash if that is its policy, with the members that Scopes hold", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob")
      yield* rooms.joinScoped("lobby", "bob")
      yield* (yield* Rooms.kind).ref("lobby").cast("Gone", null as never)
      yield* TestSessions.elapse("1 second")
      assert.lengthOf(yield* events("Crash"), 1)
      assert.deepStrictEqual(yield* rooms.broadcast("lobby", "Notify", "hello"), sent(1))
      assert.deepStrictEqual(yield* got("ada"), [])
      assert.deepStrictEqual(yield* got("bob"), ["hello"])
    }).pipe(Effect.scoped, provide({ rooms: { supervision: Supervision.reset() } })))

  it.effect("is not counted as a start, and fails where there is no room", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* start("ada")
      for (let i = 0; i < 8; i++) yield* rooms.join(`room-${i}`, "ada")
      assert.strictEqual((yield* Effect.flip((yield* Visit).start("bob")))._tag, "StartRateExceeded")
      yield* rooms.join("room-8", "ada")
      assert.strictEqual((yield* Effect.flip(rooms.join("room-9", "ada")))._tag, "SessionLimitReached")
    }).pipe(provide({ config: { startRate: { limit: 1, window: "1 hour" }, maxSessions: 10 } })))

  it.effect("has options that are checked", () =>
    Effect.gen(function*() {
      const failing = (rooms: Groups.Options) =>
        Effect.map(Effect.flip(Effect.scoped(Layer.build(layer({ rooms })))), String)
      assert.include(yield* failing({ laneCapacity: 0 }), "Rooms.laneCapacity")
      assert.include(yield* failing({ checkEvery: 0 }), "Rooms.checkEvery")
      assert.include(yield* failing({ idleTimeout: 0 }), "Rooms.idleTimeout")
      assert.include(yield* failing({ mailboxCapacity: 0 }), "Rooms.mailboxCapacity")
      assert.throws(() => Groups.Service()("no name", { members: Visit }), TypeError)
    }))

  it.effect("ends with the server, when what waits has had its time", () =>
    Effect.gen(function*() {
      const inner = Groups.layer(Rooms).pipe(Layer.provideMerge(VisitLayer(small)))
      const scope = yield* Scope.make()
      const context = yield* Scope.provide(Layer.build(inner), scope)
      const latch = yield* Effect.gen(function*() {
        const rooms = yield* Rooms
        yield* enter("lobby", "ada", "bob")
        const latch = yield* hold("ada")
        yield* hold("bob")
        for (const text of ["1", "2", "3", "4", "5"]) yield* rooms.broadcast("lobby", "Notify", text)
        return latch
      }).pipe(Effect.provide(context))
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestSessions.settle
      yield* latch.open
      yield* TestSessions.elapse("9 seconds")
      const letters = Effect.map(TestSessions.deadLetters, (letters) =>
        letters.flatMap(({ id, payload, reason, tag }) =>
          tag === "Hold" ? [] : [[id, payload, reason._tag === "Undelivered" && reason.end._tag]]
        ))
      assert.deepStrictEqual(yield* letters, [])
      yield* TestSessions.elapse("1 second")
      assert.deepStrictEqual(yield* letters, ["3", "4", "5"].map((text) => ["bob", text, "Shutdown"]))
      yield* TestSessions.elapse("1 minute")
      yield* Fiber.join(closed)
      assert.deepStrictEqual(
        (yield* letters).filter(([id]) =>
          id === "ada"
        ),
        []
      )
    }).pipe(Effect.provide(TestSessions.layer(Bag.layer()))))
})

describe("Groups and the store", () => {
  it.effect("a member that is in the store only is a member, and is loaded for a broadcast", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      const visits = yield* Visit
      yield* enter("lobby", "ada", "bob")
      yield* TestSessions.elapse("30 minutes")
      assert.isUndefined(visits.findUnsafe("ada"))
      assert.deepStrictEqual(yield* members("lobby"), ["ada", "bob"])
      // To look whether it is there does not load it.
      assert.isUndefined(visits.findUnsafe("ada"))
      const both = yield* Effect.all([
        rooms.broadcast("lobby", "Notify", "1"),
        rooms.broadcast("lobby", "Notify", "2")
      ])
      for (const { delivered, missed, waiting } of both) assert.deepStrictEqual([delivered + waiting, missed], [2, 0])
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* got("ada"), ["1", "2"])
      assert.deepStrictEqual(yield* got("bob"), ["1", "2"])
    }).pipe(Effect.provide(stored())))

  it.effect("a member that is in the store no more is removed", () =>
    Effect.gen(function*() {
      const rooms = yield* Rooms
      yield* enter("lobby", "ada", "bob", "cyd")
      yield* TestSessions.elapse("5 minutes")
      yield* (yield* Visit).end("ada")
      yield* (yield* Visit).end("bob")
      yield* TestSessions.elapse("5 minutes")
      const result = yield* rooms.broadcast("lobby", "Notify", "hello")
      assert.strictEqual(result.delivered + result.waiting + result.missed, 3)
      yield* TestSessions.settle
      assert.deepStrictEqual(yield* listed("lobby"), ["cyd"])
      assert.deepStrictEqual(yield* got("cyd"), ["hello"])
    }).pipe(Effect.provide(stored({ rooms: { checkEvery: "Infinity" } }))))

  it.effect("a group that left memory is checked too, and ends when it has no members left", () =>
    Effect.gen(function*() {
      const kind = yield* Rooms.kind
      yield* enter("lobby", "ada")
      yield* (yield* Visit).end("ada")
      yield* TestSessions.elapse("5 minutes")
      assert.isUndefined(kind.findUnsafe("lobby"))
      yield* TestSessions.elapse("6 minutes")
      assert.isFalse(yield* kind.has("lobby"))
    }).pipe(Effect.provide(stored())))

  it.effect("a restart keeps members that have joined, not those that a Scope held", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(MemoryStore.layer)
      const store = Layer.succeedContext(context)
      // They stay open for longer than the server runs, so there is no group to leave when they close.
      const sockets = yield* Scope.make()
      yield* Effect.gen(function*() {
        const rooms = yield* Rooms
        yield* enter("lobby", "ada", "bob")
        yield* start("cyd")
        yield* Scope.provide(rooms.joinScoped("lobby", "bob"), sockets)
        yield* Scope.provide(rooms.joinScoped("lobby", "cyd"), sockets)
        // Out of memory and back again is no restart.
        yield* TestSessions.elapse("5 minutes")
        assert.isUndefined((yield* Rooms.kind).findUnsafe("lobby"))
        assert.deepStrictEqual(yield* members("lobby"), ["ada", "bob", "cyd"])
      }).pipe(Effect.provide(stored({}, store)))
      yield* Scope.close(sockets, Exit.void)
      yield* Effect.gen(function*() {
        assert.deepStrictEqual(yield* members("lobby"), ["ada", "bob"])
        assert.strictEqual((yield* (yield* Rooms).broadcast("lobby", "Notify", "hello")).missed, 0)
      }).pipe(Effect.provide(stored({}, store)))
    }))
})

const Who = Schema.Literals(["a", "b", "c", "d"])
const Where = Schema.Literals(["lobby", "attic"])
const Step = Schema.Union([
  Schema.Struct({ do: Schema.Literals(["join", "leave"]), who: Who, where: Where }),
  Schema.Struct({ do: Schema.Literals(["hold", "release", "end"]), who: Who }),
  Schema.Struct({
    do: Schema.Literal("send"),
    sender: Schema.Literals(["x", "y", "z"]),
    where: Where,
    tag: Schema.Literals(["Notify", "Notify", "Urgent", "Sample"])
  })
])
const ids = Who.literals

interface Sending {
  readonly tag: string
  readonly to: ReadonlySet<string>
  readonly sent: Groups.Sent
}

/** Does what the steps say, one after the other, or what each sender sends beside the rest. */
const perform = (steps: ReadonlyArray<typeof Step.Type>, beside: boolean) =>
  Effect.gen(function*() {
    const rooms = yield* Rooms
    const visits = yield* Visit
    const latches: Array<Latch.Latch> = []
    const sendings = new Map<string, Sending>()
    const ended = new Set<string>()
    const groups = { lobby: new Set<string>(), attic: new Set<string>() }
    const lines = new Map<string, Fiber.Fiber<unknown, unknown>>()
    const held = new Map<string, Latch.Latch>()
    let n = 0
    for (const step of steps) {
      switch (step.do) {
        case "join":
          yield* visits.start(step.who)
          yield* rooms.join(step.where, step.who)
          groups[step.where].add(step.who)
          break
        case "leave": {
          const was = yield* rooms.leave(step.where, step.who)
          const expected = groups[step.where].delete(step.who)
          if (!beside) assert.strictEqual(was, expected)
          break
        }
        case "hold":
          if (!held.has(step.who) && (yield* visits.has(step.who))) {
            const latch = Latch.makeUnsafe()
            latches.push(latch)
            if (visits.ref(step.who).castUnsafe("Hold", latch)) held.set(step.who, latch)
          }
          break
        case "release":
          held.get(step.who)?.openUnsafe()
          held.delete(step.who)
          yield* TestSessions.settle
          break
        case "end":
          if (yield* visits.end(step.who, { drain: false })) ended.add(step.who)
          held.delete(step.who)
          yield* TestSessions.settle
          break
        case "send": {
          const { sender, tag, where } = step
          const text = `${sender} ${String(++n).padStart(3, "0")}`
          const before = lines.get(sender)
          const members = new Set(groups[where])
          const send = Effect.gen(function*() {
            const sent = yield* rooms.broadcast(where, tag, text)
            sendings.set(text, { tag, to: members, sent })
            if (!beside) assert.strictEqual(sent.delivered + sent.waiting + sent.missed, members.size)
          })
          if (beside) {
            lines.set(
              sender,
              yield* Effect.forkChild(Effect.andThen(before === undefined ? Effect.void : Fiber.await(before), send))
            )
          } else {
            yield* send
            for (const member of members) if (!(yield* visits.has(member))) groups[where].delete(member)
          }
        }
      }
    }
    for (const latch of latches) latch.openUnsafe()
    for (const line of lines.values()) yield* Fiber.join(line)
    yield* TestSessions.settle
    return { sendings, ended }
  })

describe("Any interleaving of joins, leaves, ends and broadcasts to slow members", () => {
  const property = (title: string, beside: boolean) =>
    it.effect.prop(
      title,
      [Schema.Array(Step).check(Schema.isMinLength(10), Schema.isMaxLength(60))],
      ([steps]) =>
        Effect.suspend(() => {
          const log: Array<readonly [id: string, text: string]> = []
          const all = TestSessions.layer(
            Groups.layer(Rooms, { laneCapacity: 3, idleTimeout: "Infinity" }).pipe(
              Layer.provideMerge(VisitLayer(small, (id, text) => log.push([id, text])))
            )
          )
          return Effect.gen(function*() {
            const { ended, sendings } = yield* perform(steps, beside)
            for (const id of ids) {
              for (const sender of ["x", "y", "z"]) {
                const heard = log.flatMap(([who, text]) => who === id && text.startsWith(sender) ? [text] : [])
                assert.deepStrictEqual(heard, [...new Set(heard)].sort())
              }
            }
            for (const [text, { sent, tag, to }] of beside ? [] : sendings) {
              const heard = log.flatMap(([who, what]) => what === text ? [who] : [])
              for (const who of heard) assert.isTrue(to.has(who), `${who} was no member`)
              assert.isAtMost(heard.length, sent.delivered + sent.waiting)
              // Who was there all the time, and has not missed it, got it.
              if (tag === "Notify" && sent.missed === 0 && ended.size === 0) {
                assert.strictEqual(heard.length, to.size)
              }
            }
            const visits = yield* Visit
            yield* TestSessions.elapse("10 minutes")
            for (const group of Where.literals) {
              if (!(yield* (yield* Rooms.kind).has(group))) continue
              for (const id of yield* listed(group)) assert.isTrue(yield* visits.has(id), `${id} has ended`)
            }
          }).pipe(Effect.provide(all))
        }),
      { arbitrary: { runs: 150 } }
    )

  property("keeps the order of each sender, counts every member, and reaches no member that has left", false)
  property("keeps the order of each sender when they send at the same time", true)
})
