/**
 * The program itself, as a process of its own.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Schedule } from "effect"
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net"
import { start } from "./ShopProcess.ts"

/** Reads a stream of events until it is over, and gives all of it; `opened` when the first has come. */
const follow = (url: string, opened: Deferred.Deferred<void>): Effect.Effect<string> =>
  Effect.promise(async () => {
    const response = await fetch(`${url}/api/events`)
    let text = ""
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      text += chunk
      Deferred.doneUnsafe(opened, Effect.void)
    }
    return text
  })

const get = (url: string): Effect.Effect<number> => Effect.promise(async () => (await fetch(url)).status)

const json = (url: string, init?: RequestInit): Effect.Effect<any> =>
  Effect.promise(async () => (await fetch(url, init)).json())

describe("npm start", () => {
  it.live("starts with one line of log, listens on this machine only, and serves", () =>
    Effect.gen(function*() {
      const shop = yield* start({}, "sources")
      const url = yield* shop.url
      assert.match(url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/)
      assert.strictEqual(yield* get(`${url}/health`), 200)
      assert.strictEqual(yield* get(url), 200)
      const headers = { "content-type": "application/json" }
      const large = yield* json(`${url}/api/cart/items`, { method: "POST", headers, body: " ".repeat(10_000_000) })
      assert.strictEqual(large._tag, "PayloadTooLarge")
      shop.process.kill("SIGINT")
      const { code, stderr, stdout } = yield* shop.ended
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.strictEqual(stdout, `The corner shop is open: ${url}\nThe corner shop is closed, 0 visits ended.\n`)
    }))

  it.live("listens when it can answer, and not before", () =>
    Effect.gen(function*() {
      const first = yield* start({})
      const url = yield* first.url
      first.process.kill("SIGKILL")
      yield* first.ended
      yield* start({ PORT: new URL(url).port })
      // The very first connection that it takes.
      const answer = yield* Effect.retry(Effect.tryPromise(() => fetch(`${url}/health`)), Schedule.spaced(5))
      assert.strictEqual(answer.status, 200)
    }))

  it.live("takes its settings from the environment", () =>
    Effect.gen(function*() {
      const shop = yield* start({ SESSIONS_MAX: "1", SESSIONS_RATE_LIMIT: "2", SESSIONS_TTL: "30 minutes" })
      const url = yield* shop.url
      const session = yield* json(`${url}/api/session`)
      assert.strictEqual(Date.parse(session.expiresAt) - Date.parse(session.startedAt), 30 * 60_000)
      assert.strictEqual(yield* get(`${url}/api/session`), 503)
    }))

  const settings: ReadonlyArray<readonly [name: string, value: string, explained: RegExp]> = [
    ["PORT", "tea", /number.*PORT/],
    ["LOG_LEVEL", "loud", /LOG_LEVEL/],
    ["SESSIONS_TTL", "soon", /SESSIONS_TTL must be a duration/]
  ]
  for (const [name, value, explained] of settings) {
    it.live(`does not start with ${name}=${value}, and says why in one line`, () =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* (yield* start({ [name]: value })).ended
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.match(stderr, /^The corner shop cannot open: [^\n]+\n$/)
        assert.match(stderr, explained)
      }))
  }

  it.live("does not start on a port that is taken, and says why in one line", () =>
    Effect.gen(function*() {
      const port = yield* Effect.acquireRelease(
        Effect.callback<Server>((resume) => {
          const server = createServer().listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      ).pipe(Effect.map((server) => String((server.address() as AddressInfo).port)))
      const { code, stderr, stdout } = yield* (yield* start({ PORT: port })).ended
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, new RegExp(`^The corner shop cannot open: .*EADDRINUSE.*${port}\n$`))
    }))

  it.live("ends at once on SIGTERM: open pages are notified, and hanging connections closed", () =>
    Effect.gen(function*() {
      const shop = yield* start({})
      const url = yield* shop.url
      const opened = [Deferred.makeUnsafe<void>(), Deferred.makeUnsafe<void>()]
      const pages = yield* Effect.forEach(opened, (opened) => Effect.forkChild(follow(url, opened)))
      yield* Effect.forEach(opened, Deferred.await)
      // A client that never finishes its request.
      let answer = ""
      const { hostname, port } = new URL(url)
      const slow = yield* Effect.acquireRelease(
        Effect.callback<Socket>((resume) => {
          const socket = connect(Number(port), hostname, () => resume(Effect.succeed(socket)))
          socket.on("error", () => {})
          socket.on("data", (chunk) => (answer += chunk))
          socket.write("POST /api/cart/items HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{")
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      assert.isFalse(slow.destroyed)

      shop.process.kill("SIGTERM")
      const { code, stderr, stdout } = yield* shop.ended
      assert.strictEqual(answer, "", "it was not waited for until its request had timed out")
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.include(stdout, "The corner shop is closed, 2 visits ended.\n")
      for (const page of pages) {
        assert.match(yield* Fiber.join(page), /event: end\ndata: \{"reason":"Shutdown"\}\n\n$/)
      }
    }))
})
