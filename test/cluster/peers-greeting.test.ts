// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { Greeting } from "../../src/edge/cluster/internal/peers/greeting.ts"
import type { Options } from "../../src/edge/cluster/internal/peers/Peers.ts"
import * as Nodes from "./nodes.ts"

const { ask, bareClient, greetedClient, identity, node, until } = Nodes

const unreachable = { lost: { sent: false, reason: "unreachable" } } as const
const secret = (letter: string) => Redacted.make(letter.repeat(32))

/** What was logged within. */
const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const lines: Array<string> = []
  const logger = Logger.make(({ message }) => {
    lines.push(String(message))
  })
  return Effect.map(Effect.provide(effect, Logger.layer([logger])), (value) => ({ value, lines }))
}

describe("the greeting", () => {
  it.effect("nodes with one secret answer each other", () =>
    Effect.gen(function*() {
      const a = yield* node({ secret: secret("a") })
      const b = yield* node({ secret: secret("a"), features: ["of b"] })
      assert.deepStrictEqual(yield* ask(a.to(b.address), 1), { end: 1 })
      assert.deepStrictEqual(a.to(b.address).peer?.features, ["of b"])
    }))

  const different: ReadonlyArray<[string, Partial<Options>, Partial<Options>, string, string]> = [
    [
      "another protocol",
      { protocol: 2 },
      {},
      "its protocol has the number 2, the protocol of HERE the number 1",
      "it refused this node: its protocol has the number 2, the protocol of HERE the number 1"
    ],
    [
      "another cluster",
      { cluster: "blue" },
      { cluster: "green" },
      "it belongs to the cluster blue, HERE to the cluster green",
      "it refused this node: it belongs to the cluster blue, HERE to the cluster green"
    ],
    [
      "another secret",
      { secret: secret("a") },
      { secret: secret("b") },
      "its secret is another one",
      "it refused this node: its secret is another one"
    ],
    [
      "a secret where there is none",
      { secret: secret("a") },
      {},
      "it has a secret, HERE has none",
      "it refused this node: it has a secret, HERE has none"
    ],
    [
      "no secret where there is one",
      {},
      { secret: secret("a") },
      "it has no secret, HERE has one",
      "it refused this node: it has no secret, HERE has one"
    ]
  ]
  for (const [what, ofAsker, ofServer, atServer, atAsker] of different) {
    it.effect(`refuses ${what}, and says so once a minute at both ends`, () =>
      Effect.gen(function*() {
        const server = yield* logged(Effect.gen(function*() {
          const b = yield* node(ofServer)
          const here = `127.0.0.1:${b.port}`
          const asker = yield* logged(Effect.gen(function*() {
            const a = yield* node(ofAsker)
            assert.deepStrictEqual(yield* ask(a.to(b.address), 1), unreachable)
            assert.isFalse(yield* a.isAlive(b.address))
            yield* TestClock.adjust("59 seconds")
            assert.deepStrictEqual(yield* ask(a.to(b.address), 1), unreachable)
            yield* TestClock.adjust("1 second")
            assert.deepStrictEqual(yield* ask(a.to(b.address), 1), unreachable)
          }))
          const line = `a connection between ${here} and this node was ended: ${atAsker.replaceAll("HERE", here)}`
          assert.deepStrictEqual(asker.lines, [line, line])
          return here
        }))
        const line = `a connection between 127.0.0.1 and this node was ended: ${
          atServer.replaceAll("HERE", server.value)
        }`
        assert.deepStrictEqual(server.lines, [line, line])
      }))
  }

  it.effect("refuses a node that is not the one that was to be reached", () =>
    Effect.gen(function*() {
      const { between, peers } = yield* Nodes.relayed()
      const [a, other] = [yield* node(), yield* node()]
      assert.deepStrictEqual(yield* ask(a.to(peers.address), 1), { end: 1 })
      between.cut()
      between.target = other.port
      yield* until(() => a.to(peers.address).peer === undefined)
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(yield* ask(a.to(peers.address), 1), unreachable)
    }))

  it.effect("refuses an asker that wanted to reach another node", () =>
    Effect.gen(function*() {
      const b = yield* node()
      const client = yield* bareClient(b.port)
      const other = { host: Nodes.host, port: 2 }
      client.socket.write(`${new Greeting(identity, other).begin()}\n`)
      yield* until(() => client.isClosed)
      assert.strictEqual(client.text, `["refused","it wanted to reach 127.0.0.1:2, this is 127.0.0.1:${b.port}"]\n`)
    }))

  it.effect("a node that was started anew at its address is another incarnation", () =>
    Effect.gen(function*() {
      const a = yield* node()
      const first = yield* Effect.scoped(Effect.gen(function*() {
        const b = yield* node()
        yield* ask(a.to(b.address), 1)
        return b
      }))
      const second = yield* node({ address: first.address })
      yield* until(() => a.to(first.address).peer === undefined)
      const answer = ask(a.to(first.address), 1)
      assert.deepStrictEqual(yield* Effect.race(answer, Effect.andThen(TestClock.adjust(50), Effect.never)), { end: 1 })
      assert.strictEqual(a.to(first.address).peer?.incarnation, second.incarnation)
      assert.notStrictEqual(first.incarnation, second.incarnation)
    }))

  it.effect("a newer connection of a node takes the place of its older one", () =>
    Effect.gen(function*() {
      const b = yield* node()
      const older = yield* greetedClient(b)
      const newer = yield* greetedClient(b)
      yield* until(() => older.isClosed)
      newer.socket.write(`[[1,"here"]]\n`)
      yield* until(() => newer.text === `[[1,"here"]]\n`)
    }))

  it.effect("no proof is worth anything in another connection, or in the other role", () =>
    Effect.gen(function*() {
      const key = (yield* node({ secret: secret("a") })).address
      const { createSecretKey } = yield* Effect.promise(() => import("node:crypto"))
      const self = { ...identity, secret: createSecretKey(Buffer.from("a".repeat(32))) }
      const peer = { ...self, address: key, incarnation: "peer" }
      const lineOf = (step: ReturnType<Greeting["take"]>) => step._tag === "Send" ? step.line : assert.fail(step._tag)
      const greet = () => {
        const asker = new Greeting(self, key)
        const server = new Greeting(peer, undefined)
        const proof = lineOf(asker.take(lineOf(server.take(asker.begin()))))
        return { asker, server, proof }
      }
      const [one, two] = [greet(), greet()]
      assert.strictEqual(two.server.take(one.proof)._tag, "Refused")
      // Its own proof, sent back to it.
      assert.strictEqual(one.asker.take(one.proof)._tag, "Refused")
      assert.strictEqual(one.server.take(one.proof)._tag, "Greeted")
      // Features that somebody has changed on their way.
      const [tag, , mac] = JSON.parse(greet().proof)
      assert.strictEqual(greet().server.take(JSON.stringify([tag, "other features", mac]))._tag, "Refused")
    }))

  it.effect("a secret that is too short is an invalid setting", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(node({ secret: Redacted.make("short") }))
      assert.include(error.message, "secret must have at least 32 bytes, it has 5")
    }))
})

describe("strangers", () => {
  it.effect("who does not greet is closed after the silence, however busy", () =>
    Effect.gen(function*() {
      const b = yield* node({ silence: "4 seconds" })
      const client = yield* bareClient(b.port)
      for (let i = 0; i < 3; i++) {
        client.socket.write("[")
        yield* TestClock.adjust("1 second")
      }
      yield* Effect.yieldNow
      assert.isFalse(client.isClosed)
      yield* TestClock.adjust("1 second")
      yield* until(() => client.isClosed)
    }))

  it.effect("a request before the greeting is refused", () =>
    Effect.gen(function*() {
      const b = yield* node({ handler: () => assert.fail("it was handled") })
      const client = yield* bareClient(b.port)
      client.socket.write(`[[1,"request"]]\n`)
      yield* until(() => client.isClosed)
      assert.strictEqual(client.text, `["refused","it does not speak the protocol of sessions between nodes"]\n`)
    }))

  it.effect("a line without end is closed at 256 KiB", () =>
    Effect.gen(function*() {
      const b = yield* node()
      const client = yield* bareClient(b.port)
      client.socket.write("[".repeat(256 * 1_024))
      yield* until(() => client.socket.writableLength === 0)
      assert.isFalse(client.isClosed)
      client.socket.write("[")
      yield* until(() => client.isClosed)
    }))

  it.effect("the oldest of many is closed, and nodes still greet each other", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* node(), yield* node()]
      const clients = yield* Effect.forEach(Array.from({ length: 100 }), () => bareClient(b.port))
      assert.deepStrictEqual(yield* ask(a.to(b.address), 1), { end: 1 })
      yield* until(() => clients.filter(({ isClosed }) => isClosed).length === 37)
      assert.isTrue(clients.slice(0, 37).every(({ isClosed }) => isClosed))
    }))

  it.effect("their refusals fill no log", () =>
    Effect.gen(function*() {
      const { lines } = yield* logged(Effect.gen(function*() {
        const b = yield* node()
        for (let i = 0; i < 20; i++) {
          const client = yield* bareClient(b.port)
          client.socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
          yield* until(() => client.isClosed)
        }
      }))
      assert.strictEqual(lines.length, 1)
    }))
})
