import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { EndReason, Live, SessionError, Sessions, Supervision } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections } from "effect-sessions/http"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import { CloseCode } from "effect-sessions/socket"
import { TestSessions } from "effect-sessions/testing"
import { HttpRouter, HttpServer } from "effect/http"
import { RpcClient, RpcSerialization } from "effect/rpc"
import * as Socket from "effect/socket/Socket"
import { TestClock } from "effect/testing"
import { applyPatch } from "fast-json-patch"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import {
  allGone,
  bearer,
  Cart,
  cart,
  CartLive,
  info,
  layer,
  Nope,
  type Peer,
  Room,
  room,
  say,
  select
} from "./liveServer.ts"
import { Nodes, token, turn, until } from "./socketServer.ts"

const item = (id: number) => ({ id, name: `item ${id}` })

const add = (id: number) => Effect.flatMap(cart(), (ref) => ref.call("Add", item(id)))

const once = (sequence: number, more: Record<string, string> = {}) => ({
  [Live.headers.client]: "phone",
  [Live.headers.sequence]: String(sequence),
  ...more
})

const collectGarbage = (): void => {
  setFlagsFromString("--expose-gc")
  runInNewContext("gc")()
}

const heap = (): number => {
  collectGarbage()
  const { arrayBuffers, external, heapUsed } = process.memoryUsage()
  return heapUsed + external + arrayBuffers
}

describe("Effect's own RpcClient", () => {
  const connect = (room: Room, claims?: Parameters<typeof token>[0]) =>
    Effect.gen(function*() {
      const url = `ws://127.0.0.1:${room.port}/live?token=${yield* Effect.promise(() => token(claims))}`
      const protocol = RpcClient.layerProtocolSocket().pipe(Layer.provide([
        RpcSerialization.layerJson,
        Socket.layerWebSocket(url).pipe(Layer.provide(Socket.layerWebSocketConstructorGlobal))
      ]))
      return yield* RpcClient.make(Live.rpcs(CartLive)).pipe(Effect.provideContext(yield* Layer.build(protocol)))
    })

  it.effect("calls, gets declared errors and others, and follows views", () =>
    room({ kind: { remember: { answers: 7 } } }, (room) =>
      Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(room)
        const { tokenExpiresIn, ...hello } = yield* client["live.hello"]()
        assert.deepStrictEqual(hello, {
          epoch: (yield* info()).epoch,
          window: 7,
          accepted: 0,
          maxFrameSize: 65_536,
          expiresIn: 3_600_000
        })
        assert.isAbove(tokenExpiresIn!, 0)
        const seen: Array<Live.Event> = []
        const following = yield* Effect.forkChild(
          Stream.runForEach(client["live.view"]({ view: "items" }), (event) => Effect.sync(() => seen.push(event)))
        )
        yield* until(Effect.sync(() => seen.length === 1))
        // As many as there are chunks without an acknowledgement, several times over.
        for (let n = 1; n <= 100; n++) {
          assert.strictEqual(yield* client.Add(item(n)), n)
          yield* until(Effect.sync(() => seen.length === n + 1))
        }
        assert.deepStrictEqual(
          seen.map((event) => event._tag === "patch" ? event.patch : event.state),
          [[], ...Array.from({ length: 100 }, (_, i) => [{ op: "add" as const, path: `/${i}`, value: item(i + 1) }])]
        )
        const error = yield* Effect.flip(client.Add(item(-2)))
        assert.deepStrictEqual(error, new Nope({ why: "-2 is below zero" }))
        const dead = yield* Effect.flip(client.Die())
        assert.strictEqual(dead._tag, "Crashed")
        assert.notInclude(JSON.stringify(dead), "swordfish")
        // Interrupting it unmounts the view.
        yield* Fiber.interrupt(following)
        yield* client.Add(item(101))
        assert.strictEqual(seen.length, 101)
        // The watcher of the connection, and that of the view, which stays for a while.
        assert.strictEqual((yield* info()).watchers, 2)
        yield* TestSessions.elapse("2 minutes")
        assert.strictEqual((yield* info()).watchers, 1)
      }))))

  it.effect("gets errors for unknown names, and the end of the session", () =>
    room({}, (room) =>
      Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(room)
        const unknown = yield* Effect.flip(Stream.runDrain(client["live.view"]({ view: "nope" })))
        assert.deepInclude(unknown, { _tag: "Unknown", name: "nope" })
        const seen: Array<Live.Event> = []
        const following = yield* Effect.forkChild(Effect.flip(
          Stream.runForEach(client["live.view"]({ view: "text" }), (event) => Effect.sync(() => seen.push(event)))
        ))
        yield* until(Effect.sync(() => seen.length === 1))
        yield* (yield* cart()).end()
        assert.deepInclude(yield* Fiber.join(following), { _tag: "SessionGone", reason: "Stopped" })
      }))))

  it.effect("continues from a position", () =>
    room({}, (room) =>
      Effect.scoped(Effect.gen(function*() {
        const client = yield* connect(room)
        const { epoch, version } = yield* Effect.map(
          Stream.runHead(client["live.view"]({ view: "items" })),
          (event) => event._tag === "Some" ? event.value : assert.fail()
        )
        yield* client.Add(item(1))
        const back = yield* Stream.runHead(client["live.view"]({ view: "items", after: { epoch, version } }))
        assert.deepInclude(back, { _tag: "Some" })
        assert.deepInclude((back as { value: Live.Event }).value, {
          _tag: "patch",
          from: version,
          version: version + 1
        })
      }))))
})

describe("actions", () => {
  it.effect("that come again are answered from memory, on another connection too", () =>
    room({ kind: { remember: { answers: 2 } } }, (room) =>
      Effect.gen(function*() {
        const one = yield* room.connect()
        for (let n = 1; n <= 3; n++) assert.deepStrictEqual(yield* one.act("Add", item(n), once(n)), { success: n })
        const two = yield* room.connect()
        one.socket.terminate()
        assert.deepStrictEqual(yield* two.act("Add", item(3), once(3, { [Live.headers.again]: "true" })), {
          success: 3
        })
        assert.deepStrictEqual(yield* two.act("Add", item(2), once(2)), { success: 2 })
        assert.deepInclude(yield* two.act("Add", item(1), once(1)), { _tag: "ActionForgotten", sequence: 1 })
        assert.deepInclude(yield* two.act("Add", item(5), once(5)), { _tag: "ActionOutOfOrder", expected: 4 })
        const { epoch } = yield* info()
        const stale = { [Live.headers.client]: "other", [Live.headers.again]: "true" }
        assert.deepInclude(
          yield* two.act("Add", item(1), once(1, { ...stale, [Live.headers.epoch]: String(epoch - 1) })),
          { _tag: "ActionForgotten" }
        )
        assert.deepStrictEqual(
          yield* two.act("Add", item(4), once(1, { ...stale, [Live.headers.epoch]: String(epoch) })),
          { success: 4 }
        )
        // Without headers each is one of its own.
        assert.deepStrictEqual(yield* two.act("Add", item(4)), { success: 5 })
        assert.deepStrictEqual((yield* info()).state.items.map(({ id }) => id), [1, 2, 3, 4, 4])
      })))

  it.effect("under way when the connection broke are done, and their answer is there for the next", () => {
    const gate = Deferred.makeUnsafe<void>()
    return room({ gate }, (room) =>
      Effect.gen(function*() {
        const one = yield* room.connect()
        yield* one.ask("Wait", undefined, once(1))
        yield* one.ask("Add", item(1), once(2))
        yield* one.sync
        one.socket.terminate()
        const two = yield* room.connect()
        yield* two.ask("Add", item(1), once(2, { [Live.headers.again]: "true" }))
        yield* two.sync
        yield* Deferred.succeed(gate, undefined)
        assert.deepStrictEqual(yield* two.answer, { success: 1 })
        assert.strictEqual((yield* info()).state.items.length, 1)
      }))
  })

  it.effect("with invalid headers are refused, and have no effect", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const bad: ReadonlyArray<Record<string, string>> = [
          { [Live.headers.client]: "a" },
          { [Live.headers.sequence]: "1" },
          once(0),
          once(-1),
          once(1.5),
          once(1, { [Live.headers.client]: "" }),
          once(1, { [Live.headers.client]: "x".repeat(65) }),
          once(1, { [Live.headers.sequence]: "one" }),
          once(1, { [Live.headers.sequence]: "9".repeat(17) }),
          once(1, { [Live.headers.epoch]: "-1" })
        ]
        for (const headers of bad) {
          assert.deepInclude(yield* peer.act("Add", item(1), headers), { _tag: "InvalidPayload", name: "Add" })
        }
        for (const payload of [undefined, null, {}, { id: "1", name: "x" }, [1], "x"]) {
          assert.deepInclude(yield* peer.act("Add", payload), { _tag: "InvalidPayload", name: "Add" })
        }
        assert.deepStrictEqual((yield* info()).state.items, [])
        assert.deepStrictEqual(yield* peer.act("Add", item(1), once(1)), { success: 1 })
      })))

  it.effect("which are not clients' to do are unknown to them, whatever their name", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        for (const name of ["Whisper", "Nope", "", "__proto__", "constructor", "toString", "Dispatch", "live.nope"]) {
          assert.deepInclude(yield* peer.act(name, "x"), { _tag: "Unknown", name })
        }
        assert.isBelow((yield* peer.act("x".repeat(10_000))).name.length, 100)
        yield* peer.sync
        assert.strictEqual((yield* info()).state.secret, "swordfish")
      })))

  it.effect("of a store are dispatched if they are exposed", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect({}, "/shelf")
        yield* peer.view("counter")
        assert.deepInclude(yield* peer.event, { _tag: "snapshot", state: 0 })
        yield* peer.ask("counter.add", 2)
        assert.deepInclude(yield* peer.event, { patch: [{ op: "replace", path: "", value: 2 }] })
        // The state is sent through views only.
        assert.notInclude(JSON.stringify(yield* peer.answer), "2")
        for (const name of ["counter.hide", "Dispatch"]) {
          assert.deepInclude(yield* peer.act(name), { _tag: "Unknown", name })
        }
        assert.deepInclude(yield* peer.act("counter.add", "x"), { _tag: "InvalidPayload" })
      })))

  it.effect("that fail, fail with their error; those that die, with Crashed and nothing more", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        assert.deepStrictEqual(yield* peer.act("Add", item(-1)), { _tag: "Nope", why: "-1 is below zero" })
        assert.strictEqual(yield* peer.act("Odd"), null)
        const crash = yield* peer.act("Die")
        assert.strictEqual(crash._tag, "Crashed")
        assert.notInclude(JSON.stringify(crash), "swordfish")
      })))

  it.effect("that take too long are Unanswered, too many are Busy", () =>
    room(
      { gate: Deferred.makeUnsafe<void>(), kind: { mailboxCapacity: 1, overflow: "reject" } },
      (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect()
          yield* peer.ask("Wait")
          yield* peer.ask("Say", "a")
          const busy = yield* peer.act("Say", "b")
          assert.strictEqual(busy._tag, "Busy")
          assert.isAbove(busy.retryAfter, 0)
          yield* TestSessions.elapse("5 seconds")
          for (let i = 0; i < 2; i++) assert.strictEqual((yield* peer.answer)._tag, "Unanswered")
        })
    ))

  it.effect("are answered after their changes are sent, although the client has acknowledged nothing", () =>
    room({ socket: { window: 1 } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const items = yield* peer.view("items")
        const total = yield* peer.view("total")
        for (let i = 0; i < 2; i++) yield* peer.event
        for (let n = 1; n <= 10; n++) {
          const id = yield* peer.ask("Add", item(n))
          const told = [yield* peer.next, yield* peer.next, yield* peer.next]
          assert.deepStrictEqual(told.map(({ requestId }) => requestId), [items, total, id])
          for (const { values: [event] } of told.slice(0, 2)) assert.deepInclude(event, { version: n, from: n - 1 })
        }
      })))

  it.effect("are answered in one frame with their changes, for a client that supports it", () =>
    room({ socket: { window: 1 } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const hello = yield* peer.ask("live.hello", null, { "live-parts": "true" })
        assert.strictEqual((yield* peer.next).requestId, hello)
        const views = [yield* peer.view("items"), yield* peer.view("total")]
        for (let i = 0; i < 2; i++) yield* peer.event
        for (let n = 1; n <= 10; n++) {
          peer.frames.length = 0
          const id = yield* peer.ask("Add", item(n))
          const told = [yield* peer.next, yield* peer.next, yield* peer.next]
          assert.deepStrictEqual(told.map(({ requestId }) => requestId), [...views, id])
          assert.strictEqual(peer.frames.length, 1)
        }
      })))

  it.effect("that are interrupted are answered so, once", () =>
    room({ gate: Deferred.makeUnsafe<void>() }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const id = yield* peer.ask("Wait")
        for (let i = 0; i < 3; i++) yield* peer.send({ _tag: "Interrupt", requestId: id })
        assert.strictEqual((yield* peer.answer)._tag, "Interrupt")
        yield* peer.sync
      })))

  it.effect("that want no answer get none", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const request = { _tag: "Request", id: 1, tag: "Add", payload: item(1), headers: [], isNotification: true }
        yield* peer.send(request)
        yield* until(Effect.map(info(), ({ state }) => state.items.length === 1))
        yield* peer.sync
      })))
})

describe("views", () => {
  it.effect("of one connection are sent side by side, each under its own id", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const ids = [
          yield* peer.view("items"),
          yield* peer.view("total"),
          yield* peer.view("text"),
          yield* peer.view("text")
        ]
        for (const requestId of ids) assert.deepInclude(yield* peer.next, { _tag: "Chunk", requestId })
        yield* say("hello")
        for (const requestId of ids.slice(2)) {
          const { requestId: of, values } = yield* peer.next
          assert.strictEqual(of, requestId)
          assert.deepInclude(values[0], { _tag: "patch", patch: [{ op: "replace", path: "", value: "hello" }] })
        }
        yield* peer.sync
      })))

  it.effect("are conflated when the client does not acknowledge, after as many chunks as the window has", () =>
    room({ socket: { window: 3 } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const id = yield* peer.view("text")
        assert.deepInclude(yield* peer.event, { _tag: "snapshot", version: 0 })
        for (let n = 1; n <= 100; n++) yield* say(`text ${n}`)
        assert.deepInclude(yield* peer.event, { from: 0, version: 1 })
        assert.deepInclude(yield* peer.event, { from: 1, version: 2 })
        yield* peer.sync
        yield* peer.ack(id)
        assert.deepInclude(yield* peer.event, {
          from: 2,
          version: 100,
          patch: [{ op: "replace", path: "", value: "text 100" }]
        })
        yield* peer.sync
        // Acknowledging more than there was makes the window no wider.
        for (let i = 0; i < 50; i++) yield* peer.ack(id)
        yield* peer.sync
        for (let n = 101; n <= 110; n++) yield* say(`text ${n}`)
        for (const version of [101, 102, 103]) assert.deepInclude(yield* peer.event, { version })
        yield* peer.sync
      })))

  it.effect("of one window do not hold up each other", () =>
    room({ socket: { window: 1 } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        yield* peer.view("text")
        const total = yield* peer.view("total")
        for (let i = 0; i < 2; i++) yield* peer.event
        yield* say("x")
        yield* peer.ack(total)
        yield* add(1)
        assert.deepInclude(yield* peer.next, { requestId: total })
        yield* peer.sync
      })))

  it.effect("cost the same however much a client misses that does not read, and are complete when it does", () =>
    room({ socket: { window: 1_000_000, heartbeat: "10 hours" } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        yield* peer.view("text")
        let { state } = yield* peer.event
        const [socket] = room.nodes.sockets
        const { clear } = yield* TestSessions.Recorder
        yield* say("x".repeat(4_000))
        yield* peer.event
        peer.socket.pause()
        const before = heap()
        let most = 0
        for (let n = 1; n <= 10_000; n++) {
          yield* say(`${n} ${"x".repeat(4_000)}`)
          most = Math.max(most, socket!.writableLength)
          if (n % 50 === 0) {
            yield* turn
            yield* clear
          }
        }
        // What waits in the kernel is the system's; of ours there is a little.
        assert.isAbove(most, 64 * 1024 - 1)
        assert.isBelow(most, 64 * 1024 + 5_000)
        const after = heap()
        assert.isBelow(after - before, 8 * 1024 * 1024)
        peer.socket.resume()
        let events = 0
        let version = 1
        while (version < 10_001) {
          const event = yield* peer.event
          assert.strictEqual(event.from, version)
          state = applyPatch(state, event.patch, true).newDocument
          version = event.version
          events++
        }
        assert.strictEqual(state, `10000 ${"x".repeat(4_000)}`)
        assert.isBelow(events, 10_000)
        yield* peer.sync
      })))

  it.effect("that waited behind a large answer are sent when it has gone", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        yield* peer.view("text")
        yield* peer.event
        peer.socket.pause()
        const [socket] = room.nodes.sockets
        const size = 16 * 1024 * 1024
        yield* peer.ask("Big", size)
        // All that the system takes is written, and no more than a part beyond it.
        yield* until(Effect.sync(() => socket!.writableLength > 16_000))
        assert.isBelow(socket!.writableLength, 17_000)
        yield* say("news")
        peer.socket.resume()
        assert.strictEqual((yield* peer.answer).success.length, size)
        assert.deepInclude(yield* peer.event, { version: 1, patch: [{ op: "replace", path: "", value: "news" }] })
      })))

  it.effect("that are interrupted send nothing more, and their id is free", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const id = yield* peer.view("text")
        const { epoch, version } = yield* peer.event
        yield* peer.send({ _tag: "Interrupt", requestId: id })
        assert.strictEqual((yield* peer.answer)._tag, "Interrupt")
        yield* say("x")
        yield* peer.sync
        yield* peer.send({
          _tag: "Request",
          id,
          tag: "live.view",
          payload: { view: "text", after: { epoch, version } },
          headers: []
        })
        assert.deepInclude(yield* peer.event, { _tag: "patch", from: 0, version: 1 })
      })))

  it.effect("go on after a crash and after a reset", () =>
    room(
      { kind: { supervision: Supervision.reset({ maxCrashes: 5, backoff: () => 0 }) } },
      (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect()
          yield* peer.view("total")
          const { epoch } = yield* peer.event
          yield* add(1)
          yield* peer.event
          yield* peer.ask("Die")
          const [told, answer] = [yield* peer.next, yield* peer.next].toSorted((a, b) => a._tag < b._tag ? -1 : 1)
          assert.deepInclude(told.values[0], { _tag: "snapshot", version: 0, state: 0 })
          assert.isAbove(told.values[0].epoch, epoch)
          assert.strictEqual(answer._tag, "Exit")
        })
    ))

  it.effect("whose selector throws end with ViewFailed without the message of the defect, and others go on", () =>
    room({
      views: {
        select: {
          ...select,
          total: () => {
            throw new Error("the password is swordfish")
          }
        }
      }
    }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        yield* peer.view("text")
        yield* peer.event
        yield* peer.view("total")
        const refusal = yield* peer.answer
        assert.deepInclude(refusal, { _tag: "ViewFailed", name: "total" })
        assert.notInclude(JSON.stringify(refusal), "swordfish")
        yield* say("x")
        assert.deepInclude(yield* peer.event, { version: 1 })
      })))
})

describe("`allow`", () => {
  it.effect("says who may see and do what, by its token, and is asked each time", () =>
    room({
      socket: {
        allow: (name, { claims, session }) => {
          assert.strictEqual(session.kind, "Cart")
          if (name === "items" || name === "Add") return Effect.succeed(claims?.["admin"] === true)
          return name === "text"
        }
      }
    }, (room) =>
      Effect.gen(function*() {
        const ada = yield* room.connect()
        for (const name of ["items", "total"]) {
          yield* ada.view(name)
          assert.deepInclude(yield* ada.answer, { _tag: "Forbidden", name })
        }
        // What there is not is as forbidden as what is.
        for (const name of ["Add", "Die", "Nope", "Whisper"]) {
          assert.deepInclude(yield* ada.act(name, item(1)), { _tag: "Forbidden", name })
        }
        yield* ada.view("text")
        assert.deepInclude(yield* ada.event, { _tag: "snapshot" })
        const admin = yield* room.connect({ admin: true })
        assert.deepStrictEqual(yield* admin.act("Add", item(1)), { success: 1 })
        yield* admin.view("items")
        assert.deepInclude(yield* admin.event, { state: [item(1)] })
        assert.strictEqual((yield* info()).state.items.length, 1)
      })))

  it.effect("is asked again when user or metadata of the session change: what is not for it any more ends", () =>
    room({
      socket: {
        allow: (name, { session }) =>
          name === "text" || Effect.match(session.info, {
            onFailure: () => false,
            onSuccess: ({ metadata, user }) => {
              if (metadata["broken"] === true) throw new Error("a bug")
              return user === "ada" && metadata["fired"] !== true
            }
          })
      }
    }, (room) =>
      Effect.gen(function*() {
        yield* (yield* Cart).start("ada", { user: "ada" })
        const ref = yield* cart()
        const see = Effect.gen(function*() {
          const peer = yield* room.connect()
          for (const name of ["text", "items", "total"]) {
            yield* peer.view(name)
            assert.deepInclude(yield* peer.event, { _tag: "snapshot" })
          }
          return peer
        })
        const ends = (peer: Peer) =>
          Effect.gen(function*() {
            for (const name of ["items", "total"]) {
              assert.deepInclude(yield* peer.answer, { _tag: "Forbidden", name })
            }
            yield* ref.call("Add", item((yield* ref.state).items.length + 1))
            yield* say(`${(yield* ref.state).items.length}`)
            assert.deepInclude(yield* peer.event, { _tag: "patch" })
            assert.deepInclude(yield* peer.act("Add", item(0)), { _tag: "Forbidden" })
          })
        yield* ref.setMetadata({ seen: true })
        const first = yield* see
        yield* ref.setMetadata({ seen: false })
        yield* first.sync
        yield* ref.setMetadata({ fired: true })
        yield* ends(first)
        yield* ref.setMetadata({ fired: false })
        const second = yield* see
        yield* ref.setUser("eve")
        yield* ends(second)
        yield* ref.setUser("ada")
        const third = yield* see
        yield* ref.setMetadata({ broken: true })
        for (const name of ["items", "total"]) assert.deepInclude(yield* third.answer, { _tag: "Forbidden", name })
      })))
})

describe("the time of a token", () => {
  it.effect("over, closes the connection with 3000, unless another one came in time", () =>
    room(
      { socket: { allow: (name, { claims }) => name !== "items" || claims?.["admin"] === true } },
      (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect({ exp: 60, admin: true })
          const other = yield* room.connect({ exp: 60 })
          for (const name of ["text", "items"]) {
            yield* peer.view(name)
            yield* peer.event
          }
          yield* peer.ask("live.hello")
          assert.deepInclude((yield* peer.answer).success, { tokenExpiresIn: 60_000 })
          yield* TestSessions.elapse("30 seconds")
          const renew = (claims: { readonly exp: number; readonly sub?: string }) =>
            Effect.gen(function*() {
              const { headers } = yield* Effect.promise(() => bearer(claims))
              yield* peer.ask("live.token", { token: headers.authorization.slice(7) })
              return yield* peer.next
            })
          for (const bad of [{ exp: 20 }, { exp: 120, sub: "eve" }]) {
            assert.deepInclude(JSON.stringify(yield* renew(bad)), "Forbidden")
          }
          // It has fewer rights: what they were for is over.
          const [one, two] = [yield* renew({ exp: 120 }), yield* peer.next]
          const both = JSON.stringify([one, two])
          assert.include(both, "\"expiresIn\":90000")
          assert.include(both, "\"Forbidden\"")
          yield* TestSessions.elapse("30 seconds")
          assert.deepStrictEqual(yield* other.end, { code: 3000, reason: "expired" })
          yield* peer.sync
          yield* TestSessions.elapse("60 seconds")
          assert.deepStrictEqual(yield* peer.end, { code: 3000, reason: "expired" })
        })
    ))

  it.effect("is none of a cookie's", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie } = yield* room.cookie("/start")
        const peer = room.dial("/page", { headers: { cookie } })
        yield* Effect.promise(() => peer.opened)
        yield* peer.ask("live.hello")
        assert.notProperty((yield* peer.answer).success, "tokenExpiresIn")
        yield* peer.ask("live.token", { token: "x" })
        assert.deepInclude(yield* peer.answer, { _tag: "Forbidden" })
      })))
})

describe("the end", () => {
  const reasons: ReadonlyArray<EndReason.EndReason> = [
    EndReason.stopped(),
    { _tag: "Disconnected" },
    { _tag: "Evicted" },
    { _tag: "Moved" },
    EndReason.crashed(new Error("swordfish")),
    EndReason.shutdown
  ] as ReadonlyArray<EndReason.EndReason>
  it.effect.each(reasons.map((reason) => ({ tag: reason._tag, reason })))(
    "of the session is sent to each view and action, and as the close code: $tag",
    ({ reason, tag }) =>
      room({ gate: Deferred.makeUnsafe<void>() }, (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect()
          const ids = [yield* peer.view("items"), yield* peer.view("text")]
          for (const _ of ids) yield* peer.event
          ids.push(yield* peer.ask("Wait"))
          yield* peer.sync
          yield* (yield* cart()).end({ reason, drain: false })
          const exits = [yield* peer.next, yield* peer.next, yield* peer.next]
          assert.sameMembers(exits.map(({ requestId }) => requestId), ids)
          for (const { exit } of exits) {
            assert.deepInclude(exit.cause[0].error, { _tag: "SessionGone", reason: tag })
          }
          assert.deepStrictEqual(yield* peer.end, { code: CloseCode.ofEnd(reason, false), reason: tag.toLowerCase() })
          yield* until(Effect.map(Effect.flatMap(Connections, (connections) => connections.count), (n) => n === 0))
        }))
  )

  it.effect("of a session that expires comes by itself", () =>
    room({ kind: { idleTimeout: "10 minutes" } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        yield* peer.view("text")
        yield* peer.event
        yield* TestSessions.elapse("10 minutes")
        assert.deepInclude(yield* peer.answer, { _tag: "SessionGone", reason: "Expired" })
        assert.strictEqual((yield* peer.end).code, 1000)
      })))

  it.effect("comes after the last change", () =>
    room({ socket: { window: 1 } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        yield* peer.view("text")
        yield* peer.event
        yield* say("last words")
        yield* (yield* cart()).end()
        assert.deepInclude(yield* peer.event, { patch: [{ op: "replace", path: "", value: "last words" }] })
        assert.deepInclude(yield* peer.answer, { _tag: "SessionGone", reason: "Stopped" })
      })))

  it.effect("of the cookie disconnects the clients that came with it, not those that came with the new one", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie, id } = yield* room.cookie("/start")
        const peer = room.dial("/page", { headers: { cookie } })
        yield* Effect.promise(() => peer.opened)
        yield* peer.view("text")
        assert.deepInclude(yield* peer.event, { _tag: "snapshot" })
        const rotated = yield* room.cookie("/rotate", cookie)
        assert.deepStrictEqual(yield* peer.end, { code: 3000, reason: "replaced" })
        // The new cookie may be on its way: a client that connects too early connects again.
        const early = yield* Effect.promise(() => room.dial("/page", { headers: { cookie } }).refused)
        assert.deepInclude(early, { status: 409 })
        yield* TestClock.adjust("10 seconds")
        const old = room.dial("/page", { headers: { cookie } })
        assert.deepStrictEqual(yield* old.end, { code: 1008, reason: "NoSession" })
        const back = room.dial("/page", { headers: { cookie: rotated.cookie } })
        yield* Effect.promise(() => back.opened)
        yield* back.sync
        yield* until(Effect.map(info(id), ({ connections }) => connections === 1))
      })))

  it.effect("of the server closes with 1001", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const nodes = new Nodes()
      const context = yield* Layer.buildWithScope(layer({}, nodes), scope)
      const { address } = yield* Effect.provide(HttpServer.HttpServer, context)
      const room = new Room("port" in address ? address.port : 0, nodes)
      const peers = [yield* room.connect(), yield* room.connect({ sub: "bob" })]
      for (const peer of peers) {
        yield* peer.view("text")
        yield* peer.event
      }
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      for (const peer of peers) assert.strictEqual((yield* peer.end).code, 1001)
      yield* until(Effect.andThen(TestClock.adjust("50 millis"), Effect.sync(() => closing.pollUnsafe() !== undefined)))
      assert.strictEqual(nodes.sockets.size, 0)
    }))
})

describe("is not admitted", () => {
  it.effect("a client without a session: closed with 1008 and the reason", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const nobody = room.dial("/live")
        assert.deepStrictEqual(yield* nobody.end, { code: 1008, reason: "NoSession" })
        const liar = room.dial("/live", { query: "?token=abc" })
        assert.deepStrictEqual(yield* liar.end, { code: 1008, reason: "InvalidToken" })
        const page = room.dial("/page", { headers: { cookie: "visitor=forged" } })
        assert.deepStrictEqual(yield* page.end, { code: 1008, reason: "NoSession" })
        const { count } = yield* (yield* Sessions).count
        assert.strictEqual(count, 0)
        yield* until(Effect.map(Effect.flatMap(Connections, (connections) => connections.count), (n) => n === 0))
      })))

  it.effect("another origin: 403", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie } = yield* room.cookie("/start")
        const refusal = yield* Effect.promise(() =>
          room.dial("/page", { headers: { cookie }, origin: "https://evil.example" }).refused
        )
        assert.strictEqual(refusal.status, 403)
        const own = room.dial("/page", { headers: { cookie }, origin: room.url })
        yield* Effect.promise(() => own.opened)
        yield* own.sync
      })))

  it.effect("a client with as many connections as are allowed: 429", () =>
    room({ perOwner: 2 }, (room) =>
      Effect.gen(function*() {
        const one = yield* room.connect()
        yield* room.connect()
        const how = yield* Effect.promise(() => bearer())
        const refusal = yield* Effect.promise(() => room.dial("/live", how).refused)
        assert.strictEqual(refusal.status, 429)
        assert.strictEqual(refusal.json._tag, "TooManyConnections")
        yield* one.leave
        yield* until(Effect.map(info(), ({ connections }) => connections === 1))
        yield* (yield* room.connect()).sync
      })))
})

describe("a client that misbehaves", () => {
  const closes = (code: number, frames: ReadonlyArray<string | Buffer>, setup: Parameters<typeof room>[0] = {}) =>
    room(setup, (room) =>
      Effect.gen(function*() {
        for (const frame of frames) {
          const peer = yield* room.connect()
          peer.socket.send(frame)
          assert.strictEqual((yield* peer.end).code, code, String(frame).slice(0, 100))
        }
        // The session has not noticed, and nothing is left.
        yield* allGone()
        assert.deepStrictEqual((yield* info()).state.items, [])
        assert.isUndefined(({} as any).polluted)
      }))

  it.effect("with what is no message is closed with 1008", () =>
    closes(1008, [
      "{",
      "hello",
      "1",
      "null",
      "\"Ping\"",
      "[[]]",
      "[null]",
      "{}",
      "[".repeat(60_000),
      `{"_tag":"Nope"}`,
      `{"_tag":"__proto__"}`,
      `{"_tag":"Request"}`,
      `{"_tag":"Request","id":1,"tag":"Add","payload":{"id":1,"name":"x"}}`,
      `{"_tag":"Request","id":{},"tag":"Add","payload":{"id":1,"name":"x"},"headers":[]}`,
      `{"_tag":"Request","id":1,"tag":7,"headers":[]}`,
      `{"_tag":"Request","id":1,"tag":"Add","payload":{"id":1,"name":"x"},"headers":{}}`,
      `{"_tag":"Request","id":1,"tag":"Add","payload":{"id":1,"name":"x"},"headers":["live-client"]}`,
      `{"_tag":"Request","id":1,"tag":"Add","payload":{"id":1,"name":"x"},"headers":[["live-client",["a"]],["live-sequence","1"]]}`,
      `{"_tag":"Request","id":1,"tag":"Add","payload":{"id":1,"name":"x"},"headers":[["live-client",null],["live-sequence",1]]}`,
      `{"_tag":"Ping"}\n{`
    ]))

  it.effect("with an id that is in use is closed with 1008", () =>
    room({ gate: Deferred.makeUnsafe<void>() }, (room) =>
      Effect.gen(function*() {
        for (const tag of ["Wait", "live.view"]) {
          for (const again of ["Wait", "live.view"]) {
            const peer = yield* room.connect()
            for (const [i, name] of [tag, again].entries()) {
              const payload = name === "Wait" ? null : { view: i === 0 ? "text" : "items" }
              yield* peer.send({ _tag: "Request", id: 1, tag: name, payload, headers: [] })
            }
            assert.deepStrictEqual(yield* peer.end, { code: 1008, reason: "an id is used twice" })
          }
        }
        yield* allGone()
      })))

  it.effect("with a frame that is too large is closed with 1009, with a binary one with 1003", () =>
    Effect.andThen(
      closes(1009, ["x".repeat(1_001)], { socket: { maxFrameSize: 1_000 } }),
      closes(1003, [Buffer.from(`{"_tag":"Ping"}`)])
    ))

  it.effect("with a name or a payload of an object's prototype is answered like any other", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        for (const tag of ["__proto__", "constructor", "hasOwnProperty"]) {
          yield* peer.send(`{"_tag":"Request","id":"${tag}","tag":"${tag}","payload":{"__proto__":{}},"headers":[]}`)
          assert.deepInclude(yield* peer.answer, { _tag: "Unknown", name: tag })
          yield* peer.view(tag)
          assert.deepInclude(yield* peer.answer, { _tag: "Unknown", name: tag })
        }
        const add = `{"id":1,"name":"x","__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}`
        yield* peer.send(`{"_tag":"Request","id":7,"tag":"Add","payload":${add},"headers":[["__proto__","x"]]}`)
        assert.deepStrictEqual(yield* peer.answer, { success: 1 })
        for (
          const payload of ["{}", "null", "5", `{"view":7}`, `{"view":{"toString":null}}`, `{"view":"text","after":{}}`]
        ) {
          yield* peer.send(`{"_tag":"Request","id":8,"tag":"live.view","payload":${payload},"headers":[]}`)
          assert.strictEqual((yield* peer.answer)._tag, "Unknown", payload)
        }
        yield* peer.send(`{"_tag":"Ack","requestId":{}}\n{"_tag":"Interrupt","requestId":"__proto__"}`)
        yield* peer.sync
        assert.isUndefined(({} as any).polluted)
        assert.deepStrictEqual(Object.keys((yield* info()).state.items[0]!), ["id", "name"])
      })))

  it.effect("by sending too much gets Busy, and is disconnected when it goes on", () =>
    room({ socket: { messageRate: { limit: 10, window: "10 seconds" } } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        for (let n = 1; n <= 10; n++) assert.deepStrictEqual(yield* peer.act("Add", item(n)), { success: n })
        const busy = yield* peer.act("Add", item(11))
        assert.strictEqual(busy._tag, "Busy")
        assert.isAbove(busy.retryAfter, 0)
        assert.strictEqual((yield* peer.act("Nope"))._tag, "Busy")
        // A client that waits as long as Busy says may go on.
        yield* TestClock.adjust(busy.retryAfter)
        assert.deepStrictEqual(yield* peer.act("Add", item(11)), { success: 11 })
        for (let n = 0; n < 1_100; n++) yield* peer.ask("Add", item(12))
        assert.deepStrictEqual(yield* peer.end, { code: 1008, reason: "too many messages" })
        assert.isBelow((yield* info()).state.items.length, 30)
        // Others are not concerned.
        yield* (yield* room.connect()).sync
      })))

  it.effect("by mounting too many views is closed with 1008", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        for (let n = 0; n < 100; n++) yield* peer.view("text")
        for (let n = 0; n < 100; n++) yield* peer.event
        yield* peer.sync
        yield* peer.view("text")
        assert.deepStrictEqual(yield* peer.end, { code: 1008, reason: "too many views" })
        yield* allGone()
      })))
})

it.effect("a frame may have several messages: a line each, and arrays", () =>
  room({}, (room) =>
    Effect.gen(function*() {
      const peer = yield* room.connect()
      const request = (id: number) =>
        JSON.stringify({ _tag: "Request", id, tag: "Add", payload: item(id), headers: [] })
      yield* peer.send(`[${request(1)},{"_tag":"Ping"}]\n\n${request(2)}\n[]\n[${request(3)}]`)
      const told = yield* Effect.forEach([1, 2, 3, 4], () => peer.next)
      assert.deepStrictEqual(told.flatMap(({ exit }) => exit === undefined ? [] : [exit.value]), [1, 2, 3])
      assert.strictEqual(told.filter(({ _tag }) => _tag === "Pong").length, 1)
      yield* peer.send(`{"_tag":"Eof"}`)
      assert.strictEqual((yield* peer.end).code, 1000)
    })))

it.effect("nothing is left of 200 connections that came and went", () =>
  room({ gate: Deferred.makeUnsafe<void>(), perOwner: 1_000 }, (room) =>
    Effect.gen(function*() {
      yield* (yield* Cart).start("ada", { user: "ada" })
      for (let round = 0; round < 10; round++) {
        const peers = yield* Effect.forEach(Array.from({ length: 20 }), () => room.connect(), { concurrency: 20 })
        yield* Effect.forEach(peers, (peer: Peer, i) =>
          Effect.gen(function*() {
            yield* peer.view("text")
            yield* peer.view("items")
            if (i % 4 === 0) yield* peer.ask("Say", `${i}`)
            if (i % 4 === 1) yield* peer.ask("live.hello")
            // Some go before anything was sent.
            if (i % 3 > 0) yield* peer.event
            if (i % 2 === 0) peer.socket.terminate()
            else peer.socket.close()
          }), { discard: true })
        yield* Effect.forEach(peers, (peer) => peer.end)
      }
      yield* allGone()
      yield* until(Effect.sync(() => room.nodes.sockets.size === 0))
      yield* TestSessions.elapse("2 minutes")
      assert.deepInclude(yield* info(), { watchers: 0, connections: 0, mailbox: 0 })
      const { of } = yield* TestSessions.Recorder
      assert.strictEqual((yield* of("Subscribe")).length, (yield* of("Unsubscribe")).length)
    })))

it.effect("a session that cannot be loaded now is Busy, for hello and for views, and the connection stays", () => {
  const byToken = Admission.token({ kind: Cart })
  const unloaded = Effect.fail(SessionError.StoreUnavailable.of("Cart", "ada", "it is down"))
  /** The session of a client, which cannot be loaded for its first `hello` and its first view. */
  const flaky = (admitted: Admission.Admitted): Admission.Admitted => {
    const { session } = admitted
    let [infos, watches] = [0, 0]
    const failing: typeof session = Object.create(session, {
      info: { get: () => infos++ === 0 ? unloaded : session.info },
      // The first one is the connection's own.
      watch: { value: (watcher: never) => watches++ === 1 ? unloaded : session.watch(watcher) }
    })
    return { ...admitted, session: failing }
  }
  const session: typeof byToken = {
    ...byToken,
    make: Effect.map(byToken.make, (authenticator) => ({
      ...authenticator,
      connect: (request, listener) => Effect.map(authenticator.connect(request, listener), flaky)
    }))
  }
  return room(
    { socket: { session: session as Admission.Admission<"Cart", never> } },
    Effect.fnUntraced(function*(room) {
      const peer = yield* room.connect()
      assert.deepInclude(yield* peer.act("live.hello"), { _tag: "Busy", retryAfter: 1_000 })
      yield* peer.view("text")
      assert.deepInclude(yield* peer.answer, { _tag: "Busy", retryAfter: 1_000 })
      assert.deepInclude((yield* peer.act("live.hello")).success, { epoch: 1 })
      yield* peer.view("text")
      assert.deepInclude(yield* peer.event, { _tag: "snapshot", state: "" })
    })
  )
})

describe("without @effect/platform-node", () => {
  const driver = "@effect/platform-node/NodeWS"
  afterEach(() => {
    vi.doUnmock(driver)
  })

  it.effect("a route is InvalidConfig that names the package and says how to install it", () =>
    Effect.gen(function*() {
      vi.doMock(driver, () => {
        throw new Error("Cannot find package")
      })
      const error = yield* Effect.flip(room({}, () => Effect.void))
      assert.deepInclude(error, { _tag: "InvalidConfig", setting: "@effect/platform-node" })
      assert.include(error.message, "npm install @effect/platform-node")
    }))
})

it.effect("an option that is not usable is InvalidConfig", () =>
  Effect.gen(function*() {
    const bad: ReadonlyArray<readonly [string, object]> = [
      ["live.window", { window: 0 }],
      ["live.window", { window: 1.5 }],
      ["live.heartbeat", { heartbeat: 0 }],
      ["live.maxFrameSize", { maxFrameSize: 0 }],
      ["live.messageRate.limit", { messageRate: { limit: 0, window: "1 second" } }],
      ["live.messageRate.window", { messageRate: { limit: 1, window: "never" } }]
    ]
    for (const [setting, options] of bad) {
      const routes = LiveSocket.layer(CartLive, { path: "/x", session: Admission.token({ kind: Cart }), ...options })
        .pipe(
          Layer.provide(LiveViews.layer(CartLive, { select })),
          Layer.provide(HttpRouter.layer)
        )
      const error = yield* Effect.flip(Layer.build(routes as unknown as Layer.Layer<never, SessionError.InvalidConfig>))
      assert.deepInclude(error, { _tag: "InvalidConfig", setting })
    }
  }).pipe(Effect.scoped))
