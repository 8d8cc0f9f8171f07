import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Schema } from "effect"
import { EndReason, Live, LiveError, type SessionError, type SessionRef, Sessions, Supervision } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections } from "effect-sessions/http"
import { LiveHttp, LiveViews } from "effect-sessions/live"
import { TestSessions } from "effect-sessions/testing"
import { HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import { applyPatch } from "fast-json-patch"
import * as Net from "node:net"
import { allGone, bearer, Cart, cart, CartLive, info, type Room, room, say, select } from "./liveServer.ts"
import { until } from "./socketServer.ts"

const item = (id: number) => ({ id, name: `item ${id}` })

const add = (id: number) => Effect.flatMap(cart(), (ref) => ref.call("Add", item(id)))

interface Told {
  readonly id?: string
  readonly event?: string
  readonly data?: any
  readonly comment?: string
}

/** Reads server-sent events as a browser does. */
class Events {
  private readonly reader: ReadableStreamDefaultReader<Uint8Array>
  private readonly decoder = new TextDecoder()
  private text = ""
  /** What a browser would send as `Last-Event-ID`. */
  lastId: string | undefined

  /** Goes. */
  readonly leave: Effect.Effect<void>

  constructor(response: Response, gone: AbortController) {
    this.reader = response.body!.getReader()
    this.leave = Effect.sync(() => gone.abort())
  }

  /** The next event, or comment; `undefined` at the end. */
  get next(): Effect.Effect<Told> {
    return Effect.promise(async () => {
      for (;;) {
        const end = this.text.indexOf("\n\n")
        if (end >= 0) {
          const block = this.text.slice(0, end)
          this.text = this.text.slice(end + 2)
          if (block.trim() !== "") return this.parse(block)
          continue
        }
        const { done, value } = await this.reader.read()
        if (done) return { event: "closed" }
        this.text += this.decoder.decode(value, { stream: true })
      }
    })
  }

  private parse(block: string): Told {
    if (block.startsWith(":")) return { comment: block.slice(1).trim() }
    const fields = Object.fromEntries(
      block.split("\n").filter((line) => line !== "").map((line) => {
        const [, name, value] = /^(\w+): (.*)$/.exec(line) ?? assert.fail(`what is ${line}?`)
        return [name, value]
      })
    )
    this.lastId = fields["id"] ?? this.lastId
    return { ...fields, data: JSON.parse(fields["data"]!) }
  }
}

interface How {
  readonly path?: string
  readonly lastId?: string | undefined
  readonly headers?: Record<string, string>
}

const listen = (room: Room, query = "", { headers, lastId, path = "/sse" }: How = {}) =>
  Effect.gen(function*() {
    const auth = headers ?? (yield* Effect.promise(() => bearer())).headers
    const gone = new AbortController()
    const response = yield* room.fetch(path + query, {
      signal: AbortSignal.any([gone.signal, room.closing]),
      headers: { ...auth, ...lastId === undefined ? {} : { "last-event-id": lastId } }
    })
    assert.strictEqual(response.status, 200)
    assert.match(response.headers.get("content-type")!, /^text\/event-stream/)
    assert.include(response.headers.get("cache-control"), "no-cache")
    return new Events(response, gone)
  })

const answerOf = (response: Response) =>
  Effect.promise(async () => {
    const text = await response.text()
    return {
      status: response.status,
      json: text === "" ? undefined : JSON.parse(text),
      retryAfter: response.headers.get("retry-after")
    }
  })

const post = (room: Room, name: string, payload?: unknown, headers: Record<string, string> = {}, path = "/sse") =>
  Effect.gen(function*() {
    const auth = (yield* Effect.promise(() => bearer())).headers
    const body = payload === undefined ? null : typeof payload === "string" ? payload : JSON.stringify(payload)
    return yield* answerOf(
      yield* room.fetch(`${path}/${name}`, { method: "POST", body, headers: { ...auth, ...headers } })
    )
  })

const once = (sequence: number, more: Record<string, string> = {}) => ({
  [Live.headers.client]: "phone",
  [Live.headers.sequence]: String(sequence),
  ...more
})

describe("an event stream", () => {
  it.effect("is a snapshot, then patches, each with its position as id, and at last the end with its reason", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const events = yield* listen(room, "?view=items")
        const { epoch } = yield* info()
        assert.deepStrictEqual(yield* events.next, {
          id: `${epoch}:0`,
          event: "snapshot",
          data: { epoch, version: 0, state: [] }
        })
        for (let n = 1; n <= 3; n++) {
          yield* add(n)
          assert.deepStrictEqual(yield* events.next, {
            id: `${epoch}:${n}`,
            event: "patch",
            data: { epoch, version: n, from: n - 1, patch: [{ op: "add", path: `/${n - 1}`, value: item(n) }] }
          })
        }
        yield* (yield* cart()).end()
        assert.deepStrictEqual(yield* events.next, { id: "end", event: "end", data: { reason: "Stopped" } })
        assert.deepStrictEqual(yield* events.next, { event: "closed" })
      })))

  it.effect("never contains what no view selects, and sends nothing about its changes", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const events = yield* listen(room)
        const told = [yield* events.next, yield* events.next, yield* events.next]
        yield* (yield* cart()).call("Whisper", "swordfish too")
        yield* say("x")
        told.push(yield* events.next)
        assert.deepInclude(told.at(-1)!.data, { view: "text" })
        assert.notInclude(JSON.stringify(told), "swordfish")
      })))

  it.effect("continues from `Last-Event-ID` with a patch, empty if nothing was missed", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const before = yield* listen(room, "?view=items")
        const { data: { epoch } } = yield* before.next
        yield* before.leave
        yield* allGone()
        const idle = yield* listen(room, "?view=items", { lastId: before.lastId })
        assert.deepStrictEqual((yield* idle.next).data, { epoch, version: 0, from: 0, patch: [] })
        yield* idle.leave
        yield* add(1)
        yield* add(2)
        const back = yield* listen(room, "?view=items", { lastId: idle.lastId })
        const { data, event, id } = yield* back.next
        assert.deepStrictEqual([event, id, data.from, data.version], ["patch", `${epoch}:2`, 0, 2])
        assert.deepStrictEqual(applyPatch([], data.patch, true).newDocument as unknown, [item(1), item(2)])
      })))

  it.effect("begins with a snapshot for an id that is none, or of another view", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        yield* (yield* Cart).start("ada")
        const { epoch } = yield* info()
        const epochs = ["", ":", ":-", ":1", ":-1", ":0.0", ":0,0"].map((rest) => `${epoch}${rest}`)
        const garbage = [
          "",
          ":",
          "x",
          "1",
          ...epochs,
          `${epoch + 1}:0`,
          `${epoch - 1}:0`,
          "9".repeat(400),
          "__proto__:0"
        ]
        for (const lastId of garbage) {
          const events = yield* listen(room, "?view=items", { lastId })
          assert.deepInclude(yield* events.next, { event: "snapshot", id: `${epoch}:0` }, lastId)
          yield* events.leave
        }
      })))

  it.effect("of several views names each, and its id has a version for each", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        for (const query of ["?view=text&view=items", "?view=text,items,text", "?view=,text,,items"]) {
          const events = yield* listen(room, query)
          const { epoch, version: v } = yield* info()
          const first = [yield* events.next, yield* events.next]
          assert.deepStrictEqual(first.map(({ data, event, id }) => [id, event, data.view]), [
            [`${epoch}:${first[0]!.data.version},-`, "snapshot", "text"],
            [`${epoch}:${first[0]!.data.version},${first[1]!.data.version}`, "snapshot", "items"]
          ])
          yield* add(v + 1)
          const patch = yield* events.next
          assert.deepInclude(patch, { event: "patch", id: `${epoch}:${first[0]!.data.version},${v + 1}` })
          assert.deepInclude(patch.data, { view: "items", version: v + 1 })
          yield* events.leave
          yield* allGone()
        }
        // All of them, if none is named.
        const all = yield* listen(room)
        const views = [yield* all.next, yield* all.next, yield* all.next].map(({ data }) => data.view)
        assert.deepStrictEqual(views, ["items", "total", "text"])
      })))

  it.effect("that breaks between two events of several views continues without a gap or a repetition", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const have: Record<string, any> = {}
        const at: Record<string, number> = {}
        let lastId: string | undefined
        yield* (yield* Cart).start("ada")
        for (let round = 0; round < 12; round++) {
          const events = yield* listen(room, "?view=items,total,text", { lastId })
          // Some are read, and then the connection breaks; the rest of them comes again.
          for (let i = 0; i <= round % 3; i++) {
            const { data, event, id } = yield* events.next
            if (event === "patch") {
              assert.strictEqual(data.from, at[data.view], `round ${round}`)
              have[data.view] = applyPatch(have[data.view], data.patch, true).newDocument
            } else have[data.view] = data.state
            at[data.view] = data.version
            lastId = id
          }
          yield* events.leave
          yield* add(round + 1)
          if (round % 2 === 0) yield* say(`round ${round}`)
        }
        const events = yield* listen(room, "?view=items,total,text", { lastId })
        for (let i = 0; i < 3; i++) {
          const { data, event } = yield* events.next
          if (event === "patch") assert.strictEqual(data.from, at[data.view])
          have[data.view] = event === "patch"
            ? applyPatch(have[data.view], data.patch, true).newDocument
            : data.state
        }
        const { state: { items, text } } = yield* info()
        assert.deepStrictEqual(have, { items, total: items.length, text })
      })))

  it.effect("that broke in an earlier incarnation continues with snapshots of the new one", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const before = yield* listen(room, "?view=items,text")
        yield* before.next
        yield* before.next
        yield* (yield* cart()).end()
        const back = yield* listen(room, "?view=items,text", { lastId: before.lastId })
        const { epoch } = yield* info()
        assert.deepInclude(yield* back.next, { event: "snapshot", id: `${epoch}:0,-` })
        assert.deepInclude(yield* back.next, { event: "snapshot", id: `${epoch}:0,0` })
      })))

  it.effect("of several views that lives through a reset has no version of the old incarnation in an id of the new", () =>
    room({ kind: { supervision: Supervision.reset({ backoff: () => 0 }) } }, (room) =>
      Effect.gen(function*() {
        const events = yield* listen(room, "?view=items,text")
        yield* add(1)
        yield* say("x")
        while ((yield* events.next).data.version !== 2) { /* the first ones */ }
        yield* Effect.flip((yield* cart()).call("Die"))
        const told = [yield* events.next, yield* events.next]
        const { epoch } = yield* info()
        assert.deepStrictEqual(told.map(({ event, id }) => [event, id]), [
          ["snapshot", `${epoch}:0,-`],
          ["snapshot", `${epoch}:0,0`]
        ])
      })))

  it.effect("fits the schema that is published for it", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const decode = Schema.decodeUnknownEffect(LiveHttp.ServerSentEvent)
        const events = yield* listen(room, "?view=items,total")
        yield* add(1)
        for (let i = 0; i < 4; i++) {
          const { data, ...rest } = yield* events.next
          assert.deepStrictEqual((yield* decode({ ...rest, data: JSON.stringify(data) })).data, data)
          if (i === 3) yield* (yield* cart()).end()
        }
        const { data, ...rest } = yield* events.next
        assert.deepInclude(yield* decode({ ...rest, data: JSON.stringify(data) }), { event: "end" })
      })))

  it.effect("sends a comment when it has nothing else to send", () =>
    room({ http: { heartbeat: "15 seconds" } }, (room) =>
      Effect.gen(function*() {
        const events = yield* listen(room, "?view=text")
        yield* events.next
        for (let i = 0; i < 3; i++) {
          yield* TestClock.adjust("15 seconds")
          assert.deepStrictEqual(yield* events.next, { comment: "still here" })
        }
        yield* say("x")
        assert.deepInclude(yield* events.next, { event: "patch" })
      })))

  it.effect("comes in parts where it is long, and whole", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const text = "a😀".repeat(20_000)
        yield* (yield* Cart).start("ada")
        yield* say(text)
        assert.strictEqual((yield* (yield* listen(room, "?view=text")).next).data.state, text)
      })))

  it.effect("disconnects a client that reads nothing, once the buffers between them are full", () =>
    room({ http: { heartbeat: "15 seconds" } }, (room) =>
      Effect.gen(function*() {
        const connections = yield* Connections
        const { headers: { authorization } } = yield* Effect.promise(() => bearer())
        const silent = Net.connect(room.port, "127.0.0.1").pause()
        silent.write(`GET /sse?view=text HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\n\r\n`)
        yield* until(Effect.map(connections.count, (count) => count === 1))
        yield* say("x".repeat(12_000_000))
        const reader = yield* listen(room, "?view=items")
        yield* reader.next
        yield* until(
          Effect.andThen(TestClock.adjust("15 seconds"), Effect.map(connections.count, (count) => count === 1))
        )
        yield* add(1)
        let next = yield* reader.next
        while (next.comment !== undefined) next = yield* reader.next
        assert.deepInclude(next, { event: "patch" })
        silent.destroy()
      })))

  it.effect.each([EndReason.shutdown, { _tag: "Disconnected" } as const, EndReason.crashed(new Error("swordfish"))])(
    "ends with the reason of the session: $_tag",
    (reason) =>
      room({}, (room) =>
        Effect.gen(function*() {
          const events = yield* listen(room, "?view=text")
          yield* events.next
          yield* say("last words")
          yield* (yield* cart()).end({ reason })
          assert.deepInclude(yield* events.next, { event: "patch" })
          // One whose server restarts is there again soon.
          const id = reason._tag === "Shutdown" ? {} : { id: "end" }
          assert.deepStrictEqual(yield* events.next, { ...id, event: "end", data: { reason: reason._tag } })
          assert.deepStrictEqual(yield* events.next, { event: "closed" })
        }))
  )

  it.effect("is not started again by a browser that reconnects after the end, and neither is the session", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const events = yield* listen(room, "?view=text")
        yield* events.next
        yield* (yield* cart()).end()
        assert.deepInclude(yield* events.next, { event: "end" })
        const back = yield* room.fetch("/events?view=text", {
          headers: { ...(yield* Effect.promise(() => bearer())).headers, "last-event-id": events.lastId! }
        })
        assert.strictEqual(back.status, 204)
        assert.isFalse(yield* (yield* cart()).isLive)
        // A request without a position gets a snapshot.
        const anew = yield* listen(room, "?view=text")
        assert.deepInclude(yield* anew.next, { event: "snapshot" })
        assert.isTrue(yield* (yield* cart()).isLive)
      })))

  it.effect("is a connection of the session, and of its owner, until the client goes", () =>
    room({ perOwner: 2 }, (room) =>
      Effect.gen(function*() {
        const streams = [yield* listen(room, "?view=text"), yield* listen(room, "?view=items")]
        for (const events of streams) yield* events.next
        assert.strictEqual((yield* info()).connections, 2)
        assert.strictEqual(yield* (yield* Connections).count, 2)
        yield* streams[0]!.leave
        yield* until(Effect.map(info(), ({ connections }) => connections === 1))
        yield* streams[1]!.leave
        yield* allGone()
        yield* TestSessions.elapse("2 minutes")
        assert.strictEqual((yield* info()).watchers, 0)
      })))

  it.effect("ends when the cookie is replaced, and the old cookie opens none", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { cookie, id } = yield* room.cookie("/start")
        const headers = { cookie, "user-agent": "another" }
        const events = yield* listen(room, "?view=text", { path: "/events", headers })
        yield* events.next
        assert.strictEqual((yield* info(id)).connections, 1)
        const rotated = yield* room.cookie("/rotate", cookie)
        assert.deepStrictEqual(yield* events.next, { event: "closed" })
        yield* allGone(id)
        const old = yield* answerOf(yield* room.fetch("/events", { headers }))
        assert.deepInclude(old, { status: 409, retryAfter: "1" })
        const back = yield* listen(room, "?view=text", {
          path: "/events",
          headers: { cookie: rotated.cookie },
          lastId: events.lastId
        })
        assert.deepInclude(yield* back.next, { event: "patch" })
      })))
})

describe("an event stream that may not be seen any more", () => {
  const may = {
    allow: (_: string, { session }: { readonly session: SessionRef.SessionRef<any, any> }) =>
      Effect.match(session.info, { onFailure: () => false, onSuccess: ({ metadata }) => metadata["fired"] !== true })
  }

  it.effect("ends when user or metadata of the session change", () =>
    room({ http: may }, (room) =>
      Effect.gen(function*() {
        const events = yield* listen(room, "?view=text")
        yield* events.next
        const ref = yield* cart()
        yield* ref.setMetadata({ fired: false })
        yield* say("still there")
        assert.deepInclude(yield* events.next, { event: "patch" })
        yield* ref.setMetadata({ fired: true })
        assert.deepStrictEqual(yield* events.next, { event: "closed" })
        assert.deepInclude(
          yield* answerOf(yield* room.fetch("/sse?view=text", yield* Effect.promise(() => bearer()))),
          {
            status: 403
          }
        )
      })))

  it.effect("ends with its token", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { headers } = yield* Effect.promise(() => bearer({ exp: 60 }))
        const events = yield* listen(room, "?view=text", { headers })
        yield* events.next
        yield* TestSessions.elapse("65 seconds")
        assert.deepStrictEqual(yield* events.next, { event: "closed" })
      })))
})

describe("a request for a stream is refused", () => {
  it.effect("for a view that there is not, with 404", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        const { headers } = yield* Effect.promise(() => bearer())
        for (const name of ["nope", "__proto__", "constructor", "toString", "items,nope"]) {
          const { json, status } = yield* answerOf(yield* room.fetch(`/sse?view=${name}`, { headers }))
          assert.strictEqual(status, 404)
          assert.deepInclude(json, { _tag: "Unknown", name: name.replace("items,", "") })
        }
        assert.strictEqual((yield* (yield* Sessions).count).count, 0)
      })))

  it.effect("without a session, with 401", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        for (const path of ["/sse", "/events"]) {
          const { json, status } = yield* answerOf(yield* room.fetch(path))
          assert.strictEqual(status, 401)
          assert.strictEqual(json._tag, "NoSession")
          const action = yield* answerOf(yield* room.fetch(`${path}/Say`, { method: "POST", body: `"x"` }))
          assert.deepInclude(action, { status: 401 })
        }
        assert.strictEqual((yield* (yield* Sessions).count).count, 0)
      })))

  it.effect("for what is not allowed, with 403, as are actions", () =>
    room(
      { http: { allow: (name) => name === "text" || Effect.succeed(name === "Say") } },
      (room) =>
        Effect.gen(function*() {
          const { headers } = yield* Effect.promise(() => bearer())
          for (const query of ["", "?view=items", "?view=text,total"]) {
            const { json, status } = yield* answerOf(yield* room.fetch(`/sse${query}`, { headers }))
            assert.strictEqual(status, 403)
            const error = yield* Schema.decodeUnknownEffect(Schema.toCodecJson(LiveError.ViewError))(json)
            assert.strictEqual(error._tag, "Forbidden")
          }
          assert.deepInclude(yield* (yield* listen(room, "?view=text")).next, { event: "snapshot" })
          assert.deepInclude(yield* post(room, "Say", `"x"`), { status: 204 })
          const refused = yield* post(room, "Add", item(1))
          assert.strictEqual(refused.status, 403)
          assert.deepInclude(refused.json, { _tag: "Forbidden", name: "Add" })
          assert.deepStrictEqual((yield* info()).state.items, [])
        })
    ))
})

describe("an action", () => {
  it.effect("is answered with its value, or with 204 when it has none", () =>
    room({}, (room) =>
      Effect.gen(function*() {
        assert.deepInclude(yield* post(room, "Add", item(1)), { status: 200, json: 1 })
        assert.deepInclude(yield* post(room, "Add", item(1)), { status: 200, json: 2 })
        assert.deepInclude(yield* post(room, "Say", `"x"`), { status: 204, json: undefined })
        assert.deepInclude(yield* post(room, "Wait"), { status: 204 })
        assert.deepInclude(yield* post(room, "counter.add", 3, {}, "/shelf-sse"), { status: 204 })
      })))

  it.effect("that comes again is answered from memory", () =>
    room({ kind: { remember: { answers: 1 } } }, (room) =>
      Effect.gen(function*() {
        for (let i = 0; i < 3; i++) {
          assert.deepInclude(yield* post(room, "Add", item(1), once(1)), { status: 200, json: 1 })
        }
        assert.deepInclude(yield* post(room, "Add", item(2), once(2)), { status: 200, json: 2 })
        const gap = yield* post(room, "Add", item(9), once(9))
        assert.deepInclude(gap.json, { _tag: "ActionOutOfOrder", expected: 3 })
        const forgotten = yield* post(room, "Add", item(1), once(1))
        assert.deepInclude(forgotten.json, { _tag: "ActionForgotten" })
        for (const { status } of [gap, forgotten]) assert.isTrue(status >= 400 && status < 500, String(status))
        const unclear = yield* post(room, "Add", item(1), { [Live.headers.client]: "a" })
        assert.deepInclude(unclear, { status: 400 })
        assert.strictEqual((yield* info()).state.items.length, 2)
      })))

  it.effect("that fails is answered with the status of its error, which clients can decode", () => {
    const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(LiveError.ActionError))
    return room({}, (room) =>
      Effect.gen(function*() {
        const cases: ReadonlyArray<readonly [string, unknown, number, string]> = [
          ["Add", { id: "1" }, 400, "InvalidPayload"],
          ["Add", "{", 400, "InvalidPayload"],
          ["Add", undefined, 400, "InvalidPayload"],
          ["Whisper", `"x"`, 404, "Unknown"],
          ["__proto__", undefined, 404, "Unknown"],
          ["constructor", undefined, 404, "Unknown"],
          ["Die", undefined, 500, "Crashed"]
        ]
        for (const [name, payload, status, tag] of cases) {
          const answer = yield* post(room, name, payload)
          assert.deepStrictEqual([answer.status, answer.json._tag], [status, tag], name)
          assert.strictEqual((yield* decode(answer.json))._tag, tag)
          assert.notInclude(JSON.stringify(answer), "swordfish")
        }
        assert.deepInclude(yield* post(room, "Add", item(-1)), {
          status: 422,
          json: { _tag: "Nope", why: "-1 is below zero" }
        })
        assert.deepInclude(yield* post(room, "Odd"), { status: 422, json: null })
        assert.strictEqual((yield* info()).state.secret, "swordfish")
      }))
  })

  it.effect("for which the session has no room is answered with 429 and when to come again", () => {
    const gate = Deferred.makeUnsafe<void>()
    return room({ gate, kind: { mailboxCapacity: 1, overflow: "reject" } }, (room) =>
      Effect.gen(function*() {
        yield* (yield* Cart).start("ada")
        const ref = yield* cart()
        yield* ref.cast("Wait")
        yield* ref.cast("Say", "x")
        const busy = yield* post(room, "Say", `"y"`)
        assert.strictEqual(busy.status, 429)
        assert.strictEqual(busy.json._tag, "Busy")
        assert.strictEqual(busy.retryAfter, "1")
        yield* Deferred.succeed(gate, undefined)
      }))
  })

  it.effect("whose session ends before its answer is answered with 410 and the reason", () =>
    room({ gate: Deferred.makeUnsafe<void>() }, (room) =>
      Effect.gen(function*() {
        const waiting = yield* Effect.forkChild(post(room, "Wait"))
        const { of } = yield* TestSessions.Recorder
        // It has begun: what comes behind it waits.
        yield* until(Effect.map(of("Start"), ({ length }) => length === 1))
        const ref = yield* cart()
        yield* until(Effect.gen(function*() {
          yield* ref.cast("Say", "x")
          return (yield* ref.info).mailbox > 0
        }))
        yield* ref.end({ drain: false })
        const { json, status } = yield* Fiber.join(waiting)
        assert.strictEqual(status, 410)
        assert.deepInclude(json, { _tag: "SessionGone", reason: "Stopped" })
      })))
})

it.effect("an option that is not usable is InvalidConfig", () =>
  Effect.gen(function*() {
    for (const heartbeat of [0, -1, Infinity, "soon"]) {
      const routes = LiveHttp.layer(CartLive, {
        path: "/x",
        session: Admission.token({ kind: Cart }),
        heartbeat: heartbeat as never
      }).pipe(Layer.provide(LiveViews.layer(CartLive, { select })), Layer.provide(HttpRouter.layer))
      const error = yield* Effect.flip(Layer.build(routes as unknown as Layer.Layer<never, SessionError.InvalidConfig>))
      assert.deepInclude(error, { _tag: "InvalidConfig", setting: "live.heartbeat" })
    }
  }).pipe(Effect.scoped))
