/**
 * Bytes that no node would send, at each moment of a connection and from each end. None of them ends the process, reaches a
 * handler that it should not, or breaks the connection of a bystander. The same seed gives the same bytes.
 */
// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { createSecretKey } from "node:crypto"
import type * as Net from "node:net"
import { Greeting } from "../../src/edge/cluster/internal/peers/greeting.ts"
import * as Nodes from "./nodes.ts"

const { ask, bareClient, bareServer, greetedClient, identity, node, until } = Nodes

/** mulberry32: whole numbers below `n`. */
const randomOf = (seed: number) => {
  let state = seed
  return (n: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor(((t ^ (t >>> 14)) >>> 0) / 2 ** 32 * n)
  }
}

type Random = ReturnType<typeof randomOf>

const oddities = [
  "null",
  "0",
  "-1",
  "1.5",
  "1e999",
  `""`,
  `"\\ud800"`,
  `"__proto__"`,
  "[]",
  "{}",
  "[[]]",
  `[[0]]`,
  `[[0,-1]]`,
  `[[0,"x"]]`,
  `[[1]]`,
  `[[-1]]`,
  `[[1,1],[1,1]]`,
  `[[1,"answer",1]]`,
  `[["1","x"]]`,
  `[{"0":1}]`,
  `["refused"]`,
  `["refused",{"toString":null}]`,
  `["hello"]`,
  `["hello",null]`,
  `["hello",{"name":"effect-sessions/peers"}]`,
  `["proof"]`,
  `["proof",null,""]`,
  `["proof",null,{"length":43}]`,
  "[".repeat(50_000),
  "[".repeat(3_000) + "]".repeat(3_000),
  `{"__proto__":{"isFull":true}}`,
  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "\u0000\u0001\u0002",
  "\ufffd",
  ""
]

/** Some bytes: an oddity, a line that somebody has tampered with, or noise. */
const bytesOf = (random: Random, line: string): Buffer => {
  const at = random(line.length)
  switch (random(5)) {
    case 0:
      return Buffer.from(Array.from({ length: 1 + random(300) }, () => random(256)))
    case 1:
      return Buffer.from(`${line.slice(0, at)}${oddities[random(oddities.length)]}${line.slice(at + random(5))}\n`)
    case 2: {
      const bytes = Buffer.from(`${line}\n`)
      bytes[random(bytes.length)] = random(256)
      return bytes
    }
    default:
      return Buffer.from(`${oddities[random(oddities.length)]}\n`)
  }
}

/** Writes in pieces, as a network may deliver them. */
const writeInPieces = (socket: Net.Socket, bytes: Buffer, random: Random): void => {
  for (let from = 0; from < bytes.length;) {
    const to = from + 1 + random(bytes.length)
    socket.write(bytes.subarray(from, to))
    from = to
  }
}

const text = "s".repeat(32)
const secret = Redacted.make(text)
const secured = { secret: createSecretKey(Buffer.from(text)) }

describe("hostile bytes", () => {
  it.effect("before the greeting reach no handler", () =>
    Effect.gen(function*() {
      const handled: Array<unknown> = []
      const b = yield* node({
        secret,
        handler: (json, reply) => {
          handled.push(json)
          reply.end(json)
          return undefined
        }
      })
      const a = yield* node({ secret })
      const random = randomOf(1)
      for (let i = 0; i < 500; i++) {
        const client = yield* bareClient(b.port)
        const greeting = new Greeting({ ...identity, address: { host: Nodes.host, port: 1 + i } }, b.address)
        const hello = greeting.begin()
        if (random(2) === 0) client.socket.write(`${hello}\n`)
        writeInPieces(client.socket, bytesOf(random, hello), random)
        client.socket.write(`\n[[1,"from a stranger"]]\n`)
        yield* until(() => client.isClosed)
      }
      assert.deepStrictEqual(yield* ask(a.to(b.address), "from a friend"), { end: "from a friend" })
      assert.deepStrictEqual(handled, ["from a friend"])
    }))

  it.effect("of a node that has greeted end its own connection at most", () =>
    Effect.gen(function*() {
      const b = yield* node({
        secret,
        handler: (json, reply) => {
          reply.event("an event")
          if (json !== "park") reply.end(json)
          return () => {}
        }
      })
      const a = yield* node({ secret })
      yield* ask(a.to(b.address), "bystander")
      const { peer } = a.to(b.address)
      const random = randomOf(2)
      for (let i = 0; i < 300; i++) {
        const client = yield* greetedClient(b, secured)
        const bytes = bytesOf(random, `[[7,"park"],[-7],[0],[0,5],[8,{"a":[1]}]]`)
        client.socket.write(`[[5,"park"]]\n`)
        writeInPieces(client.socket, bytes, random)
        // The line after it shows that all was read, or the connection is over.
        client.socket.write(`\n[[1000000,"last"]]\n`)
        yield* until(() => client.isClosed || client.text.includes(`[1000000,"last"]`))
      }
      assert.deepStrictEqual(yield* ask(a.to(b.address), "bystander"), { end: "bystander" })
      assert.strictEqual(a.to(b.address).peer, peer)
    }))

  it.effect("from a server lose what was asked of it, with one end each", () =>
    Effect.gen(function*() {
      const a = yield* node({ secret })
      const b = yield* node({ secret })
      const random = randomOf(3)
      let lost = 0
      for (let i = 0; i < 300; i++) {
        const isGreeting = random(2) === 0
        const server = yield* bareServer((socket) => {
          const address = { host: Nodes.host, port: server.port }
          const greeting = new Greeting({ ...identity, ...secured, address }, undefined)
          let read = ""
          socket.on("data", (chunk) => {
            read += String(chunk)
            for (let end = read.indexOf("\n"); end >= 0; end = read.indexOf("\n")) {
              const line = read.slice(0, end)
              read = read.slice(end + 1)
              if (line.startsWith(`["`) && isGreeting) {
                const step = greeting.take(line)
                if ("line" in step && step.line !== undefined) socket.write(`${step.line}\n`)
                if (step._tag !== "Greeted") return
              }
              writeInPieces(socket, bytesOf(random, `[[1,"answer"],[0,1],[2,"event",1],[-3]]`), random)
              socket.end()
            }
          })
        })
        const outcomes: Array<string> = []
        for (let n = 0; n < 3; n++) {
          a.to({ host: Nodes.host, port: server.port }).ask(n, {
            end: () => outcomes.push("end"),
            lost: () => {
              outcomes.push("lost")
              lost++
            }
          })
        }
        yield* until(() => outcomes.length >= 3)
        assert.strictEqual(outcomes.length, 3)
      }
      assert.isAbove(lost, 500)
      assert.deepStrictEqual(yield* ask(a.to(b.address), 1), { end: 1 })
    }))
})
