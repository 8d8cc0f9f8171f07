/**
 * 100,000 mutated frames and bodies, over all routes. None of them ends the process, breaks a
 * bystander's connection, or is not counted. The same seed gives the same frames.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { WebSocket } from "ws"
import * as Live from "./liveServer.ts"
import * as Socket from "./socketServer.ts"

// ---------------------------------------------------------------------------------------------------------
// tampering
// ---------------------------------------------------------------------------------------------------------

class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed
  }

  /** mulberry32: from 0 to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  of<A>(all: ReadonlyArray<A>): A {
    return all[this.below(all.length)]!
  }
}

const deep = (levels: number, open = "[", close = "]") => open.repeat(levels) + "0" + close.repeat(levels)

/** Placeholders for deep values in messages: encoding them for each message would take most of the time. */
const abysses = new Map([[`"<arrays>"`, deep(3_000)], [`"<objects>"`, deep(1_000, `{"a":`, "}")]])

const write = (value: unknown): string =>
  (JSON.stringify(value) ?? "").replace(/"<(arrays|objects)>"/g, (name) => abysses.get(name)!)

const oddities: ReadonlyArray<unknown> = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  "",
  "x",
  "\u0000",
  "\ud800",
  "__proto__",
  "constructor",
  "x".repeat(300),
  [],
  {},
  [[]],
  [null],
  { toString: null },
  { length: -1 },
  { _tag: "Request" },
  JSON.parse(deep(70)),
  "<arrays>",
  "<objects>"
] // dprint-ignore

/** Changes one thing somewhere in a value. */
const tamper = (value: any, random: Random): unknown => {
  if (typeof value !== "object" || value === null || random.below(6) === 0) return random.of(oddities)
  const copy: any = Array.isArray(value) ? [...value] : { ...value }
  const keys = Object.keys(copy)
  if (keys.length === 0 || random.below(8) === 0) copy[Array.isArray(copy) ? copy.length : random.of(["__proto__", "x"])] = 1
  else {
    const key = random.of(keys)
    if (random.below(5) === 0) delete copy[key]
    else copy[key] = tamper(copy[key], random)
  }
  return copy
}

const bits = [
  `"`,
  "{",
  "}",
  "[",
  "]",
  ",",
  ":",
  "\\",
  "\n",
  "\\u0000",
  "1e999",
  "-",
  "null",
  " ",
  "\u2028",
  "é",
  "😀",
  "[".repeat(20_000)
]

/** Changes the text itself, which mostly makes it none. */
const scramble = (text: string, random: Random): string => {
  const at = random.below(text.length + 1)
  switch (random.below(4)) {
    case 0:
      return text.slice(0, at) + random.of(bits) + text.slice(at)
    case 1:
      return text.slice(0, at) + text.slice(at + 1 + random.below(4))
    case 2:
      return text.slice(0, at)
    default:
      return text + random.of(["", "\n", ","]) + text
  }
}

// ---------------------------------------------------------------------------------------------------------
// the routes
// ---------------------------------------------------------------------------------------------------------

/** What of this process is broken by what it did not catch. */
const uncaught = Effect.acquireRelease(
  Effect.sync(() => {
    const seen: Array<unknown> = []
    const note = (error: unknown) => void seen.push(error)
    process.on("uncaughtException", note)
    process.on("unhandledRejection", note)
    return { seen, note }
  }),
  ({ note }) =>
    Effect.sync(() => {
      process.off("uncaughtException", note)
      process.off("unhandledRejection", note)
    })
)

/** So many frames have one question behind them. */
const group = 20

/**
 * Sends frames in groups, each followed by a request whose answer shows that the group was handled. If the server closes the
 * connection over a frame, the client reconnects and goes on; that group does not count.
 */
const send = async (
  url: string,
  headers: Record<string, string>,
  count: number,
  make: () => string,
  ask: (id: string) => string
) => {
  const closed = new Set<number>()
  let done = 0
  let questions = 0
  // What is sent counts as it is answered.
  // oxlint-disable-next-line no-unmodified-loop-condition
  while (done < count) {
    const socket = new WebSocket(url, { perMessageDeflate: false, headers })
    let asked = ""
    const next = () => {
      for (let i = 0; i < group; i++) socket.send(make())
      asked = `question-${++questions}`
      socket.send(ask(asked))
    }
    closed.add(
      await new Promise<number>((resolve, reject) => {
        socket.on("error", reject)
        socket.on("close", resolve)
        socket.on("open", next)
        socket.on("message", (data: Buffer) => {
          if (!data.includes(asked)) return
          done += group
          if (done < count) next()
          else socket.close()
        })
      })
    )
  }
  return closed
}

const post = (agent: Http.Agent, port: number, path: string, headers: Record<string, string>, body: string) =>
  new Promise<number>((resolve, reject) => {
    const request = Http.request({ agent, port, host: "127.0.0.1", path, method: "POST", headers }, (answer) => {
      answer.resume()
      answer.on("end", () => resolve(answer.statusCode!))
    })
    request.on("error", reject)
    request.end(body)
  })

/** Bytes that are no WebSocket. Gives up when the server hangs up. */
const babble = (port: number, head: string, bytes: Buffer) =>
  new Promise<void>((resolve) => {
    const socket = Net.connect(port, "127.0.0.1")
    socket.on("error", () => {})
    socket.on("close", () => resolve())
    socket.once("data", () => {
      socket.end(bytes)
      socket.resume()
    })
    socket.write(head)
  })

describe("100,000 frames that were tampered with", () => {
  it.effect("SessionSocket: 45,000 and 200 streams of bytes", () =>
    Socket.room({
      perOwner: 10_000,
      socket: { messageRate: false, receive: (message, { send }) => send({ type: "echo", message }) }
    }, (room) =>
      Effect.gen(function*() {
        const { seen } = yield* uncaught
        const bystander = yield* room.connect({ sub: "bob" })
        yield* bystander.next
        const random = new Random(1)
        const messages = [
          { type: "ping" },
          { type: "say", text: "hello", at: [1, 2, { x: null }] },
          { type: ["a", { b: [] }], payload: { items: [{ id: 1 }, { id: 2 }] } }
        ]
        let made = 0
        const make = () => {
          const text = write(tamper(random.of(messages), random))
          return ++made % 2 === 0 ? scramble(text, random) : text
        }
        const bearer = `Bearer ${yield* Effect.promise(() => Socket.token())}`
        const closed = yield* Effect.promise(() =>
          send(
            `ws://127.0.0.1:${room.port}/socket`,
            { authorization: bearer },
            45_000,
            make,
            (type) => JSON.stringify({ type })
          )
        )
        // Whatever is no message is answered as such.
        assert.deepStrictEqual(Array.from(closed), [1005])
        const head = Socket.handshake(bearer.slice(7))
        for (let i = 0; i < 200; i++) {
          const bytes = Buffer.from(Array.from({ length: 1 + random.below(200) }, () => random.below(256)))
          // Some of it looks like a frame.
          if (i % 2 === 0) bytes[0] = random.of([0x81, 0x01, 0x80, 0x82, 0x88, 0x89, 0x8a, 0xc1])
          yield* Effect.promise(() => babble(room.port, head, bytes))
        }
        yield* bystander.sync
        yield* Socket.until(Effect.map(Socket.counts, ({ connections }) => connections === 1))
        assert.deepStrictEqual(seen, [])
      })).pipe(Effect.scoped), 120_000)

  it.effect(
    "LiveSocket: 50,000",
    () =>
      Live.room({ perOwner: 10_000, socket: { messageRate: false } }, (room) =>
        Effect.gen(function*() {
          const { seen } = yield* uncaught
          const bystander = yield* room.connect({ sub: "bob" })
          yield* bystander.view("items")
          yield* bystander.event
          const random = new Random(2)
          let ids = 0
          const request = (tag: string, payload: unknown, headers: ReadonlyArray<unknown> = []) => () => ({
            _tag: "Request",
            id: String(++ids),
            tag,
            payload,
            headers
          })
          const once = [["live-client", "fuzz"], ["live-sequence", "1"], ["live-epoch", "1"], ["live-again", "true"]]
          const make = [
            request("Add", { id: 1, name: "x" }, once),
            request("Say", "hello"),
            request("Nope", { a: [1, { b: 2 }] }),
            request("live.hello", null, [["live-parts", "true"]]),
            () => ({ _tag: "Interrupt", requestId: String(ids) }),
            () => ({ _tag: "Ack", requestId: String(ids) }),
            () => ({ _tag: "Ping" })
          ]
          const view = request("live.view", { view: "text", after: { epoch: 1, version: 2 } })
          const tampered = () => {
            const one = random.below(40) === 0 ? view() : random.of(make)()
            if (random.below(100) === 0) return scramble(write(one), random)
            // Mostly it stays a message: else it is closed for that, and nothing behind it is looked at.
            const inside = random.of(["payload", "requestId"].filter((key) => key in one))
            const changed = random.below(100) === 0
              ? tamper(one, random)
              : inside === undefined
              ? one
              : { ...one, [inside]: tamper((one as any)[inside], random) }
            return write(random.below(10) === 0 ? [changed] : changed)
          }
          const bearer = `Bearer ${yield* Effect.promise(() => Socket.token())}`
          const closed = yield* Effect.promise(() =>
            send(
              `ws://127.0.0.1:${room.port}/live`,
              { authorization: bearer },
              50_000,
              tampered,
              (id) => JSON.stringify({ _tag: "Request", id, tag: "Nope", payload: null, headers: [] })
            )
          )
          // None of these is our fault.
          assert.sameMembers(Array.from(closed), [1005, 1008])
          yield* bystander.sync
          yield* Socket.until(Effect.map(Socket.counts, ({ connections }) => connections === 1))
          assert.deepStrictEqual(seen, [])
        })).pipe(Effect.scoped),
    120_000
  )

  it.effect("LiveHttp: 5,000", () =>
    Live.room({ perOwner: 10_000 }, (room) =>
      Effect.gen(function*() {
        const { seen } = yield* uncaught
        const bystander = yield* room.connect({ sub: "bob" })
        const random = new Random(3)
        const authorization = `Bearer ${yield* Effect.promise(() => Socket.token())}`
        const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
        const statuses = new Set<number>()
        for (let i = 0; i < 5_000; i++) {
          const [name, payload] = random.of([["Add", { id: 1, name: "x" }], ["Say", "hello"], ["Nope", null]] as const)
          const body = write(tamper(payload, random))
          const path = random.below(20) === 0
            ? random.of(["/sse/%E0%A4%A", "/sse/%00", "/sse//", "/sse/__proto__"])
            : `/sse/${name}`
          const headers: Record<string, string> = random.below(4) === 0
            ? {
              authorization,
              "live-client": random.of(["", name, "y".repeat(80)]),
              "live-sequence": random.of(["1", "-1", "1e9", ""])
            }
            : {
              authorization,
              cookie: random.of(["", "visitor=%", "=;;=", "visitor=a.b.c.d", "visitor=" + "x".repeat(3_000)])
            }
          statuses.add(
            yield* Effect.promise(() =>
              post(agent, room.port, path, headers, random.below(2) === 0 ? scramble(body, random) : body)
            )
          )
        }
        agent.destroy()
        for (const status of statuses) assert.isBelow(status, 500)
        assert.isTrue(statuses.has(400) && statuses.has(404))
        yield* bystander.sync
        assert.deepStrictEqual(seen, [])
      })).pipe(Effect.scoped), 120_000)
})
