/** What comes from outside, and what goes wrong in a handler, ends one connection at most, and says whose it was. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Logger, Scope } from "effect"
import { Connections } from "effect-sessions/http"
import { CloseCode } from "effect-sessions/socket"
import { TestClock } from "effect/testing"
import * as Http from "node:http"
import * as Live from "./liveServer.ts"
import * as Socket from "./socketServer.ts"

const { turn, until } = Socket

/** What was logged, as text. */
const logs = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ cause, message }) => {
      lines.push(`${String(message)} ${Cause.pretty(cause)}`)
    })
  ])
  return { lines, layer }
}

const nested = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`

describe("JSON that is nested too deep", () => {
  it.effect("is no message of a SessionSocket: 64 levels are if nothing else is said", () =>
    Socket.room({}, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        for (
          const [levels, tag] of [[62, "UnknownMessage"], [63, "UnknownMessage"], [64, "InvalidMessage"], [
            6_000,
            "InvalidMessage"
          ]] as const
        ) {
          yield* client.send(`{"type":${nested(levels)}}`)
          assert.strictEqual((yield* client.next).error._tag, tag, String(levels))
        }
        // Brackets in a text are none.
        yield* client.send(JSON.stringify({ type: `\\"${"[".repeat(100)}` }))
        assert.strictEqual((yield* client.next).error._tag, "UnknownMessage")
        yield* client.sync
      })))

  it.effect("is so for each route as it says", () =>
    Socket.room({ socket: { maxDepth: 1 } }, (room) =>
      Effect.gen(function*() {
        const client = yield* room.connect()
        yield* client.next
        yield* client.sync
        yield* client.send(`{"type":[]}`)
        assert.strictEqual((yield* client.next).error._tag, "InvalidMessage")
      })))

  it.effect("is refused as the payload of one action or view of a LiveSocket, and all others are done", () =>
    Live.room({}, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const deep = nested(8_000)
        yield* peer.send(
          `[{"_tag":"Request","id":"a","tag":"Say","payload":${deep},"headers":[]},` +
            `{"_tag":"Request","id":"b","tag":"live.view","payload":{"view":${deep}},"headers":[]},` +
            `{"_tag":"Request","id":"c","tag":"Nope","payload":{"x":${deep}},"headers":[]},` +
            `{"_tag":"Request","id":"d","tag":"Add","payload":{"id":1,"name":"x"},"headers":[]}]`
        )
        const told = new Map<string, any>()
        for (let i = 0; i < 4; i++) {
          const { exit, requestId } = yield* peer.next
          told.set(requestId, exit._tag === "Success" ? exit.value : exit.cause[0].error._tag)
        }
        assert.deepStrictEqual(Object.fromEntries(told), {
          a: "InvalidPayload",
          b: "Unknown",
          c: "InvalidPayload",
          d: 1
        })
        yield* peer.sync
      })))

  it.effect("is refused by LiveHttp with 400", () =>
    Live.room({ http: { maxDepth: 2 } }, (room) =>
      Effect.gen(function*() {
        const { headers } = yield* Effect.promise(() => Live.bearer())
        for (const body of [nested(3), nested(20_000)]) {
          const answer = yield* room.fetch("/sse/Say", { method: "POST", body, headers })
          assert.strictEqual(answer.status, 400)
          assert.include(yield* Effect.promise(() => answer.text()), "deeper than 2")
        }
        const good = yield* room.fetch("/sse/Say", { method: "POST", body: `"[[[["`, headers })
        assert.strictEqual(good.status, 204)
      })))
})

describe("a state that cannot be sent", () => {
  it.effect("closes the sockets that wait for it with 1011, logs its session, and affects no other", () => {
    const { layer, lines } = logs()
    return Socket.room({
      socket: {
        view: (state) => {
          if (state.text === "secret") throw new Error("it cannot be encoded")
          return state
        }
      }
    }, (room) =>
      Effect.gen(function*() {
        const member = yield* Socket.Member
        const bystander = yield* room.connect({ sub: "bob" })
        yield* bystander.next
        const client = yield* room.connect()
        yield* client.next
        client.socket.pause()
        const ada = member.ref("ada")
        const ends = Array.from(room.sockets)
        yield* ada.call("Say", "x".repeat(16 * 1024 * 1024))
        yield* until(Effect.sync(() => ends.some((end) => end.writableLength > 0)))
        // It is sent from a callback of the socket, when the frame before it has gone.
        yield* ada.call("Say", "secret")
        client.socket.resume()
        assert.strictEqual((yield* client.end).code, CloseCode.internalError)
        assert.isTrue(lines.some((line) => line.includes("Member/ada")), lines.join("\n"))
        assert.isFalse(lines.some((line) => line.includes("Member/bob")))
        yield* bystander.sync
        assert.strictEqual(yield* ada.call("Add").pipe(Effect.as("alive")), "alive")
      })).pipe(Effect.provide(layer))
  })

  it.effect("ends a live view with ViewFailed, also where only its JSON is too deep, and over event streams with `failed`", () => {
    const { layer, lines } = logs()
    const deep = JSON.parse(nested(30_000))
    let isDeep = false
    return Live.room(
      { views: { select: { ...Live.select, total: (cart) => isDeep ? deep : cart.items.length } } },
      (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect()
          yield* peer.view("text")
          yield* peer.event
          const total = yield* peer.view("total")
          yield* peer.event
          const { headers } = yield* Effect.promise(() => Live.bearer())
          const stream = yield* room.fetch("/sse?view=total", { headers })
          isDeep = true
          yield* Live.say("x")
          const told = [yield* peer.next, yield* peer.next]
          const exit = told.find(({ requestId }) => requestId === total).exit
          assert.deepInclude(exit.cause[0].error, { _tag: "ViewFailed", name: "total" })
          assert.strictEqual(told.find(({ requestId }) => requestId !== total).values[0].version, 1)
          const text = yield* Effect.promise(() => stream.text())
          assert.include(text, "event: failed")
          assert.include(text, `"view":"total"`)
          assert.isTrue(lines.some((line) => line.includes("total") && line.includes("Cart/ada")), lines.join("\n"))
          yield* peer.sync
          isDeep = false
          yield* peer.view("total")
          assert.deepInclude(yield* peer.event, { _tag: "snapshot", state: 0 })
        })
    ).pipe(Effect.provide(layer))
  })

  it.effect("an `allow` that throws is a defect of that request", () => {
    const { layer, lines } = logs()
    const allow = (name: string) => {
      if (name === "Say" || name === "total") throw new Error("the password is swordfish")
      return true
    }
    return Live.room({ socket: { allow } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        for (const ask of [peer.ask("Say", "x"), peer.view("total")]) {
          yield* ask
          const answer = yield* peer.answer
          assert.strictEqual(answer._tag, "Die")
          assert.notInclude(JSON.stringify(answer), "swordfish")
        }
        assert.strictEqual(lines.filter((line) => line.includes("Cart/ada")).length, 2, lines.join("\n"))
        yield* peer.sync
      })).pipe(Effect.provide(layer))
  })
})

describe("a close that cannot be sent", () => {
  it.effect("is sent as what can be, and leaves no connection", () =>
    Socket.room({
      socket: { receive: ({ code, reason }, { close }) => close(code as number, reason as string) }
    }, (room) =>
      Effect.gen(function*() {
        const euros = "€".repeat(100)
        for (
          const [code, reason, sent, text] of [
            [1000, "bye", 1000, "bye"],
            [4999, "own", 4999, "own"],
            [1005, "none", 1000, "none"],
            [1006, "broken", 1011, "broken"],
            [1015, "", 1011, ""],
            [1004, "", 1011, ""],
            [0, "", 1011, ""],
            [999, "", 1011, ""],
            [2999, "", 1011, ""],
            [5000, "", 1011, ""],
            [1000.5, "", 1011, ""],
            [null, "", 1011, ""],
            ["1000", "", 1011, ""],
            [1008, euros, 1008, "€".repeat(41)],
            [1008, `x${"😀".repeat(40)}`, 1008, `x${"😀".repeat(30)}`]
          ] as const
        ) {
          const client = yield* room.connect()
          yield* client.next
          yield* client.send({ type: "go", code, reason })
          assert.deepStrictEqual(yield* client.end, { code: sent, reason: text })
        }
        yield* until(Effect.map(Socket.counts, ({ connections }) => connections === 0))
      })))

  it.effect("a connection that throws when it is disconnected does not keep others connected", () =>
    Effect.gen(function*() {
      const connections = yield* Connections
      const scope = yield* Scope.make()
      const disconnected: Array<string> = []
      const session = { kind: "Visit", id: "a" }
      const add = (name: string) =>
        connections.add({
          session,
          owner: name,
          address: undefined,
          agent: undefined,
          disconnect: () => {
            disconnected.push(name)
            if (name === "two") throw new Error("boom")
          }
        }).pipe(Scope.provide(scope))
      for (const name of ["one", "two", "three"]) yield* add(name)
      assert.strictEqual(yield* connections.disconnect(session), 3)
      assert.deepStrictEqual(disconnected, ["one", "two", "three"])
      yield* Scope.close(scope, Exit.void)
    }).pipe(Effect.provide(Layer.merge(Connections.layer(), Logger.layer([])))))
})

describe("a client that sends useless frames", () => {
  const tooMany = { code: 1008, reason: "too many messages" }

  it.effect("is closed by a SessionSocket: blank lines, empty frames, unsolicited pongs", () =>
    Socket.room({}, (room) =>
      Effect.gen(function*() {
        for (
          const flood of [
            (socket: Socket.Client["socket"]) => socket.send("\n".repeat(60_000)),
            (socket: Socket.Client["socket"]) => {
              for (let i = 0; i < 200; i++) socket.send("")
            },
            (socket: Socket.Client["socket"]) => {
              for (let i = 0; i < 200; i++) socket.send("  \n")
            },
            (socket: Socket.Client["socket"]) => {
              for (let i = 0; i < 200; i++) socket.pong()
            }
          ]
        ) {
          const client = yield* room.connect()
          yield* client.next
          flood(client.socket)
          assert.deepStrictEqual(yield* client.end, tooMany)
        }
      })))

  it.effect("is closed by a LiveSocket: blank lines, empty arrays, acknowledgements and interrupts of nothing, pings", () =>
    Live.room({}, (room) =>
      Effect.gen(function*() {
        for (
          const line of [
            "",
            " ",
            "[]",
            `{"_tag":"Ack","requestId":"9"}`,
            `{"_tag":"Interrupt","requestId":"9"}`,
            `{"_tag":"Ping"}`
          ]
        ) {
          const peer = yield* room.connect()
          // A few do no harm.
          yield* peer.send(`${line}\n`.repeat(100))
          const frame = `${line}\n`.repeat(500)
          for (let i = 0; i < 10; i++) yield* peer.send(frame)
          assert.deepStrictEqual(yield* peer.end, tooMany, line)
        }
        yield* (yield* room.connect()).sync
      })))

  it.effect("is closed for crumbs, and for going on when it is closed", () =>
    Socket.room({}, (room) =>
      Effect.gen(function*() {
        const crumbs = yield* room.connect()
        yield* crumbs.next
        for (let i = 0; i < 400; i++) crumbs.socket.send(" ", { fin: false })
        assert.strictEqual((yield* crumbs.end).code, CloseCode.policyViolation)
        const deaf = yield* room.connect()
        yield* deaf.next
        // It does not hear the close, so it does not answer it.
        deaf.socket.pause()
        const frame = "\n".repeat(60_000)
        for (let i = 0; i < 200; i++) deaf.socket.send(frame)
        yield* until(Effect.map(Socket.counts, ({ connections }) => connections === 0))
      })))

  it.effect("acknowledgements that the server has asked for count for nothing", () =>
    Live.room({ socket: { messageRate: { limit: 3, window: "10 seconds" } } }, (room) =>
      Effect.gen(function*() {
        const peer = yield* room.connect()
        const id = yield* peer.view("text")
        yield* peer.event
        yield* peer.ack(id)
        for (let i = 0; i < 1_300; i++) {
          yield* Live.say(String(i))
          yield* peer.event
          yield* peer.ack(id)
        }
        yield* peer.ask("Say", "x")
        yield* peer.event
        assert.notProperty(yield* peer.answer, "_tag")
      })))
})

describe("a slow link", () => {
  const size = 24 * 1024 * 1024

  it.effect(
    "that accepts bytes is a sign of life, whatever waits behind them; a link that accepts none is not",
    () =>
      Socket.room({ socket: { heartbeat: "30 seconds" } }, (room) =>
        Effect.gen(function*() {
          const client = yield* room.connect({}, { autoPong: false })
          yield* client.next
          const [end] = room.sockets
          client.socket.pause()
          const more = Effect.flatMap(Socket.Member, (members) => members.ref("ada").call("Say", "x".repeat(size)))
          yield* more
          const taken = () => end!.bytesWritten - end!.writableLength
          const settled = Effect.gen(function*() {
            for (let before = -1, same = 0; same < 20;) {
              yield* turn
              same = taken() === before ? same + 1 : 0
              before = taken()
            }
          })
          yield* settled
          for (let beat = 0; beat < 6; beat++) {
            yield* TestClock.adjust("30 seconds")
            yield* settled
            assert.strictEqual((yield* Socket.counts).connections, 1, `beat ${beat}`)
            const before = taken()
            client.socket.resume()
            yield* until(Effect.sync(() => taken() > before))
            client.socket.pause()
            // However much it took, there is more.
            yield* more
            yield* settled
          }
          // The last of what it took counts for one beat more.
          for (let beat = 0; beat < 2; beat++) yield* TestClock.adjust("30 seconds")
          yield* until(Effect.map(Socket.counts, ({ connections }) => connections === 0))
        })),
    60_000
  )

  it.effect("gets a long answer in parts when its client asks for that, and else whole", () =>
    Live.room({}, (room) =>
      Effect.gen(function*() {
        const answer = async (peer: Live.Peer) => {
          const frames: Array<string> = []
          peer.socket.removeAllListeners("message")
          await new Promise<void>((resume) =>
            peer.socket.on("message", (data) => {
              frames.push(String(data))
              if (!frames.at(-1)!.startsWith("+")) resume()
            })
          )
          return frames
        }
        const whole = yield* room.connect()
        yield* whole.ask("Big", 100_000)
        assert.strictEqual((yield* whole.answer).success.length, 100_000)
        const peer = yield* room.connect()
        yield* peer.act("live.hello", null, { "live-parts": "true" })
        yield* peer.ask("Big", 100_000)
        const frames = yield* Effect.promise(() => answer(peer))
        assert.isAbove(frames.length, 5)
        assert.deepStrictEqual(frames.map((frame) => frame[0]), [...new Array(frames.length - 1).fill("+"), "="])
        const message = JSON.parse(frames.map((frame) => frame.slice(1)).join(""))
        assert.strictEqual(message.exit.value, "x".repeat(100_000))
      })))

  it.effect.each([{ parts: "true" }, { parts: "false" }])(
    "is closed with 1013 when its client asks for more and more and reads none of it (in parts: $parts)",
    ({ parts }) =>
      Live.room({ socket: { messageRate: false } }, (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect()
          yield* peer.act("live.hello", null, { "live-parts": parts })
          yield* peer.view("total")
          yield* peer.event
          peer.socket.removeAllListeners("message")
          peer.socket.pause()
          // Each answer comes with the news of a view.
          for (let n = 1; n <= 40; n++) {
            yield* peer.ask("Add", { id: n, name: "x" })
            yield* peer.ask("Big", 1024 * 1024)
          }
          // It is closed before all is done.
          for (let before = -1, same = 0; same < 50;) {
            yield* turn
            const { length } = (yield* Live.info()).state.items
            same = length > 0 && length === before ? same + 1 : 0
            before = length
          }
          assert.isBelow((yield* Live.info()).state.items.length, 40)
          let bytes = 0
          peer.socket.on("message", (data: Buffer) => bytes += data.length)
          peer.socket.resume()
          assert.deepStrictEqual(yield* peer.end, { code: 1013, reason: "the client does not read" })
          assert.isBelow(bytes, 20 * 1024 * 1024)
        }))
  )

  it.effect(
    "is not closed for what it acts while a large view is on its way, and misses nothing",
    () =>
      Live.room({}, (room) =>
        Effect.gen(function*() {
          const peer = yield* room.connect()
          yield* Live.say("x".repeat(size))
          peer.socket.pause()
          yield* peer.view("text")
          yield* until(Effect.sync(() => Array.from(room.nodes.sockets).some((end) => end.writableLength > 0)))
          for (let n = 1; n <= 20; n++) yield* peer.ask("Add", { id: n, name: "x" })
          yield* until(Effect.map(Live.info(), ({ state }) => state.items.length === 20))
          peer.socket.resume()
          assert.strictEqual((yield* peer.event).state.length, size)
          for (let n = 1; n <= 20; n++) assert.deepStrictEqual(yield* peer.answer, { success: n })
        })),
    60_000
  )
})

describe("the body of an action", () => {
  /** Sends a body that does not end, and gives what is answered. */
  const post = (port: number, headers: Record<string, string>, bytes: number) =>
    Effect.promise(() =>
      new Promise<{ readonly status: number; readonly text: string }>((resolve, reject) => {
        const request = Http.request(
          { port, host: "127.0.0.1", path: "/sse/Say", method: "POST", headers },
          (answer) => {
            let text = ""
            answer.on("data", (data) => text += String(data))
            answer.on("end", () => {
              request.destroy()
              resolve({ status: answer.statusCode!, text })
            })
          }
        )
        request.on("error", reject)
        request.write("x".repeat(bytes))
      })
    )

  it.effect("is not read before its sender is known", () =>
    Live.room({}, (room) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* post(room.port, {}, 10)).status, 401)
      })))

  it.effect("is refused with 413 beyond 64 KiB, or what the route says, without waiting for the rest", () =>
    Live.room({ http: { maxBodySize: 1_000 } }, (room) =>
      Effect.gen(function*() {
        const { headers } = yield* Effect.promise(() => Live.bearer())
        const { status, text } = yield* post(room.port, headers, 2_000)
        assert.strictEqual(status, 413)
        assert.deepInclude(JSON.parse(text), { _tag: "PayloadTooLarge" })
        const fits = yield* room.fetch("/sse/Say", { method: "POST", body: JSON.stringify("x".repeat(998)), headers })
        assert.strictEqual(fits.status, 204)
      })).pipe(Effect.andThen(Live.room({}, (room) =>
        Effect.gen(function*() {
          const { headers } = yield* Effect.promise(() => Live.bearer())
          assert.strictEqual((yield* post(room.port, headers, 65_537)).status, 413)
          const fits = yield* room.fetch("/sse/Say", {
            method: "POST",
            body: JSON.stringify("x".repeat(65_534)),
            headers
          })
          assert.strictEqual(fits.status, 204)
        })))))
})

it.effect("limits that are none are InvalidConfig", () =>
  Effect.gen(function*() {
    for (const http of [{ maxBodySize: 0 }, { maxDepth: 0 }, { maxDepth: 1.5 }]) {
      const exit = yield* Effect.exit(Layer.build(Live.layer({ http })).pipe(Effect.scoped))
      assert.isTrue(Exit.isFailure(exit), JSON.stringify(http))
    }
  }))
