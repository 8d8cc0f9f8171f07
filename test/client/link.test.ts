import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Option, Random, Scope, Stream, SubscriptionRef } from "effect"
import { LiveClient } from "effect-sessions/client"
import { TestClock } from "effect/testing"
import { CartLive, connect, connected, errors, fail, FakeServer, pen, settle, succeed } from "./fakes.ts"

const statusOf = (client: LiveClient.LiveClient<any>) => SubscriptionRef.getUnsafe(client.status) as any

/** Random numbers that are always this one. */
const always = (value: number) =>
  Effect.provideService(Random.Random, { nextDoubleUnsafe: () => value, nextIntUnsafe: () => 0 })

describe("connecting", () => {
  it.effect("connects by itself and is open when the server has answered hello", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect({ protocols: ["bearer", "t"] })
      assert.deepStrictEqual([server.socket.url, server.socket.protocols], ["ws://cart", ["bearer", "t"]])
      assert.deepStrictEqual(statusOf(client), { _tag: "Connecting" })
      server.socket.open()
      assert.deepStrictEqual(server.socket.messages, [
        { _tag: "Request", id: "1", tag: "live.hello", payload: null, headers: [["live-parts", "true"]] }
      ])
      assert.strictEqual(statusOf(client)._tag, "Connecting")
      server.socket.hello(7)
      assert.deepStrictEqual(statusOf(client), { _tag: "Open", epoch: 7 })
    }))

  it.effect("runs the effect for the address for each connection, and retries if it fails", () =>
    Effect.gen(function*() {
      let asked = 0
      const url = Effect.suspend(() => ++asked === 2 ? Effect.fail("no token") : Effect.succeed(`ws://cart/${asked}`))
      const { client, server } = yield* connect({ url })
      yield* settle
      assert.strictEqual(server.socket.url, "ws://cart/1")
      server.socket.drop()
      assert.strictEqual(statusOf(client).attempt, 1)
      yield* TestClock.adjust(250)
      assert.deepStrictEqual([asked, server.sockets.length], [2, 1])
      assert.strictEqual(statusOf(client).attempt, 2)
      yield* TestClock.adjust(500)
      assert.strictEqual(server.socket.url, "ws://cart/3")
    }).pipe(always(1)))

  it.effect("runs the effect for the subprotocols for each connection", () =>
    Effect.gen(function*() {
      let token = 0
      const { server } = yield* connect({ protocols: Effect.sync(() => ["bearer", `t${++token}`]) })
      assert.deepStrictEqual(server.socket.protocols, ["bearer", "t1"])
      server.socket.drop()
      yield* TestClock.adjust(250)
      assert.deepStrictEqual(server.socket.protocols, ["bearer", "t2"])
    }))

  for (const why of ["expired", "replaced"]) {
    it.effect(`reconnects with new credentials when the server has closed the connection with 3000 ${why}`, () =>
      Effect.gen(function*() {
        let asked = 0
        const { client, server } = yield* connect({
          url: Effect.sync(() => `ws://cart/${++asked}`),
          protocols: Effect.sync(() => ["bearer", `t${asked}`])
        })
        server.accept()
        const answer = yield* Effect.forkChild(client.call("Add", pen), { startImmediately: true })
        const { headers } = server.socket.last("Add")
        server.socket.drop(3000, why)
        assert.deepInclude(statusOf(client), { _tag: "Reconnecting", attempt: 1 })
        yield* TestClock.adjust(249)
        assert.deepStrictEqual([asked, server.sockets.length], [1, 1])
        yield* TestClock.adjust(1)
        assert.deepStrictEqual([server.socket.url, server.socket.protocols], ["ws://cart/2", ["bearer", "t2"]])
        server.accept()
        assert.deepStrictEqual(statusOf(client), { _tag: "Open", epoch: 1 })
        // Actions in flight keep their numbers.
        const again = server.socket.last("Add")
        assert.deepStrictEqual(again.headers.slice(0, 2), headers.slice(0, 2))
        server.socket.say(succeed(again, 1))
        assert.strictEqual(yield* Fiber.join(answer), 1)
      }).pipe(always(1)))
  }

  it.effect("gives up an address that does not come, and retries", () =>
    Effect.gen(function*() {
      let asked = 0
      let late: (url: Effect.Effect<string>) => void = () => {}
      const url = Effect.suspend(() =>
        ++asked === 2 ? Effect.succeed("ws://cart") : Effect.callback<string>((resume) => {
          late = resume
        })
      )
      const { client, server } = yield* connect({ url })
      yield* TestClock.adjust(19_999)
      assert.deepStrictEqual([asked, statusOf(client)._tag], [1, "Connecting"])
      yield* TestClock.adjust(1)
      assert.deepInclude(statusOf(client), { _tag: "Reconnecting", attempt: 1 })
      yield* TestClock.adjust(250)
      assert.strictEqual(server.sockets.length, 1)
      server.accept()
      late(Effect.succeed("ws://late"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([asked, server.sockets.length, statusOf(client)._tag], [2, 1, "Open"])
    }))

  it.effect("gives up an address that cannot be interrupted too, and ignores its late result", () =>
    Effect.gen(function*() {
      const gate = yield* Deferred.make<string>()
      let asked = 0
      const url = Effect.suspend(() =>
        ++asked === 1 ? Effect.uninterruptible(Deferred.await(gate)) : Effect.succeed(`ws://cart/${asked}`)
      )
      const { client, server } = yield* connect({ url })
      yield* TestClock.adjust("21 seconds")
      server.accept()
      yield* Deferred.succeed(gate, "ws://cart/1")
      yield* settle
      assert.deepStrictEqual(server.sockets.map(({ url }) => url), ["ws://cart/2"])
      assert.strictEqual(statusOf(client)._tag, "Open")
    }))

  for (
    const [how, bad] of [
      ["fails", Effect.fail("no token")],
      ["dies", Effect.die(new Error("boom"))],
      ["is rejected", Effect.promise(() => Promise.reject(new Error("boom")))],
      ["is interrupted", Effect.interrupt],
      [
        "throws",
        Effect.suspend((): Effect.Effect<never> => {
          throw new Error("boom")
        })
      ]
    ] as const
  ) {
    it.effect(`tries again when the address or a subprotocol ${how}`, () =>
      Effect.gen(function*() {
        for (const part of ["url", "protocols"] as const) {
          let asked = 0
          const { client, server } = yield* connect({
            [part]: Effect.suspend((): Effect.Effect<string, unknown> =>
              ++asked === 1 ? bad : Effect.succeed("ws://cart")
            )
          })
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          assert.deepInclude(statusOf(client), { _tag: "Reconnecting", attempt: 1 })
          yield* TestClock.adjust(250)
          server.accept()
          assert.strictEqual(statusOf(client)._tag, "Open")
        }
      }))
  }

  it.effect("retries an address that cannot be opened, if the next one may differ", () =>
    Effect.gen(function*() {
      let asked = 0
      const url = Effect.sync(() => `ws://cart/${++asked}`)
      const server = new FakeServer()
      server.onSocket = () => {
        if (asked === 1) throw new SyntaxError("not an address")
      }
      const client = yield* LiveClient.make(CartLive, { url }).pipe(Effect.provide(server.layer))
      assert.deepInclude(statusOf(client), { _tag: "Reconnecting", attempt: 1 })
      yield* TestClock.adjust(250)
      server.accept()
      assert.strictEqual(statusOf(client)._tag, "Open")
    }))

  it.effect("gives up a server that accepts the connection and does not answer hello", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      server.socket.open()
      for (let i = 0; i < 8; i++) {
        yield* TestClock.adjust("5 seconds")
        server.socket.say({ _tag: "Pong" })
      }
      assert.strictEqual(server.sockets[0]!.closedWith, 4000)
      assert.strictEqual(statusOf(client)._tag, "Reconnecting")
    }))

  it.effect("is refused if a fixed address cannot be opened", () =>
    Effect.gen(function*() {
      const server = new FakeServer()
      server.onSocket = () => {
        throw new SyntaxError("not an address")
      }
      const client = yield* LiveClient.make(CartLive, { url: ":" }).pipe(Effect.provide(server.layer))
      assert.deepStrictEqual(statusOf(client), { _tag: "Refused", reason: "SyntaxError: not an address" })
    }))

  it.effect("gives up a socket that does not open", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      const [first] = server.sockets
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual([first!.closedWith, first!.listening], [4000, 0])
      assert.strictEqual(statusOf(client)._tag, "Reconnecting")
    }))
})

describe("reconnecting", () => {
  it.effect("pauses longer each time, a random part of 250 ms to 30 s", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const pauses: Array<number> = []
      const since = statusOf(client)
      server.socket.drop()
      assert.notStrictEqual(since, statusOf(client))
      for (let i = 0; i < 9; i++) {
        const { at, attempt } = statusOf(client)
        assert.strictEqual(attempt, i + 1)
        const now = yield* TestClock.testClockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
        pauses.push(at - now)
        const count = server.sockets.length
        yield* TestClock.adjust(at - now - 1)
        assert.strictEqual(server.sockets.length, count)
        yield* TestClock.adjust(1)
        assert.strictEqual(server.sockets.length, count + 1)
        server.socket.drop()
      }
      assert.deepStrictEqual(pauses, [125, 250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000])
    }).pipe(always(0.5)))

  it.effect("spreads the pauses over all of their range", () =>
    Effect.gen(function*() {
      const pauses: Array<number> = []
      for (let i = 0; i < 200; i++) {
        const { client, server } = yield* connect()
        server.socket.drop()
        pauses.push(statusOf(client).at)
      }
      assert.isBelow(Math.min(...pauses), 25)
      assert.isAbove(Math.max(...pauses), 225)
      assert.isTrue(pauses.every((pause) => pause >= 0 && pause <= 250))
    }).pipe(Random.withSeed("pauses")))

  it.effect("accepts other bounds", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect({ reconnect: { base: "1 second", max: "3 seconds" } })
      for (const expected of [1000, 2000, 3000, 3000]) {
        const before = yield* TestClock.testClockWith((clock) => Effect.sync(() => clock.currentTimeMillisUnsafe()))
        server.socket.drop()
        assert.strictEqual(statusOf(client).at - before, expected)
        yield* TestClock.adjust(expected)
      }
    }).pipe(always(1)))

  it.effect("starts with the shortest pause after a stable connection, and only then", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const pause = () => {
        server.socket.drop()
        const { at, attempt } = statusOf(client)
        return [attempt, at] as const
      }
      let now = 0
      const pass = (millis: number) => {
        now += millis
        return TestClock.adjust(millis)
      }
      // Greeted, and gone at once, without end.
      for (let i = 1; i <= 6; i++) {
        const [attempt, at] = pause()
        assert.deepStrictEqual([attempt, at - now], [i, 125 * 2 ** i])
        yield* pass(at - now)
        server.accept()
        yield* pass(30)
      }
      // As long as the pause before it was, which is longer than 5 s.
      yield* pass(7_969)
      let [attempt, at] = pause()
      assert.deepStrictEqual([attempt, at - now], [7, 16_000])
      yield* pass(at - now)
      server.accept()
      yield* pass(16_000)
      ;[attempt, at] = pause()
      assert.deepStrictEqual([attempt, at - now], [1, 250])
      yield* pass(at - now)
      server.accept()
      yield* pass(4_999)
      ;[attempt, at] = pause()
      assert.deepStrictEqual([attempt, at - now], [2, 500])
      assert.strictEqual(statusOf(client).since, now)
    }).pipe(always(1)))

  it.effect("connects at once on reconnect", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      server.socket.drop()
      yield* client.reconnect
      assert.strictEqual(server.sockets.length, 2)
      assert.deepInclude(statusOf(client), { _tag: "Reconnecting", attempt: 1, at: 0 })
      yield* client.reconnect
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.sockets.length, 2, "one attempt at a time")
      server.accept()
      yield* client.reconnect
      assert.deepStrictEqual(server.socket.messages.at(-1), { _tag: "Ping" })
    }))

  for (
    const [code, text] of [[1001, "the server is closing"], [1001, "shutdown"], [1006, ""], [1013, "no room"], [
      1005,
      ""
    ]]
  ) {
    it.effect(`reconnects by itself after ${code} ${text}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected()
        server.socket.drop(code as number, text as string)
        assert.strictEqual(statusOf(client)._tag, "Reconnecting")
        yield* TestClock.adjust(250)
        server.accept(2)
        assert.deepStrictEqual(statusOf(client), { _tag: "Open", epoch: 2 })
      }))
  }

  it.effect("reconnects at once to a session that has moved, unless the connection was short", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* TestClock.adjust("1 second")
      server.socket.drop(1012, "moved")
      assert.strictEqual(statusOf(client).at, 1000)
      yield* settle
      assert.strictEqual(server.sockets.length, 2)
      server.accept()
      yield* TestClock.adjust("1 second")
      // It moves again and again.
      server.socket.drop(1012, "moved")
      assert.strictEqual(statusOf(client).at, 2500)
    }).pipe(always(1)))

  it.effect("reconnects after a defect of the server's protocol, and after an unreadable message", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      for (const frame of ["{\"_tag\":\"Defect\",\"defect\":\"boom\"}", "{"]) {
        server.socket.frame(frame)
        assert.strictEqual(server.socket.closedWith, 4000)
        assert.strictEqual(statusOf(client)._tag, "Reconnecting")
        yield* TestClock.adjust(250)
        server.accept()
      }
    }))
})

describe("not reconnecting", () => {
  for (
    const [code, text, reason] of [
      [1000, "expired", "Expired"],
      [1000, "disconnected", "Disconnected"],
      [1000, "", "Stopped"],
      [1011, "crashed", "Crashed"],
      [1013, "evicted", "Evicted"]
    ] as const
  ) {
    it.effect(`the session has ended (${reason}) after ${code} ${text}`, () =>
      Effect.gen(function*() {
        const { client, server } = yield* connected()
        const waiting = yield* Effect.forkChild(Effect.flip(client.call("Add", pen)))
        yield* settle
        server.socket.drop(code, text)
        assert.deepStrictEqual(statusOf(client), { _tag: "Ended", reason })
        assert.deepInclude(yield* Fiber.join(waiting), { _tag: "SessionGone", reason })
        assert.deepInclude(yield* Effect.flip(client.call("Clear")), { _tag: "SessionGone", reason })
        assert.deepInclude(yield* Effect.flip(client.lifetime), { _tag: "SessionGone", reason })
        assert.deepInclude(yield* Effect.flip(Stream.runDrain(client.changes("items"))), {
          _tag: "SessionGone",
          reason
        })
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(server.sockets.length, 1)
        yield* client.reconnect
        assert.deepStrictEqual(statusOf(client), { _tag: "Connecting" })
        server.accept(2)
        assert.deepStrictEqual(statusOf(client), { _tag: "Open", epoch: 2 })
        yield* client.cast("Clear")
        assert.strictEqual(server.socket.actions().length, 1)
      }))
  }

  it.effect("believes what the server said before it closed", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* client.mount("items")
      server.socket.say(fail(server.socket.view("items"), errors.gone("Evicted")))
      assert.strictEqual(statusOf(client)._tag, "Open", "there may be more to come")
      server.socket.drop(1013, "later")
      assert.deepStrictEqual(statusOf(client), { _tag: "Ended", reason: "Evicted" })
    }))

  it.effect("does not wait for long for a server that does not close", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      server.socket.open()
      server.socket.say(fail(server.socket.last("live.hello"), errors.gone(null)))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(statusOf(client), { _tag: "Ended", reason: null })
      assert.strictEqual(server.socket.closedWith, 1000)
    }))

  it.effect("reconnects to a session that has moved or is shut down", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* client.mount("items")
      server.socket.say(fail(server.socket.view("items"), errors.gone("Shutdown")))
      server.socket.drop(1000)
      assert.strictEqual(statusOf(client)._tag, "Reconnecting")
    }))

  it.effect("is refused with 1008, keeps its actions, and reconnects only on request", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      yield* client.cast("Add", pen)
      server.socket.drop(1008, "revoked")
      assert.deepStrictEqual(statusOf(client), { _tag: "Refused", reason: "revoked" })
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(server.sockets.length, 1)
      yield* client.cast("Clear")
      yield* client.reconnect
      server.accept()
      assert.deepStrictEqual(server.socket.actions(), [["Add", 1, true], ["Clear", 2, false]])
    }))

  it.effect("reconnects if the session cannot be loaded now", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      server.socket.open().say(fail(server.socket.last("live.hello"), errors.busy(1_000)))
      assert.strictEqual(statusOf(client)._tag, "Reconnecting")
      yield* TestClock.adjust(250)
      server.accept()
      assert.deepStrictEqual(statusOf(client), { _tag: "Open", epoch: 1 })
    }))

  it.effect("is refused when hello is", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      server.socket.open().say(fail(server.socket.last("live.hello"), errors.forbidden))
      assert.deepStrictEqual(statusOf(client), { _tag: "Refused", reason: "…" })
    }))
})

describe("heartbeat", () => {
  it.effect("pings when nothing came for 20 s, and gives up 20 s later", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const { socket } = server
      yield* TestClock.adjust(19_999)
      assert.deepStrictEqual(socket.take(), [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(socket.take(), [{ _tag: "Ping" }])
      yield* TestClock.adjust(19_999)
      assert.strictEqual(statusOf(client)._tag, "Open")
      yield* TestClock.adjust(1)
      assert.deepInclude(statusOf(client), { _tag: "Reconnecting", attempt: 1 })
      assert.deepStrictEqual([socket.closedWith, socket.listening], [4000, 0])
    }))

  it.effect("counts each part of a long message, which is handled when it is complete", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connect()
      const { socket } = server
      socket.open().hello(1)
      const view = yield* client.mount("total")
      const text = JSON.stringify({
        _tag: "Chunk",
        requestId: socket.last("live.view").id,
        values: [{ _tag: "snapshot", epoch: 1, version: 1, state: 7 }]
      })
      // It takes five minutes.
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("30 seconds")
        assert.isUndefined(socket.closedWith)
        socket.frame(`+${text.slice(i * 4, i * 4 + 4)}`)
        assert.isTrue(Option.isNone(view.state.value))
      }
      socket.frame(`=${text.slice(40)}`)
      assert.deepStrictEqual(view.state.value, Option.some(7))
      assert.strictEqual(server.sockets.length, 1)
    }))

  it.effect("counts bytes that are sent: the ping waits behind them", () =>
    Effect.gen(function*() {
      const { server } = yield* connect()
      const socket = server.socket as typeof server.socket & { bufferedAmount: number }
      socket.bufferedAmount = 0
      socket.open().hello(1)
      socket.bufferedAmount = 1_000_000
      for (let i = 0; i < 10; i++) {
        yield* TestClock.adjust("20 seconds")
        socket.bufferedAmount -= 1_000
        assert.isUndefined(socket.closedWith)
      }
      // Now nothing goes any more.
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(socket.closedWith, 4000)
    }))

  it.effect("goes on after a pong, and does not ping while other messages come", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected({ heartbeat: "10 seconds" })
      const { socket } = server
      for (let i = 0; i < 5; i++) {
        // The ping comes when nothing was heard for 10 seconds, the answer 9 seconds after it.
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(socket.take(), [{ _tag: "Ping" }])
        yield* TestClock.adjust("9 seconds")
        socket.say({ _tag: "Pong" })
      }
      for (let i = 0; i < 5; i++) {
        yield* TestClock.adjust("8 seconds")
        socket.say({ _tag: "Pong" })
      }
      assert.deepStrictEqual(socket.take(), [])
      assert.strictEqual(statusOf(client)._tag, "Open")
    }))
})

describe("the lifetime of the session", () => {
  it.effect("is set with hello", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const asking = yield* Effect.forkChild(client.lifetime)
      yield* settle
      server.socket.say(succeed(server.socket.last("live.hello"), { epoch: 1, window: 8, expiresIn: 1500 }))
      assert.deepStrictEqual(yield* Fiber.join(asking), Option.some(1500))
      assert.strictEqual(server.socket.requests("live.hello").length, 2)
    }))

  it.effect("waits for a connection", () =>
    Effect.gen(function*() {
      const { client, server } = yield* connected()
      const asking = yield* Effect.forkChild(client.lifetime)
      yield* settle
      server.socket.drop()
      yield* TestClock.adjust(250)
      server.accept()
      assert.deepStrictEqual(yield* Fiber.join(asking), Option.none())
    }))
})

describe("closing", () => {
  it.effect("closes the socket with 1000, and waiting callers get an error", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { client, server } = yield* Scope.provide(connected({}, 1), scope)
      const fibers = yield* Effect.forEach(
        [client.call("Add", pen), client.call("Clear"), client.lifetime],
        (effect) => Effect.forkChild(Effect.flip(effect as Effect.Effect<unknown, any>))
      )
      const shown = yield* Effect.forkChild(Stream.runCollect(client.changes("total")))
      const rejected = yield* Effect.forkChild(Stream.runCollect(client.rejections))
      yield* settle
      server.socket.snapshot("total", 1, 5)
      yield* client.cast("Clear")
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(server.socket.closedWith, 1000)
      assert.strictEqual(server.socket.listening, 0)
      assert.deepStrictEqual(statusOf(client), { _tag: "Closed" })
      const [sent, unsent, lifetime] = yield* Effect.forEach(fibers, Fiber.join)
      assert.deepInclude(sent, { _tag: "ClientClosed", sent: true, retrySafe: false })
      assert.deepInclude(unsent, { _tag: "ClientClosed", sent: false, retrySafe: true })
      assert.strictEqual(lifetime._tag, "ClientClosed")
      assert.deepStrictEqual(yield* Fiber.join(shown), [5])
      assert.deepStrictEqual((yield* Fiber.join(rejected)).map(({ error }) => error._tag), ["ClientClosed"])
      for (const effect of [client.call("Clear"), client.cast("Clear"), client.lifetime]) {
        assert.strictEqual((yield* Effect.flip(effect as Effect.Effect<unknown, any>))._tag, "ClientClosed")
      }
      assert.deepStrictEqual(yield* Stream.runCollect(client.changes("items")), [])
      yield* client.reconnect
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(server.sockets.length, 1)
    }))

  it.effect("stops an attempt to connect, whatever it waits for", () =>
    Effect.gen(function*() {
      for (const how of [Effect.interruptible, Effect.uninterruptible, () => Effect.never]) {
        const gate = yield* Deferred.make<string>()
        const url = how(Deferred.await(gate))
        const scope = yield* Scope.make()
        const { client, server } = yield* Scope.provide(connect({ url }), scope)
        const waiting = yield* Effect.forkChild(Effect.flip(client.call("Clear")))
        yield* settle
        yield* Scope.close(scope, Exit.void)
        assert.deepInclude(yield* Fiber.join(waiting), { _tag: "ClientClosed", sent: false })
        yield* Deferred.succeed(gate, "ws://cart")
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual([server.sockets.length, statusOf(client)._tag], [0, "Closed"])
      }
      const scope = yield* Scope.make()
      const { server } = yield* Scope.provide(connect(), scope)
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual([server.socket.closedWith, server.socket.listening], [1000, 0])
    }))

  it.effect("stops an attempt to reconnect", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { server } = yield* Scope.provide(connected(), scope)
      server.socket.drop()
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(server.sockets.length, 1)
    }))
})

describe("in a page", () => {
  const Page = Effect.acquireRelease(
    Effect.sync(() => {
      const page: any = globalThis
      const targets = { window: new EventTarget(), document: new EventTarget() as any }
      const listening = new Set<unknown>()
      const listen = (target: EventTarget) => ({
        addEventListener: (type: string, listener: () => void) => {
          listening.add(listener)
          target.addEventListener(type, listener)
        },
        removeEventListener: (type: string, listener: () => void) => {
          listening.delete(listener)
          target.removeEventListener(type, listener)
        }
      })
      const document = { ...listen(targets.document), visibilityState: "visible" }
      Object.assign(page, listen(targets.window), { document })
      return {
        ...targets,
        listening,
        show: (state: string) => {
          document.visibilityState = state
          targets.document.dispatchEvent(new Event("visibilitychange"))
        }
      }
    }),
    () =>
      Effect.sync(() => {
        for (const name of ["addEventListener", "removeEventListener", "document"]) delete (globalThis as any)[name]
      })
  )

  it.effect("reconnects at once when the network is back or the page is visible, but not after Refused", () =>
    Effect.gen(function*() {
      const page = yield* Page
      const scope = yield* Scope.make()
      const { client, server } = yield* Scope.provide(connected(), scope)
      server.socket.drop()
      page.show("hidden")
      assert.strictEqual(server.sockets.length, 1)
      page.show("visible")
      assert.strictEqual(server.sockets.length, 2)
      page.window.dispatchEvent(new Event("online"))
      assert.strictEqual(server.sockets.length, 2, "one attempt at a time")
      server.socket.drop()
      page.window.dispatchEvent(new Event("online"))
      assert.strictEqual(server.sockets.length, 3)
      server.accept().take()
      page.show("visible")
      assert.deepStrictEqual(server.socket.take(), [])
      yield* TestClock.adjust("1 second")
      page.show("visible")
      assert.deepStrictEqual(server.socket.take(), [{ _tag: "Ping" }])
      server.socket.drop(1008, "revoked")
      page.show("visible")
      page.window.dispatchEvent(new Event("online"))
      assert.deepStrictEqual([server.sockets.length, statusOf(client)._tag], [3, "Refused"])
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(page.listening.size, 0)
    }))
})

describe("a client as a service", () => {
  it.effect("is made and closed with its Layer", () =>
    Effect.gen(function*() {
      class CartClient extends LiveClient.Service<CartClient>()("CartClient", CartLive) {}
      const server = new FakeServer()
      yield* Effect.gen(function*() {
        const client = yield* CartClient
        server.accept()
        assert.strictEqual(statusOf(client)._tag, "Open")
      }).pipe(Effect.provide(Layer.provide(CartClient.layerWith({ url: "ws://cart" }), server.layer)))
      assert.strictEqual(server.socket.closedWith, 1000)
    }))
})
