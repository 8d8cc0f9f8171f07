import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Schema, Scope } from "effect"
import { Live, Session } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections, CookieKeys, CrossOrigin, HttpSession } from "effect-sessions/http"
import { LiveHttp, LiveSocket, LiveViews } from "effect-sessions/live"
import { TestSessions } from "effect-sessions/testing"
import { HttpRouter, HttpServer } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"
import { TestClock } from "effect/testing"
import { type Peer, Room, visitRoutes } from "./liveServer.ts"
import { Nodes, until } from "./socketServer.ts"

/** What a browser's cookie is for. */
class Visit extends Session.Service<Visit>()("Visit", { state: Schema.Int, protocol: [Rpc.make("Look")] }) {}

/** What its user has, whatever the browser. */
class Desk extends Session.Service<Desk>()("Desk", {
  state: Schema.Int,
  protocol: [Rpc.make("Add", { payload: Schema.Int, success: Schema.Int })]
}) {}

class DeskLive extends Live.Service<DeskLive>()("DeskLive", {
  kind: Desk,
  views: { sum: Schema.Int },
  messages: ["Add"]
}) {}

class Visitor extends HttpSession.Service<Visitor>()("test/AdmissionVisitor", { kind: Visit, cookie: "visitor" }) {}

class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", { message: Schema.String }) {
  get httpStatus(): number {
    return 403
  }
}

class NoSession extends Schema.TaggedError<NoSession>()("NoSession", { message: Schema.String }) {}

/** What was acquired for clients, and released. */
class Guests extends Context.Service<Guests, {
  readonly here: Set<string>
  readonly log: Array<string>
}>()("test/Guests") {
  static readonly layer = Layer.sync(Guests, () => ({ here: new Set<string>(), log: [] }))
}

const enter = (id: string) =>
  Effect.flatMap(Guests, ({ here, log }) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        here.add(id)
        log.push(`came ${id}`)
      }),
      () =>
        Effect.sync(() => {
          here.delete(id)
          log.push(`went ${id}`)
        })
    ))

const byCookie = Admission.cookie(Visitor)

/** The desk of the visit's user; strangers have none, and "eve" may not come. */
const toDesk = ({ session }: Admission.Admitted) =>
  Effect.gen(function*() {
    const { user } = yield* session.info
    if (user === undefined) return yield* new NoSession({ message: "nobody is known by this cookie" })
    if (user === "eve") return yield* new Forbidden({ message: "not you" })
    return yield* (yield* Desk).start(user)
  })

const desk = Admission.through(byCookie, Desk, toDesk)

const noted = Admission.whileConnected(desk, ({ session }) => Effect.asVoid(enter(session.id)))

/** Acquired before it is known that the client may not come. */
const early = Admission.through(
  Admission.whileConnected(byCookie, ({ session }) => Effect.asVoid(enter(session.id))),
  Desk,
  toDesk
)

/** Fails when it has acquired. */
const late = Admission.whileConnected(
  desk,
  ({ session }) => Effect.andThen(enter(session.id), Effect.fail(new Forbidden({ message: "full" })))
)

const quiet = { heartbeat: "10 hours" } as const

const routes = Layer.mergeAll(
  LiveSocket.layer(DeskLive, { ...quiet, path: "/desk", session: desk }),
  LiveSocket.layer(DeskLive, { ...quiet, path: "/noted", session: noted }),
  LiveSocket.layer(DeskLive, { ...quiet, path: "/early", session: early }),
  LiveSocket.layer(DeskLive, { ...quiet, path: "/late", session: late }),
  LiveHttp.layer(DeskLive, { ...quiet, path: "/events", session: noted }),
  visitRoutes(Visitor)
).pipe(Layer.provide(LiveViews.layer(DeskLive, { select: { sum: (sum) => sum } })))

const kinds = Layer.merge(
  Visit.toLayer(Visit.behavior({ init: () => 0, handlers: { Look: ({ state }) => [state] } })),
  Desk.toLayer(
    Desk.behavior({
      init: () => 0,
      handlers: { Add: ({ payload, state }) => [state + payload, state + payload] }
    })
  )
)

const layer = ({ server }: Nodes) =>
  HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => server, {
      port: 0,
      host: "127.0.0.1",
      disablePreemptiveShutdown: true
    })),
    Layer.provide([CrossOrigin.layer(), CookieKeys.layerRandom]),
    Layer.provideMerge(Connections.layer()),
    Layer.provideMerge(Guests.layer),
    Layer.provideMerge(TestSessions.layer(kinds))
  )

/** A server for as long as the Effect runs. */
const room = <A, E, R>(use: (room: Room) => Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const nodes = new Nodes()
    return Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const room = new Room("port" in address ? address.port : 0, nodes)
      return yield* Effect.ensuring(use(room), Effect.andThen(room.leave, TestSessions.settle))
    }).pipe(Effect.provide(layer(nodes)))
  })

/** A browser that this user has logged in with. */
const browser = (room: Room, user?: string) =>
  Effect.gen(function*() {
    const { cookie, id } = yield* room.cookie("/start")
    yield* (yield* Visit).ref(id).setUser(user)
    return { cookie, id }
  })

const connect = (room: Room, path: string, cookie: string) =>
  Effect.promise(async () => {
    const peer = room.dial(path, { headers: { cookie } })
    await peer.opened
    return peer
  })

const sees = (peer: Peer, state: number) =>
  Effect.gen(function*() {
    yield* peer.view("sum")
    assert.deepInclude(yield* peer.event, { _tag: "snapshot", state })
  })

const connections = (user: string) =>
  Effect.flatMap(Desk, (desks) => Effect.map(desks.ref(user).info, ({ connections }) => connections))

const nobodyLeft = until(Effect.gen(function*() {
  return (yield* Guests).here.size === 0 && (yield* (yield* Connections).count) === 0
}))

describe("Admission.through", () => {
  it.effect("serves the second session, to which the client is connected", () =>
    room((room) =>
      Effect.gen(function*() {
        const phone = yield* browser(room, "ada")
        const laptop = yield* browser(room, "ada")
        const bob = yield* browser(room, "bob")
        const one = yield* connect(room, "/desk", phone.cookie)
        const two = yield* connect(room, "/desk", laptop.cookie)
        const other = yield* connect(room, "/desk", bob.cookie)
        assert.deepStrictEqual(yield* one.act("Add", 2), { success: 2 })
        assert.deepStrictEqual(yield* two.act("Add", 3), { success: 5 })
        yield* sees(one, 5)
        yield* sees(other, 0)
        assert.strictEqual(yield* connections("ada"), 2)
        assert.strictEqual((yield* (yield* Visit).ref(phone.id).info).connections, 1)
        yield* one.leave
        yield* until(Effect.map(connections("ada"), (n) => n === 1))
        yield* until(Effect.map((yield* Visit).ref(phone.id).info, (info) => info.connections === 0))
      })
    ))

  it.effect("closes with 1008 when the first session ends, and leaves the second", () =>
    room((room) =>
      Effect.gen(function*() {
        const { cookie, id } = yield* browser(room, "ada")
        const peer = yield* connect(room, "/desk", cookie)
        yield* sees(peer, 0)
        yield* (yield* Visit).end(id)
        assert.deepStrictEqual(yield* peer.end, { code: 1008, reason: "revoked" })
        yield* until(Effect.map(connections("ada"), (n) => n === 0))
        assert.isTrue(yield* (yield* Desk).has("ada"))
      })
    ))

  it.effect("closes with 3000 when the cookie is rotated, and admits a client with the new one", () =>
    room((room) =>
      Effect.gen(function*() {
        const { cookie } = yield* browser(room, "ada")
        const peer = yield* connect(room, "/desk", cookie)
        yield* sees(peer, 0)
        const rotated = yield* room.cookie("/rotate", cookie)
        assert.deepStrictEqual(yield* peer.end, { code: 3000, reason: "replaced" })
        yield* TestClock.adjust("10 seconds")
        const old = room.dial("/desk", { headers: { cookie } })
        assert.deepStrictEqual(yield* old.end, { code: 1008, reason: "NoSession" })
        const back = yield* connect(room, "/desk", rotated.cookie)
        yield* sees(back, 0)
      })
    ))

  it.effect("asks again where a client belongs when user or metadata of the first session change", () =>
    room((room) =>
      Effect.gen(function*() {
        const { cookie, id } = yield* browser(room, "ada")
        const peer = yield* connect(room, "/desk", cookie)
        yield* sees(peer, 0)
        const visit = (yield* Visit).ref(id)
        yield* visit.setMetadata({ theme: "dark" })
        yield* peer.sync
        for (const user of ["bob", "eve"]) {
          yield* visit.setUser("ada")
          const peer = yield* connect(room, "/desk", cookie)
          yield* sees(peer, 0)
          yield* visit.setUser(user)
          assert.deepStrictEqual(yield* peer.end, { code: 3000, reason: "replaced" })
        }
        assert.deepStrictEqual(yield* peer.end, { code: 3000, reason: "replaced" })
      })
    ))

  it.effect("closes with the end of the second session", () =>
    room((room) =>
      Effect.gen(function*() {
        const { cookie } = yield* browser(room, "ada")
        const peer = yield* connect(room, "/desk", cookie)
        yield* sees(peer, 0)
        yield* (yield* Desk).end("ada")
        assert.deepInclude(yield* peer.answer, { _tag: "SessionGone", reason: "Stopped" })
        assert.deepStrictEqual(yield* peer.end, { code: 1000, reason: "stopped" })
      })
    ))

  it.effect("refuses whom `to` refuses: closed with 1008 when there is no session, or by the status", () =>
    room((room) =>
      Effect.gen(function*() {
        const stranger = yield* browser(room)
        const nobody = room.dial("/desk", { headers: { cookie: stranger.cookie } })
        assert.deepStrictEqual(yield* nobody.end, { code: 1008, reason: "NoSession" })
        const eve = yield* browser(room, "eve")
        const refusal = yield* Effect.promise(() => room.dial("/desk", { headers: { cookie: eve.cookie } }).refused)
        assert.deepInclude(refusal, { status: 403 })
        assert.deepInclude(refusal.json, { _tag: "Forbidden", message: "not you" })
        const without = room.dial("/desk")
        assert.deepStrictEqual(yield* without.end, { code: 1008, reason: "NoSession" })
        assert.strictEqual(yield* (yield* Desk).count, 0)
        // They are not connected to what they came with either.
        yield* until(Effect.map((yield* Visit).ref(eve.id).info, (info) => info.connections === 0))
        yield* nobodyLeft
      })
    ))

  it.effect("finds the second session of plain requests, too", () =>
    room((room) =>
      Effect.gen(function*() {
        const { cookie } = yield* browser(room, "ada")
        const headers = { cookie, "content-type": "application/json" }
        const answer = yield* room.fetch("/events/Add", { method: "POST", headers, body: "4" })
        assert.deepStrictEqual([answer.status, yield* Effect.promise(() => answer.json())], [200, 4])
        assert.strictEqual(yield* (yield* Desk).ref("ada").state, 4)
        // A request is no connection.
        assert.deepStrictEqual((yield* Guests).log, [])
      })
    ))
})

describe("Admission.whileConnected", () => {
  it.effect("holds something for each connection, and releases it when that goes", () =>
    room((room) =>
      Effect.gen(function*() {
        const { here, log } = yield* Guests
        const ada = yield* browser(room, "ada")
        const bob = yield* browser(room, "bob")
        const one = yield* connect(room, "/noted", ada.cookie)
        assert.deepStrictEqual([...here], ["ada"])
        const two = yield* connect(room, "/noted", bob.cookie)
        yield* one.sync
        assert.deepStrictEqual([...here], ["ada", "bob"])
        yield* one.leave
        yield* until(Effect.sync(() => here.size === 1))
        assert.deepStrictEqual(log, ["came ada", "came bob", "went ada"])
        // However it goes.
        two.socket.terminate()
        yield* until(Effect.sync(() => here.size === 0))
        const three = yield* connect(room, "/noted", ada.cookie)
        yield* (yield* Visit).end(ada.id)
        assert.strictEqual((yield* three.end).code, 1008)
        yield* nobodyLeft
        assert.strictEqual(log.length, 6)
      })
    ))

  it.effect("holds something for a stream of events, too", () =>
    room((room) =>
      Effect.gen(function*() {
        const { here } = yield* Guests
        const { cookie } = yield* browser(room, "ada")
        const close = new AbortController()
        const stream = yield* room.fetch("/events?view=sum", { headers: { cookie }, signal: close.signal })
        assert.strictEqual(stream.status, 200)
        yield* until(Effect.sync(() => here.size === 1))
        close.abort()
        yield* nobodyLeft
      })
    ))

  it.effect("releases it when the client is refused afterwards", () =>
    room((room) =>
      Effect.gen(function*() {
        const { log } = yield* Guests
        const eve = yield* browser(room, "eve")
        const refusal = yield* Effect.promise(() => room.dial("/early", { headers: { cookie: eve.cookie } }).refused)
        assert.strictEqual(refusal.status, 403)
        assert.deepStrictEqual(log, [`came ${eve.id}`, `went ${eve.id}`])
        const stranger = yield* browser(room)
        const nobody = room.dial("/early", { headers: { cookie: stranger.cookie } })
        assert.deepStrictEqual(yield* nobody.end, { code: 1008, reason: "NoSession" })
        yield* nobodyLeft
        assert.deepStrictEqual(log.slice(2), [`came ${stranger.id}`, `went ${stranger.id}`])
      })
    ))

  it.effect("refuses whom it cannot acquire for, and releases what it had", () =>
    room((room) =>
      Effect.gen(function*() {
        const { log } = yield* Guests
        const { cookie } = yield* browser(room, "ada")
        const refusal = yield* Effect.promise(() => room.dial("/late", { headers: { cookie } }).refused)
        assert.deepInclude(refusal.json, { _tag: "Forbidden", message: "full" })
        assert.deepStrictEqual(log, ["came ada", "went ada"])
        yield* until(Effect.map(connections("ada"), (n) => n === 0))
      })
    ))

  it.effect("releases all with the server", () =>
    Effect.gen(function*() {
      const nodes = new Nodes()
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(layer(nodes), scope)
      const { log } = Context.get(context, Guests)
      yield* Effect.gen(function*() {
        const { address } = yield* HttpServer.HttpServer
        const room = new Room("port" in address ? address.port : 0, nodes)
        const { cookie } = yield* browser(room, "ada")
        const peer = yield* connect(room, "/noted", cookie)
        const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
        assert.strictEqual((yield* peer.end).code, 1001)
        yield* until(
          Effect.andThen(TestClock.adjust("50 millis"), Effect.sync(() => closing.pollUnsafe() !== undefined))
        )
      }).pipe(Effect.provide(context))
      assert.deepStrictEqual(log, ["came ada", "went ada"])
    }))
})
