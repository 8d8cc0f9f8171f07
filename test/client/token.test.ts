import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger, Random } from "effect"
import { TestClock } from "effect/testing"
import { connect, errors, fail, succeed } from "./fakes.ts"

/** Random numbers that are always 1: the longest pauses. */
const longest = Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 1, nextIntUnsafe: () => 0 })

const expiresIn = (millis: number) => ({ tokenExpiresIn: millis })

/** A client whose tokens are numbered. From `flaky` on, every other token fails. */
const withTokens = (flaky = Infinity) =>
  Effect.gen(function*() {
    let asked = 0
    const token = Effect.suspend(() =>
      ++asked >= flaky && asked % 2 === 0 ? Effect.fail("no network") : Effect.succeed(`t${asked}`)
    )
    const { server } = yield* connect({ token, heartbeat: "30 days" })
    return { server, asked: () => asked }
  })

describe("A client with a token", () => {
  it.effect("offers it, and sends another one a minute before it expires, on the same connection", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* withTokens()
      assert.deepStrictEqual(server.socket.protocols, ["bearer", "t1"])
      server.accept(1, 8, expiresIn(600_000))
      yield* TestClock.adjust(539_999)
      assert.strictEqual(asked(), 1)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(server.socket.last("live.token").payload, { token: "t2" })
      server.socket.say(succeed(server.socket.last("live.token"), { expiresIn: 40_000 }))
      // A shorter life: after half of it.
      yield* TestClock.adjust(20_000)
      assert.deepStrictEqual(server.socket.last("live.token").payload, { token: "t3" })
      assert.strictEqual(server.sockets.length, 1)
    }).pipe(longest))

  it.effect("retries while there is time, whether there is no token or the server refuses it", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* withTokens(2)
      server.accept(1, 8, expiresIn(600_000))
      yield* TestClock.adjust(540_000)
      assert.deepStrictEqual([asked(), server.socket.requests("live.token").length], [2, 0])
      yield* TestClock.adjust(30_000)
      assert.deepStrictEqual(server.socket.last("live.token").payload, { token: "t3" })
      server.socket.say(fail(server.socket.last("live.token"), errors.busy(1_000)))
      yield* TestClock.adjust(15_000)
      assert.strictEqual(asked(), 4)
      yield* TestClock.adjust(7_500)
      assert.deepStrictEqual(server.socket.last("live.token").payload, { token: "t5" })
    }).pipe(longest, Effect.provide(Logger.layer([]))))

  it.effect("reconnects with another token when it has expired all the same, and starts again there", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* withTokens()
      server.accept(1, 8, expiresIn(600_000))
      yield* TestClock.adjust(100_000)
      server.socket.drop(3000, "expired")
      yield* TestClock.adjust(250)
      assert.deepStrictEqual([server.sockets.length, server.socket.protocols], [2, ["bearer", "t2"]])
      server.accept(1, 8, expiresIn(600_000))
      // That of the lost connection is not renewed.
      yield* TestClock.adjust(539_999)
      assert.strictEqual(asked(), 2)
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(server.socket.last("live.token").payload, { token: "t3" })
    }).pipe(longest))

  it.effect("keeps the token if the server does not say when it expires", () =>
    Effect.gen(function*() {
      const { asked, server } = yield* withTokens()
      server.accept()
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual([asked(), server.sockets.length, server.socket.requests("live.token")], [1, 1, []])
    }).pipe(longest))
})
