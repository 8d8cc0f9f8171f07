// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import type { Handler, Lost, Reply } from "../../src/edge/cluster/internal/peers/model.ts"
import { steppedClock } from "../steppedClock.ts"
import * as Nodes from "./nodes.ts"

const { ask, node, until } = Nodes

/** A handler that answers nothing: the test does. */
const parking = () => {
  const requests: Array<{ readonly json: any; readonly reply: Reply; isWithdrawn: boolean }> = []
  const handler: Handler = (json, reply) => {
    const request = { json, reply, isWithdrawn: false }
    requests.push(request)
    return () => {
      request.isWithdrawn = true
    }
  }
  const count = (n: number) => until(() => requests.length === n)
  return { requests, handler, count }
}

const disconnected = { lost: { sent: true, reason: "disconnected" } } as const

describe("requests and answers", () => {
  it.effect("an answer comes to its request, whatever the order", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const [a, b] = [yield* node(), yield* node({ handler })]
      const fibers = yield* Effect.forEach([1, 2, 3], (n) => Effect.forkChild(ask(a.to(b.address), n)))
      yield* count(3)
      for (const { json, reply } of requests.toReversed()) reply.end(json * 10)
      const answers = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(answers, [{ end: 10 }, { end: 20 }, { end: 30 }])
    }))

  it.effect("any text goes both ways unchanged: characters of several bytes, lone surrogates, line ends", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* node(), yield* node()]
      const texts = ["é😀\n\r\u2028\u0000", "\ud800", "\udfff\ud800", "😀".repeat(100_000), "€".repeat(333_333)]
      const answers = yield* Effect.forEach(texts, (text) => ask(a.to(b.address), text), { concurrency: 5 })
      assert.deepStrictEqual(answers, texts.map((end) => ({ end })))
    }))

  it.effect("nothing given is null", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* node(), yield* node()]
      assert.deepStrictEqual(yield* ask(a.to(b.address), undefined), { end: null })
    }))

  it.effect("a handler learns who asks", () =>
    Effect.gen(function*() {
      const handler: Handler = (_, reply, peer) => void reply.end(peer)
      const [a, b] = [yield* node({ features: { kinds: ["Cart"] } }), yield* node({ handler, features: 7 })]
      const link = a.to(b.address)
      assert.isUndefined(link.peer)
      const features = { kinds: ["Cart"] }
      assert.deepStrictEqual(yield* ask(link, null), {
        end: { address: a.address, incarnation: a.incarnation, features }
      })
      assert.deepStrictEqual(link.peer, { address: b.address, incarnation: b.incarnation, features: 7 })
    }))

  it.effect("two nodes that ask each other have a connection for each direction", () =>
    Effect.gen(function*() {
      const a = yield* Nodes.relayed()
      const b = yield* Nodes.relayed()
      const both = [ask(a.peers.to(b.peers.address), 1), ask(b.peers.to(a.peers.address), 2)]
      for (let i = 0; i < 3; i++) {
        assert.deepStrictEqual(yield* Effect.all(both, { concurrency: 2 }), [{ end: 1 }, { end: 2 }])
      }
      assert.deepStrictEqual([a.between.count, b.between.count], [1, 1])
    }))

  it.effect("a followed request has events, in their order, and one end", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const [a, b] = [yield* node(), yield* node({ handler })]
      const events: Array<unknown> = []
      const fiber = yield* Effect.forkChild(ask(a.to(b.address), "follow", (event) => events.push(event)))
      yield* count(1)
      const { reply } = requests[0]!
      for (let i = 0; i < 1_000; i++) reply.event(i)
      reply.end("over")
      reply.event("too late")
      reply.end("too late")
      assert.deepStrictEqual(yield* Fiber.join(fiber), { end: "over" })
      assert.deepStrictEqual(events, Array.from({ length: 1_000 }, (_, i) => i))
      assert.isFalse(requests[0]!.isWithdrawn)
    }))

  it.effect("a withdrawal tells the handler, and nobody hears of the request any more", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const [a, b] = [yield* node(), yield* node({ handler })]
      const link = a.to(b.address)
      const fiber = yield* Effect.forkChild(ask(link, 1))
      yield* count(1)
      yield* Fiber.interrupt(fiber)
      yield* until(() => requests[0]!.isWithdrawn)
      requests[0]!.reply.end("nobody waits")
      const next = yield* Effect.forkChild(ask(link, 2))
      yield* count(2)
      requests[1]!.reply.end("answer")
      assert.deepStrictEqual(yield* Fiber.join(next), { end: "answer" })
    }))

  it.effect("a request that is withdrawn before there is a connection is never sent", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const [a, b] = [yield* node(), yield* node({ handler })]
      const link = a.to(b.address)
      link.ask("withdrawn", { end: () => assert.fail(), lost: () => assert.fail() })()
      yield* Effect.forkChild(ask(link, "asked"))
      yield* count(1)
      assert.strictEqual(requests[0]!.json, "asked")
    }))

  it.effect("a handler that throws loses its own request only", () =>
    Effect.gen(function*() {
      const handler: Handler = (json, reply) => {
        if (json === "throw") throw new Error("a bug")
        reply.end(json)
        return undefined
      }
      const [a, b] = [yield* node(), yield* node({ handler })]
      const asks = ["before", "throw", "after"].map((json) => ask(a.to(b.address), json))
      const answers = yield* Effect.all(asks, { concurrency: 3 })
      assert.deepStrictEqual(answers, [{ end: "before" }, { lost: { sent: true, reason: "failed" } }, { end: "after" }])
    }))

  it.effect("an asker that throws concerns no other request", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* node(), yield* node()]
      const link = a.to(b.address)
      link.ask(1, {
        end: () => {
          throw new Error("a bug")
        },
        lost: () => assert.fail()
      })
      assert.deepStrictEqual(yield* ask(link, 2), { end: 2 })
    }))

  it.effect("an asker may ask and withdraw while it is told of its loss", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const { between, peers } = yield* Nodes.relayed({ handler, lineLimit: 10_000 })
      const a = yield* node()
      const link = a.to(peers.address)
      const told: Array<string> = []
      const asker = (name: string, then: () => void) => ({
        end: () => told.push(`${name} end`),
        lost: ({ reason, sent }: Lost) => {
          told.push(`${name} ${reason} ${sent}`)
          then()
        }
      })
      // The first one is too long, which is known when there is a connection.
      let again = () => {}
      link.ask("x".repeat(20_000), asker("long", () => again()))
      const second = link.ask("second", asker("second", () => {}))
      let fourth = () => {}
      link.ask("third", asker("third", () => fourth()))
      again = () => {
        second()
        fourth = link.ask("fourth", asker("fourth", () => {}))
        link.ask("fifth", asker("fifth", () => link.ask("sixth", asker("sixth", () => {}))))
      }
      yield* count(3)
      assert.deepStrictEqual(requests.map(({ json }) => json).toSorted(), ["fifth", "fourth", "third"])
      between.cut()
      yield* until(() => told.includes("fifth disconnected true"))
      yield* TestClock.adjust(50)
      yield* count(4)
      requests[3]!.reply.end(null)
      yield* until(() => told.includes("sixth end"))
      assert.deepStrictEqual(told, [
        "long unsendable false",
        "third disconnected true",
        "fifth disconnected true",
        "sixth end"
      ])
    }))

  it.effect("what is not JSON, or too long, is lost, and no other request with it", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const [a, b] = [yield* node(), yield* node({ handler, lineLimit: 100_000 })]
      const link = a.to(b.address)
      const unsendable = { lost: { sent: false, reason: "unsendable" } } as const
      const failed = { lost: { sent: true, reason: "failed" } } as const
      assert.deepStrictEqual(yield* ask(link, 1n), unsendable)
      assert.deepStrictEqual(yield* ask(link, "€".repeat(33_334)), unsendable)
      const fibers = yield* Effect.forEach(
        ["big integer", "long", "short", "event"],
        (json) => Effect.forkChild(ask(link, json))
      )
      yield* count(4)
      requests[0]!.reply.end(1n)
      requests[1]!.reply.end("x".repeat(100_000))
      requests[2]!.reply.end("x".repeat(99_000))
      requests[3]!.reply.event(1n)
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [
        failed,
        failed,
        { end: "x".repeat(99_000) },
        failed
      ])
      assert.isTrue(requests[3]!.isWithdrawn)
    }))

  it.effect("a turn with more than a line takes goes in several lines", () =>
    Effect.gen(function*() {
      const [a, b] = [yield* node(), yield* node({ lineLimit: 10_000 })]
      const texts = Array.from({ length: 200 }, (_, i) => "€".repeat(i % 20 === 0 ? 3_000 : i))
      const answers = yield* Effect.forEach(texts, (text) => ask(a.to(b.address), text), { concurrency: "unbounded" })
      assert.deepStrictEqual(answers, texts.map((end) => ({ end })))
    }))

  it.effect("all frames of one turn go in one line", () =>
    Effect.gen(function*() {
      const b = yield* node()
      const client = yield* Nodes.greetedClient(b)
      const frames = Array.from({ length: 100 }, (_, i) => [i + 1, "x"])
      client.socket.write(`${JSON.stringify(frames)}\n`)
      yield* until(() => client.text.endsWith("\n"))
      assert.deepStrictEqual(JSON.parse(client.text), frames)
    }))

  it.effect("this node itself is alive, and refuses to be asked", () =>
    Effect.gen(function*() {
      const a = yield* node()
      assert.isTrue(yield* a.isAlive(a.address))
      assert.deepStrictEqual(yield* ask(a.to(a.address), 1), { lost: { sent: false, reason: "unreachable" } })
    }))

  it.effect("a port that is taken is a typed failure", () =>
    Effect.gen(function*() {
      const a = yield* node()
      const error = yield* Effect.flip(node({ address: a.address }))
      assert.strictEqual(error._tag, "ListenFailed")
      assert.include(error.message, `127.0.0.1:${a.port}`)
    }))

  it.effect("an option that is not usable is named", () =>
    Effect.gen(function*() {
      const wrong = [
        { silence: 0 },
        { silence: "Infinity" as const },
        { lineLimit: 10 },
        { unreadLimit: 10 },
        { features: 1n }
      ]
      for (const options of wrong) {
        const error = yield* Effect.flip(node(options))
        assert.strictEqual(error._tag === "InvalidConfig" ? error.setting : "", Object.keys(options)[0])
      }
    }))
})

describe("the end of a connection", () => {
  it.effect("what was sent may have begun; the next request makes another connection", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const { between, peers } = yield* Nodes.relayed({ handler })
      const a = yield* node()
      const link = a.to(peers.address)
      const fiber = yield* Effect.forkChild(ask(link, 1))
      yield* count(1)
      between.cut()
      assert.deepStrictEqual(yield* Fiber.join(fiber), disconnected)
      yield* until(() => requests[0]!.isWithdrawn)
      const next = yield* Effect.forkChild(ask(link, 2))
      yield* TestClock.adjust(50)
      yield* count(2)
      requests[1]!.reply.end("here again")
      assert.deepStrictEqual(yield* Fiber.join(next), { end: "here again" })
      assert.strictEqual(between.count, 2)
    }))

  it.effect("what waits for a connection was not sent when there is none", () =>
    Effect.gen(function*() {
      const a = yield* node()
      const port = yield* Effect.scoped(Effect.map(node(), ({ port }) => port))
      assert.deepStrictEqual(yield* ask(a.to({ host: Nodes.host, port }), 1), {
        lost: { sent: false, reason: "unreachable" }
      })
    }))

  it.effect("an address that no socket takes is not reachable", () =>
    Effect.gen(function*() {
      const a = yield* node()
      assert.deepStrictEqual(yield* ask(a.to({ host: Nodes.host, port: 70_000 }), 1), {
        lost: { sent: false, reason: "unreachable" }
      })
    }))

  it.effect("attempts have pauses between them, which double up to a second", () =>
    Effect.gen(function*() {
      const server = yield* Nodes.bareServer((socket) => socket.destroy())
      const a = yield* node()
      const link = a.to({ host: Nodes.host, port: server.port })
      yield* ask(link, 0)
      for (const pause of [50, 100, 200, 400, 800, 1_000, 1_000]) {
        let isLost = false
        link.ask(1, { end: () => assert.fail(), lost: () => isLost = true })
        yield* TestClock.adjust(pause - 1)
        yield* Effect.yieldNow
        assert.isFalse(isLost)
        yield* TestClock.adjust(1)
        yield* until(() => isLost)
      }
    }))

  it.effect("a peer that accepts and is silent is given up, and nothing was sent to it", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const server = yield* Nodes.bareServer((socket) => socket.on("data", (chunk) => lines.push(String(chunk))))
      const a = yield* node({ silence: "3 seconds" })
      const fiber = yield* Effect.forkChild(ask(a.to({ host: Nodes.host, port: server.port }), "request"))
      yield* until(() => lines.length > 0)
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* Fiber.join(fiber), { lost: { sent: false, reason: "unreachable" } })
      assert.notInclude(lines.join(""), "request")
    }))

  it.effect("a peer that falls silent is given up after the silence, at both ends", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const { between, peers } = yield* Nodes.relayed({ handler })
      const a = yield* node({ silence: "2 seconds" })
      const link = a.to(peers.address)
      const fiber = yield* Effect.forkChild(ask(link, 1))
      yield* count(1)
      // Signs of life are given and heard.
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust(500)
        assert.isTrue(yield* a.isAlive(peers.address))
      }
      between.isStopped = true
      yield* TestClock.adjust(1_500)
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(yield* Fiber.join(fiber), disconnected)
      yield* until(() => requests[0]!.isWithdrawn)
    }))

  it.effect("a process that was stopped itself does not blame its peers", () =>
    Effect.gen(function*() {
      const clock = yield* steppedClock
      yield* clock.provide(Effect.gen(function*() {
        const { count, handler, requests } = parking()
        const [a, b] = [yield* node({ silence: "4 seconds" }), yield* node({ handler, silence: "4 seconds" })]
        const fiber = yield* Effect.forkChild(ask(a.to(b.address), 1))
        yield* count(1)
        const alive = yield* Effect.forkChild(a.isAlive(b.address))
        yield* Effect.yieldNow
        clock.standStill(60_000)
        yield* TestClock.adjust("1 second")
        assert.isTrue(yield* Fiber.join(alive))
        requests[0]!.reply.end("still here")
        assert.deepStrictEqual(yield* Fiber.join(fiber), { end: "still here" })
      }))
    }))

  it.effect("the end of the Scope loses what is asked, withdraws what is served, and sends what was answered", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const scope = yield* Scope.make()
      const a = yield* node()
      const c = parking()
      const other = yield* node({ handler: c.handler })
      const b = yield* Scope.provide(node({ handler }), scope)
      const answered = yield* Effect.forkChild(ask(a.to(b.address), 1))
      const open = yield* Effect.forkChild(ask(a.to(b.address), 2))
      const own = yield* Effect.forkChild(ask(b.to(other.address), 3))
      yield* count(2)
      yield* c.count(1)
      requests[0]!.reply.end("x".repeat(1_000_000))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* Fiber.join(answered), { end: "x".repeat(1_000_000) })
      assert.deepStrictEqual(yield* Fiber.join(open), disconnected)
      assert.deepStrictEqual(yield* Fiber.join(own), { lost: { sent: true, reason: "closed" } })
      assert.isTrue(requests[1]!.isWithdrawn)
      assert.deepStrictEqual(yield* ask(b.to(a.address), 4), { lost: { sent: false, reason: "closed" } })
      assert.isFalse(yield* a.isAlive(b.address))
    }))
})

describe("goodbye", () => {
  it.effect("refuses what has not begun and what comes, for those who connect later too", () =>
    Effect.gen(function*() {
      const started = yield* Deferred.make<void>()
      const withdrawn: Array<unknown> = []
      const handler: Handler = (json, reply) => {
        if (json === "last") Deferred.doneUnsafe(started, Effect.void)
        return () => {
          withdrawn.push(json)
          if (json === "parked") reply.refuse()
          if (json === "answered") reply.end("at the last moment")
        }
      }
      const [a, b, c] = [yield* node(), yield* node({ handler }), yield* node()]
      const link = a.to(b.address)
      const fibers = yield* Effect.forEach(
        ["parked", "begun", "answered", "last"],
        (json) => Effect.forkChild(ask(link, json))
      )
      yield* Deferred.await(started)
      const leaving = yield* Effect.forkChild(b.goodbye("2 seconds"))
      const left = (sent: boolean) => ({ lost: { sent, reason: "leaving" } }) as const
      assert.deepStrictEqual(yield* Effect.forEach(fibers, Fiber.join), [
        left(false),
        left(true),
        { end: "at the last moment" },
        left(true)
      ])
      assert.deepStrictEqual(yield* ask(link, "new"), left(false))
      assert.deepStrictEqual(yield* ask(c.to(b.address), "newcomer"), left(false))
      assert.isTrue(yield* c.isAlive(b.address))
      assert.deepStrictEqual(withdrawn, ["parked", "begun", "answered", "last"])
      assert.isUndefined(leaving.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(leaving)
    }))

  it.effect("a request that was under way meanwhile reaches no handler", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const b = yield* node({ handler })
      const client = yield* Nodes.greetedClient(b)
      client.socket.write(`[[1,"before"]]\n`)
      yield* count(1)
      yield* Effect.forkChild(b.goodbye("1 second"))
      client.socket.write(`[[2,"under way"]]\n`)
      yield* until(() => client.text.includes("[2]"))
      assert.strictEqual(client.text.replaceAll("]\n[", ","), "[[0,-1],[-1],[2]]\n")
      assert.strictEqual(requests.length, 1)
    }))

  it.effect("is forgotten when another node takes the address", () =>
    Effect.gen(function*() {
      const a = yield* node()
      const { address } = yield* Effect.scoped(Effect.gen(function*() {
        const b = yield* node()
        assert.deepStrictEqual(yield* ask(a.to(b.address), 1), { end: 1 })
        yield* b.goodbye(0)
        assert.deepStrictEqual(yield* ask(a.to(b.address), 2), { lost: { sent: false, reason: "leaving" } })
        return b
      }))
      yield* until(() => a.to(address).peer === undefined)
      yield* node({ address })
      const fiber = yield* Effect.forkChild(ask(a.to(address), 3))
      yield* TestClock.adjust(50)
      assert.deepStrictEqual(yield* Fiber.join(fiber), { end: 3 })
    }))
})

describe("backpressure", () => {
  it.effect("a follower learns when its peer reads too slowly, and when it reads again", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const { between, peers } = yield* Nodes.relayed({ handler })
      const a = yield* node()
      let events = 0
      yield* Effect.forkChild(ask(a.to(peers.address), "follow", () => events++))
      yield* count(1)
      const { reply } = requests[0]!
      let isReading = false
      reply.onDrain(() => isReading = true)
      assert.isTrue(isReading)
      let sent = 0
      let waits = 0
      const more = () => {
        for (; sent < 2_000; sent++) {
          if (reply.isFull) {
            waits++
            reply.onDrain(more)
            return
          }
          reply.event("x".repeat(10_000))
        }
      }
      more()
      assert.isBelow(sent, 20)
      yield* until(() => events === 2_000)
      assert.isAbove(waits, 10)
      assert.strictEqual(between.count, 1)
    }))

  it.effect("events stop while the peer does not read", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const b = yield* node({ handler })
      const client = yield* Nodes.greetedClient(b)
      client.socket.write(`[[1,"follow"]]\n`)
      client.socket.pause()
      yield* count(1)
      const { reply } = requests[0]!
      let sent = 0
      const more = () => {
        while (!reply.isFull && sent < 3_000) {
          reply.event("x".repeat(20_000))
          sent++
        }
        if (sent < 3_000) reply.onDrain(more)
      }
      more()
      // The system takes some of it, until it is full, too.
      let before = -1
      while (before !== sent) {
        before = sent
        for (let i = 0; i < 50; i++) yield* Nodes.turn
      }
      assert.isBelow(sent, 1_500)
      client.socket.removeAllListeners("data")
      let received = 0
      client.socket.on("data", (chunk) => received += chunk.length)
      client.socket.resume()
      yield* until(() => received > 3_000 * 20_000)
      assert.isFalse(requests[0]!.isWithdrawn)
    }))

  it.effect("a peer that does not read is given up when too much waits for it", () =>
    Effect.gen(function*() {
      const { count, handler, requests } = parking()
      const b = yield* node({ handler, unreadLimit: 20_000_000, lineLimit: 10_000_000 })
      const { socket } = yield* Nodes.greetedClient(b)
      socket.pause()
      socket.write(`[[1,"a"],[2,"b"],[3,"c"],[4,"d"]]\n`)
      yield* count(4)
      for (const { reply } of requests.slice(0, 3)) reply.end("x".repeat(9_000_000))
      yield* until(() => requests[3]!.isWithdrawn)
    }))

  it.effect("more than a limit does not wait to be sent", () =>
    Effect.gen(function*() {
      const server = yield* Nodes.bareServer(() => {})
      const a = yield* node({ lineLimit: 1_000_000, unreadLimit: 1_000_000 })
      const link = a.to({ host: Nodes.host, port: server.port })
      const first = yield* Effect.forkChild(ask(link, "x".repeat(600_000)))
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* ask(link, "x".repeat(600_000)), { lost: { sent: false, reason: "full" } })
      yield* Fiber.interrupt(first)
      yield* Effect.forkChild(ask(link, "x".repeat(600_000)))
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* ask(link, "x".repeat(600_000)), { lost: { sent: false, reason: "full" } })
    }))
})

describe("isAlive", () => {
  it.effect("is false for a process that is stopped, though its connection is open", () =>
    Effect.gen(function*() {
      const { between, peers } = yield* Nodes.relayed()
      const a = yield* node()
      assert.isTrue(yield* a.isAlive(peers.address))
      between.isStopped = true
      const fiber = yield* Effect.forkChild(a.isAlive(peers.address))
      yield* Effect.yieldNow
      yield* TestClock.adjust(1_000)
      assert.isFalse(yield* Fiber.join(fiber))
      between.resume()
      assert.isTrue(yield* a.isAlive(peers.address))
      assert.strictEqual(between.count, 1)
    }))

  it.effect("connects at once, without the pause of an attempt that failed", () =>
    Effect.gen(function*() {
      const { between, peers } = yield* Nodes.relayed()
      const a = yield* node()
      yield* ask(a.to(peers.address), 1)
      between.cut()
      yield* until(() => a.to(peers.address).peer === undefined)
      assert.isTrue(yield* a.isAlive(peers.address))
    }))
})
