import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Option, type Redacted, Stream } from "effect"
import { Sessions, StartLimiter } from "effect-sessions"
import { Connections, CookieKeys, Devices, HttpSession } from "effect-sessions/http"
import { TestSessions } from "effect-sessions/testing"
import { HttpServerRequest } from "effect/http"
import { OpenApi } from "effect/http-api"
import { TestClock } from "effect/testing"
import {
  Api,
  attributes,
  Browser,
  elapse,
  type Init,
  keyA,
  keyB,
  maxAge,
  type Script,
  serve,
  type Server,
  setup,
  turn,
  valueOf,
  Visit
} from "./httpServer.ts"

const name = "__Host-session"

describe("a session", () => {
  it.effect("starts when an endpoint asks for it, and is found from then on", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const nothing = yield* browser.find()
      assert.strictEqual(nothing.status, 204)
      assert.deepStrictEqual([nothing.value, nothing.setCookies], [undefined, []])
      assert.deepStrictEqual(yield* (yield* Sessions).list(), [])
      const started = yield* browser.start()
      assert.strictEqual(started.setCookies.length, 1)
      assert.match(valueOf(started.setCookie), /^[\w-]{32}\.[\w-]{32}\.[0-9a-z]+\.[\w-]{43}$/)
      for (const again of [yield* browser.find(), yield* browser.start()]) {
        assert.strictEqual(again.value, started.value)
        assert.deepStrictEqual(again.setCookies, [])
      }
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
    }).pipe(Effect.scoped, setup()))

  it.effect("is one, however often a request starts it", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const twice = yield* browser.run((visitor) => Effect.all([visitor.start(), visitor.start(), visitor.get]))
      assert.strictEqual(new Set(twice.value!.map(({ id }) => id)).size, 1)
      assert.strictEqual(twice.setCookies.length, 1)
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
    }).pipe(Effect.scoped, setup()))

  it.effect("is one also when a request starts it twice at a time", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const twice = yield* browser.run((visitor) =>
        Effect.all([visitor.start(), visitor.start()], { concurrency: "unbounded" })
      )
      assert.strictEqual(new Set(twice.value!.map(({ id }) => id)).size, 1)
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
    }).pipe(Effect.scoped, setup()))

  it.effect("`get`, `rotate`, `hold` and `binding` fail where there is none, `end` says so", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const scripts: Array<Script> = [
        (visitor) => visitor.get,
        (visitor) => visitor.rotate(),
        (visitor) => visitor.hold(Stream.never),
        (visitor) => visitor.binding
      ]
      for (const script of scripts) {
        const got = yield* browser.run(script)
        assert.strictEqual(got.status, 401)
        assert.deepStrictEqual(yield* Effect.promise(() => got.response.json()), { _tag: "NoSession" })
        assert.deepStrictEqual(got.setCookies, [])
      }
      assert.isFalse((yield* browser.end()).value)
    }).pipe(Effect.scoped, setup()))

  it.effect("ends and takes the cookie back; the next one has another id", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const first = yield* browser.start()
      const { cookie } = browser
      const ended = yield* browser.end()
      assert.isTrue(ended.value)
      assert.strictEqual(valueOf(ended.setCookie), "")
      assert.strictEqual(maxAge(ended.setCookie), 0)
      assert.strictEqual(attributes(ended.setCookie).get("Path"), "/")
      assert.isTrue(attributes(ended.setCookie).has("Secure"))
      assert.strictEqual(browser.cookie, "")
      assert.isUndefined((yield* browser.find({ cookie })).value)
      const next = yield* browser.start({ cookie })
      assert.notStrictEqual(next.value, first.value)
    }).pipe(Effect.scoped, setup()))

  it.effect("that is ended and started, or started and rotated, in one request leaves the last cookie", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const got = yield* browser.run((visitor) => Effect.andThen(visitor.end, visitor.start()))
      assert.strictEqual(got.setCookies.length, 1)
      assert.strictEqual((yield* browser.find()).value, got.value!.id)
      const fresh = new Browser(browser.server)
      const rotated = yield* fresh.run((visitor) => Effect.andThen(visitor.start(), visitor.rotate()))
      assert.strictEqual(rotated.setCookies.length, 1)
      assert.strictEqual((yield* fresh.find()).value, rotated.value!.id)
    }).pipe(Effect.scoped, setup()))

  it.effect("gives its cookie also with an answer that is an error or a defect", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const got = yield* browser.run((visitor) => Effect.andThen(visitor.start(), Effect.die("bad")))
      assert.strictEqual(got.status, 500)
      assert.isDefined((yield* browser.find()).value)
    }).pipe(Effect.scoped, setup()))

  it.effect("serves the endpoints of an HttpApi by the same cookie", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const json = (response: Response) => Effect.promise(() => response.json())
      const nothing = yield* browser.request("/api/peek", {}, {}, "GET")
      assert.strictEqual(yield* json(nothing.response), null)
      assert.deepStrictEqual(nothing.setCookies, [])
      const entered = yield* browser.request("/api/enter", {})
      const id = yield* json(entered.response)
      assert.strictEqual(entered.setCookies.length, 1)
      assert.strictEqual(yield* json((yield* browser.request("/api/peek", {}, {}, "GET")).response), id)
      assert.strictEqual((yield* browser.find()).value, id)
      const forged = yield* browser.request("/api/peek", { cookie: `${name}=${"x".repeat(200)}` }, {}, "GET")
      assert.deepStrictEqual([forged.status, yield* json(forged.response)], [200, null])
      const schemes = OpenApi.fromApi(Api).components.securitySchemes
      assert.deepInclude(schemes["visitor"], { type: "apiKey", in: "cookie", name })
    }).pipe(Effect.scoped, setup()))

  it("has a cookie name that needs no escaping", () => {
    for (const cookie of ["", "a b", "a;b", "a=b", "ä", "x".repeat(65), "a\n"]) {
      assert.throws(() => HttpSession.Service<any>()("test/Bad", { kind: Visit, cookie }), TypeError)
    }
  })
})

describe("the cookie's attributes", () => {
  it.effect("are HttpOnly, SameSite=Lax, Path=/, Max-Age, and Secure with the prefix", () =>
    Effect.gen(function*() {
      const { setCookie } = yield* new Browser(yield* serve).start()
      assert.isTrue(setCookie!.startsWith(`${name}=`))
      const found = attributes(setCookie)
      assert.deepStrictEqual(Array.from(found.keys()).sort(), ["HttpOnly", "Max-Age", "Path", "SameSite", "Secure"])
      assert.deepStrictEqual(["Max-Age", "Path", "SameSite"].map((key) => found.get(key)), ["34560000", "/", "Lax"])
    }).pipe(Effect.scoped, setup()))

  it.effect("are plain on the developer's own machine only", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const prefixed = (host: string, path = "/") =>
        Effect.map(new Browser(server, { host, path }).start(), ({ setCookie }) => {
          const secure = attributes(setCookie).has("Secure")
          assert.strictEqual(setCookie!.startsWith("__Host-"), secure)
          return secure
        })
      for (const host of ["localhost", "localhost:3000", "LOCALHOST", "shop.localhost", "127.0.0.1:80", "[::1]:3000"]) {
        assert.isFalse(yield* prefixed(host), host)
      }
      for (
        const host of [
          "shop.example",
          "localhost.evil.com",
          "evil.com:localhost",
          "notlocalhost",
          "127.0.0.1.evil.com",
          "localhost@evil.com",
          "[::2]",
          "0.0.0.0",
          "192.168.0.1"
        ]
      ) assert.isTrue(yield* prefixed(host), host)
      assert.isTrue(yield* prefixed("localhost", "/always"))
      assert.isFalse(yield* prefixed("shop.example", "/never"))
      const strict = yield* new Browser(server, { path: "/always" }).start()
      assert.strictEqual(attributes(strict.setCookie).get("SameSite"), "Strict")
    }).pipe(Effect.scoped, setup()))

  it.effect("a cookie without the prefix, as a neighbouring host can set it, does not count", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const mine = yield* browser.start()
      const attacker = yield* new Browser(browser.server).start()
      const tossed = `session=${valueOf(attacker.setCookie)}`
      assert.isUndefined((yield* browser.find({ cookie: tossed })).value)
      for (const cookie of [`${tossed}; ${browser.cookie}`, `${browser.cookie}; ${tossed}`]) {
        assert.strictEqual((yield* browser.find({ cookie })).value, mine.value)
      }
    }).pipe(Effect.scoped, setup()))
})

/** No cookie reaches a session, whatever it is, and none is an error, unless it was replaced a moment ago. */
const refuses = (browser: Browser, cookies: Iterable<string>, status: 204 | 409 = 204) =>
  Effect.gen(function*() {
    for (const cookie of cookies) {
      const got = yield* browser.find({ cookie })
      assert.deepStrictEqual([got.status, got.value, got.setCookies], [status, undefined, []], cookie.slice(0, 200))
    }
  })

describe("what an attacker brings", () => {
  it.effect("forged, truncated or changed in any character, reaches no session", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const value = valueOf((yield* browser.start()).setCookie)
      const { length } = value
      const truncated = Array.from({ length }, (_, at) => `${name}=${value.slice(0, at)}`)
      const behead = Array.from({ length: length - 1 }, (_, at) => `${name}=${value.slice(at + 1)}`)
      const changed = Array.from({ length }, (_, at) =>
        Array.from("AZaz09-_.~ %\u0001")
          .filter((other) => other !== value[at] && !(other === " " && (at === 0 || at === length - 1)))
          .map((other) => `${name}=${value.slice(0, at)}${other}${value.slice(at + 1)}`)).flat()
      // What `Headers` does not let through, no server hands us either.
      const sendable = changed.filter((cookie) => !cookie.includes("\u0001"))
      yield* refuses(browser, [...truncated, ...behead, ...sendable])
      const [ticket, id, expires, signature] = value.split(".") as [string, string, string, string]
      yield* refuses(
        browser,
        [
          id,
          ticket,
          `${id}.${ticket}.${expires}.${signature}`,
          `${ticket}.${id}..${signature}`,
          `${ticket}.${id}.${signature}`,
          `${ticket}.${id}.zzzzzzzz.${signature}`,
          `${ticket}.${id}.${expires}.${signature}=`,
          `${ticket}.${id}.${expires}.${Buffer.from(signature, "base64url").toString("hex")}`,
          `${value}.${value}`,
          `${value}%00`,
          `${value}%0a`,
          "%",
          "%ff%fe",
          "\"",
          "__proto__",
          "constructor",
          "x".repeat(1_000_000),
          `${"A".repeat(32)}.${"A".repeat(32)}..${"A".repeat(43)}`
        ].map((text) => `${name}=${text}`)
      )
      yield* refuses(browser, ["=", ";;;;", name, `${name}=`, `__proto__=${value}`, `${name} x=${value}`])
    }).pipe(Effect.scoped, setup()), 30_000)

  it.effect("written in another way with the same bytes, does not count", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const value = valueOf((yield* browser.start()).setCookie)
      const bytes = Buffer.from(value.slice(-43), "base64url")
      const same = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        .map((last) => value.slice(0, -1) + last)
        .filter((text) => text !== value && Buffer.from(text.slice(-43), "base64url").equals(bytes))
      assert.strictEqual(same.length, 3)
      yield* refuses(browser, same.map((text) => `${name}=${text}`))
    }).pipe(Effect.scoped, setup()))

  it.effect("put together from two good cookies, or signed for another name or by another key, reaches none", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const one = valueOf((yield* new Browser(server).start()).setCookie).split(".")
      yield* TestClock.adjust("1 second")
      const two = valueOf((yield* new Browser(server).start()).setCookie).split(".")
      const mixed: Array<string> = []
      for (let pick = 1; pick < 15; pick++) {
        mixed.push(`${name}=${one.map((part, at) => (pick >> at & 1) === 0 ? part : two[at]).join(".")}`)
      }
      yield* refuses(new Browser(server), mixed)
      const basket = valueOf((yield* new Browser(server, { path: "/basket" }).start()).setCookie)
      const signed = one.slice(0, 3).join(".")
      const other = yield* Effect.provide(CookieKeys, CookieKeys.layer(keyB))
      yield* refuses(new Browser(server), [
        `${name}=${basket}`,
        `__Host-basket=${one.join(".")}`,
        `${name}=${signed}.${other.sign(`session=${signed}`)}`
      ])
    }).pipe(Effect.scoped, setup()))

  it.effect("signed for an id of its own choice by a leaked key alone, is not the session's ticket", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const [, id, expires] = valueOf((yield* new Browser(server).start()).setCookie).split(".")
      const keys = yield* CookieKeys
      const sign = (text: string) => `${name}=${text}.${keys.sign(`session=${text}`)}`
      yield* refuses(new Browser(server), [
        sign(`${"A".repeat(32)}.${id}.${expires}`),
        sign(`${"A".repeat(32)}.${"B".repeat(32)}.${expires}`)
      ])
      // A session that no request started knows no visitor.
      yield* (yield* Visit).start("C".repeat(32))
      yield* refuses(new Browser(server), [sign(`${"A".repeat(32)}.${"C".repeat(32)}.${expires}`)])
    }).pipe(Effect.scoped, setup()))

  it.effect("among several cookies of the name never adds up to another's session, the first one counts", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const mine = yield* browser.start()
      yield* refuses(browser, [`${name}=forged; ${browser.cookie}`])
      assert.strictEqual((yield* browser.find({ cookie: `${browser.cookie}; ${name}=forged` })).value, mine.value)
    }).pipe(Effect.scoped, setup()))

  it.effect("an id that the client chose is never taken", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const chosen = "A".repeat(32)
      for (const value of [chosen, `${chosen}.${chosen}..${"A".repeat(43)}`]) {
        const victim = yield* new Browser(server).start({ cookie: `${name}=${value}` })
        assert.notStrictEqual(victim.value, chosen)
        assert.notInclude(victim.setCookie!, chosen)
      }
    }).pipe(Effect.scoped, setup()))

  it.effect("replayed after a rotation, the end or the expiry, reaches none", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const replayed = [browser.cookie]
      yield* browser.rotate()
      yield* refuses(browser, replayed, 409)
      yield* TestClock.adjust("10 seconds")
      yield* refuses(browser, replayed)
      replayed.push(browser.cookie)
      yield* browser.end()
      yield* refuses(browser, replayed)
      yield* browser.start()
      replayed.push(browser.cookie)
      yield* elapse("1 hour")
      yield* refuses(browser, replayed)
      // A session that was not looked up when it expired, and was not swept either.
      yield* browser.start({})
      replayed.push(browser.cookie)
      yield* TestClock.adjust("3601 seconds")
      yield* refuses(browser, replayed)
    }).pipe(Effect.scoped, setup()))
})

describe("rotate", () => {
  it.effect("replaces the cookie of the same session, and the old one is dead at once", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      const ref = yield* (yield* Visit).get(id!)
      const seen: Array<number> = []
      const watching = yield* Effect.forkScoped(
        Stream.runForEach(ref.changes(), (n) => Effect.sync(() => seen.push(n)))
      )
      yield* ref.call("Add")
      yield* TestSessions.settle
      const old = browser.cookie
      const rotated = yield* browser.rotate({ user: "ada" })
      assert.strictEqual(rotated.value, id)
      assert.strictEqual(rotated.setCookies.length, 1)
      assert.notStrictEqual(browser.cookie, old)
      yield* refuses(browser, [old], 409)
      const again = yield* browser.run((visitor) => Effect.flatMap(visitor.get, (ref) => ref.call("Add")))
      assert.strictEqual(again.status, 204)
      yield* TestSessions.settle
      assert.deepStrictEqual(seen.slice(-2), [1, 2])
      assert.isUndefined(watching.pollUnsafe())
      assert.deepStrictEqual((yield* (yield* Sessions).ofUser("ada")).map((ref) => ref.id), [id!])
      // Without `user`, the user does not change; with `undefined`, the session has no user.
      yield* browser.rotate()
      assert.strictEqual((yield* (yield* Sessions).ofUser("ada")).length, 1)
      yield* browser.rotate({ user: undefined })
      assert.strictEqual((yield* (yield* Sessions).ofUser("ada")).length, 0)
    }).pipe(Effect.scoped, setup()))

  it.effect("disconnects other clients, with `all` its own as well", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const thief = new Browser(browser.server, { agent: "Thief/1" })
      const elsewhere = new Browser(browser.server, { address: "198.51.100.7" })
      for (const [key, value] of browser.jar) {
        thief.jar.set(key, value)
        elsewhere.jar.set(key, value)
      }
      const theirs = [yield* thief.hold(), yield* elsewhere.hold()]
      const own = yield* browser.hold()
      assert.strictEqual(yield* (yield* Connections).count, 3)
      yield* browser.rotate()
      yield* turn
      assert.deepStrictEqual([...theirs.map(({ isOpen }) => isOpen()), own.isOpen()], [false, false, true])
      yield* browser.rotate({ disconnect: "all" })
      yield* turn
      assert.isFalse(own.isOpen())
      assert.strictEqual(yield* (yield* Connections).count, 0)
      assert.strictEqual((yield* thief.hold()).status, 409)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* thief.hold()).status, 401)
    }).pipe(Effect.scoped, setup()))
})

describe("keys", () => {
  const values = (keys: ReadonlyArray<Redacted.Redacted>) => Layer.orDie(CookieKeys.layer(keys))

  /** Serves with changing keys. */
  const turning = Effect.gen(function*() {
    let keys = yield* Effect.provide(CookieKeys, values([keyA]))
    const layer = Layer.succeed(CookieKeys, {
      sign: (text) => keys.sign(text),
      verify: (text, signature) => keys.verify(text, signature)
    })
    const use = (all: ReadonlyArray<Redacted.Redacted>) =>
      Effect.map(Effect.provide(CookieKeys, Layer.fresh(values(all))), (made) => {
        keys = made
      })
    return { layer, use }
  })

  it.effect("that are added in front leave old cookies valid, removed keys do not", () =>
    Effect.gen(function*() {
      const { layer, use } = yield* turning
      // Each server is a new process to the cookie: none remembers what another one has verified.
      const restarted = Effect.provide(serve, layer)
      const first = new Browser(yield* restarted)
      const { value: id } = yield* first.start()
      yield* use([keyB, keyA])
      const second = new Browser(yield* restarted)
      assert.strictEqual((yield* second.find({ cookie: first.cookie })).value, id)
      yield* second.start()
      yield* use([keyB])
      const third = new Browser(yield* restarted)
      yield* refuses(third, [first.cookie])
      assert.isDefined((yield* third.find({ cookie: second.cookie })).value)
    }).pipe(Effect.scoped, setup()))
})

describe("lifetimes", () => {
  it.effect("the session says how long it lives: activity elsewhere keeps the cookie valid", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      const ref = yield* (yield* Visit).get(id!)
      for (let i = 0; i < 10; i++) {
        yield* elapse("50 minutes")
        yield* ref.touch
      }
      assert.strictEqual((yield* browser.find()).value, id)
      yield* elapse("1 hour")
      yield* refuses(browser, [browser.cookie])
    }).pipe(Effect.scoped, setup()))

  it.effect("the browser stores the cookie until the absolute timeout, or for as long as possible", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* elapse("10 minutes")
      assert.strictEqual(maxAge((yield* browser.start()).setCookie), 60 * 60)
      yield* elapse("20 minutes")
      assert.strictEqual(maxAge((yield* browser.rotate()).setCookie), 40 * 60)
      yield* elapse("29 minutes")
      assert.deepStrictEqual((yield* browser.find()).setCookies, [])
      yield* elapse("11 minutes")
      yield* refuses(browser, [browser.cookie])
    }).pipe(Effect.scoped, setup({ kind: { idleTimeout: "30 minutes", absoluteTimeout: "1 hour" } })))

  it.effect("a session that never expires has a cookie for as long as the browser runs", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const got = yield* browser.start()
      assert.isFalse(attributes(got.setCookie).has("Max-Age"))
      yield* elapse("3 days")
      const found = yield* browser.find()
      assert.deepStrictEqual([found.value, found.setCookies], [got.value, []])
    }).pipe(Effect.scoped, setup({ kind: { idleTimeout: "Infinity" } })))

  it.effect("the cookie is renewed once less than half is left, and not before", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      const day = 24 * 60 * 60 * 1_000
      yield* browser.drops(200 * day)
      assert.deepStrictEqual((yield* browser.find()).setCookies, [])
      yield* browser.drops(199 * day)
      const first = browser.cookie
      assert.strictEqual(maxAge((yield* browser.find()).setCookie), 400 * day / 1_000)
      assert.notStrictEqual(browser.cookie, first)
      assert.deepStrictEqual((yield* browser.find()).setCookies, [])
      // The older one still counts: others of the browser's requests are under way with it.
      assert.strictEqual((yield* browser.find({ cookie: first })).value, id)
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
    }).pipe(Effect.scoped, setup()))

  it.effect("once a session has expired there is a new one under a new id", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      yield* elapse("1 hour")
      const next = yield* browser.start()
      assert.notStrictEqual(next.value, id)
      assert.strictEqual(next.setCookies.length, 1)
      assert.strictEqual((yield* browser.find()).value, next.value)
    }).pipe(Effect.scoped, setup()))
})

describe("hold", () => {
  it.effect("counts as connected for as long as the stream runs", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      const ref = yield* (yield* Visit).get(id!)
      const connections = Effect.map(ref.info, ({ connections }) => connections)
      const streams = [yield* browser.hold(), yield* browser.hold()]
      assert.strictEqual(yield* connections, 2)
      yield* streams[0]!.close
      assert.strictEqual(yield* connections, 1)
      yield* streams[1]!.close
      assert.strictEqual(yield* connections, 0)
      assert.strictEqual(yield* (yield* Connections).count, 0)
    }).pipe(Effect.scoped, setup()))

  it.effect("is refused beyond the owner's connections until one ends", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const streams = [yield* browser.hold(), yield* browser.hold()]
      assert.strictEqual((yield* browser.hold()).status, 429)
      // Another visitor is another owner.
      const other = new Browser(browser.server)
      yield* other.start()
      assert.strictEqual((yield* other.hold()).status, 200)
      yield* streams[0]!.close
      assert.strictEqual((yield* browser.hold()).status, 200)
      assert.strictEqual((yield* browser.hold()).status, 429)
    }).pipe(Effect.scoped, setup({ perOwner: 2 })))

  it.effect("is one allowance for all sessions of a user", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const statuses: Array<number> = []
      for (let i = 0; i < 3; i++) {
        const browser = new Browser(server)
        yield* browser.run((visitor) => visitor.start({ user: "ada" }))
        statuses.push((yield* browser.hold()).status)
      }
      assert.deepStrictEqual(statuses, [200, 200, 429])
      assert.strictEqual((yield* (yield* Connections).of("ada")).length, 2)
    }).pipe(Effect.scoped, setup({ perOwner: 2 })))

  it.effect("disconnects a reader that takes nothing for two minutes, and none that reads slowly or waits", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const read = (stream: Stream.Stream<string>, pause: Effect.Effect<void>) =>
        Effect.gen(function*() {
          const { value } = yield* browser.run((visitor) =>
            Effect.flatMap(visitor.hold(stream), (held) => Effect.forkDetach(Stream.runForEach(held, () => pause)))
          )
          return value!
        })
      const stalled = yield* read(Stream.make("a"), Effect.never)
      const slow = yield* read(Stream.rechunk(Stream.make("a", "b", "c", "d"), 1), Effect.sleep("80 seconds"))
      const waiting = yield* read(Stream.concat(Stream.make("a"), Stream.never), Effect.void)
      yield* elapse("89 seconds")
      assert.isUndefined(stalled.pollUnsafe())
      yield* elapse("31 seconds")
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(stalled)))
      yield* elapse("200 seconds")
      assert.deepStrictEqual(yield* Fiber.await(slow), Exit.void)
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual(yield* (yield* Connections).count, 1)
      yield* Fiber.interrupt(waiting)
    }).pipe(Effect.scoped, setup()))

  it.effect("ends soon after the session", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const stream = yield* browser.hold()
      yield* browser.end()
      yield* elapse("999 millis")
      assert.isTrue(stream.isOpen())
      yield* elapse("1 millis")
      assert.isFalse(stream.isOpen())
      assert.strictEqual(yield* (yield* Connections).count, 0)
    }).pipe(Effect.scoped, setup()))

  it.effect("wants a number of connections that makes sense", () =>
    Effect.gen(function*() {
      for (const perOwner of [0, -1, 1.5, Number.NaN]) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(Connections.layer({ perOwner }))))
        assert.strictEqual(error._tag, "InvalidConfig")
      }
    }))
})

describe("binding", () => {
  it.effect("is good until the cookie is replaced or the session ends", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const visits = yield* Visit
      const { value: id } = yield* browser.start()
      const binding = Effect.map(browser.run((visitor) => visitor.binding), ({ value }) => value!)
      const bound = (binding: string) => Effect.result(HttpSession.bound(visits, binding))
      const first = yield* binding
      const ticket = valueOf(browser.cookie).split(".")[0]!
      assert.notInclude(first, ticket)
      const found = yield* HttpSession.bound(visits, first)
      assert.strictEqual(found.id, id)
      yield* elapse("31 minutes")
      yield* browser.find()
      assert.strictEqual((yield* bound(first))._tag, "Success", "a renewed cookie is the same one")
      yield* browser.rotate()
      const second = yield* binding
      assert.strictEqual((yield* bound(first))._tag, "Failure")
      assert.strictEqual((yield* bound(second))._tag, "Success")
      const unknown = new Browser(browser.server)
      yield* unknown.start()
      const other = yield* Effect.map(unknown.run((visitor) => visitor.binding), ({ value }) => value!)
      yield* visits.start("plain")
      for (
        const forged of [
          "",
          ".",
          id!,
          `${id}.`,
          `${id}.undefined`,
          "plain.",
          "plain.undefined",
          `.${second.split(".")[1]}`,
          `${id}.${other.split(".")[1]}`,
          `${second} `,
          second.slice(0, -1),
          `${second}.`,
          `${id}.${ticket}`,
          "x".repeat(100_000)
        ]
      ) {
        const result = yield* bound(forged)
        assert.isTrue(result._tag === "Failure" && result.failure._tag === "NoSession", forged.slice(0, 100))
      }
      yield* browser.end()
      assert.strictEqual((yield* bound(second))._tag, "Failure")
    }).pipe(Effect.scoped, setup()))
})

describe("Devices", () => {
  const loggedIn = (server: Server, user: string, init: Init) =>
    Effect.gen(function*() {
      const browser = new Browser(server, init)
      yield* browser.start()
      const { value } = yield* browser.rotate({ user })
      return { browser, id: value! }
    })

  it.effect("are listed, the last active one first, with what they are", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const phone = yield* loggedIn(server, "ada", { agent: "Phone/1", address: "192.0.2.8" })
      yield* TestClock.adjust("1 second")
      const laptop = yield* loggedIn(server, "ada", { agent: "Laptop/".padEnd(300, "x"), address: "2001:db8:1:2::9" })
      yield* loggedIn(server, "eve", {})
      yield* (yield* Visit).start("no-device", { user: "ada" })
      const stream = yield* laptop.browser.hold()
      const listed = yield* Devices.list("ada")
      assert.deepStrictEqual(listed.map(({ id }) => id), [laptop.id, phone.id])
      assert.deepInclude(listed[0], {
        kind: "Visit",
        address: "2001:db8:1:2::/64",
        agent: "Laptop/".padEnd(200, "x"),
        startedAt: 1_000,
        connections: 1
      })
      assert.deepInclude(listed[1], { address: "192.0.2.8", agent: "Phone/1", startedAt: 0, connections: 0 })
      yield* stream.close
      yield* TestClock.adjust("1 second")
      yield* phone.browser.find({ address: "203.0.113.5", agent: "Phone/2" })
      const [first] = yield* Devices.list("ada")
      assert.deepInclude(first, { id: phone.id, address: "203.0.113.5", agent: "Phone/2", lastActiveAt: 2_000 })
      assert.deepStrictEqual(yield* Devices.list("nobody"), [])
    }).pipe(Effect.scoped, setup()))

  it.effect("are thrown out one by one, by their own user only", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const phone = yield* loggedIn(server, "ada", { agent: "Phone/1" })
      const laptop = yield* loggedIn(server, "ada", {})
      assert.isFalse(yield* Devices.end("eve", phone.id))
      assert.isFalse(yield* Devices.end("ada", "unknown"))
      assert.isTrue(yield* Devices.end("ada", phone.id))
      assert.isFalse(yield* Devices.end("ada", phone.id))
      assert.isUndefined((yield* phone.browser.find()).value)
      assert.strictEqual((yield* laptop.browser.find()).value, laptop.id)
    }).pipe(Effect.scoped, setup()))

  it.effect("are thrown out all at once, or all others", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const devices = yield* Effect.forEach(["A", "B", "C"], (agent) => loggedIn(server, "ada", { agent }))
      const eve = yield* loggedIn(server, "eve", {})
      const [a, b, c] = devices as [typeof eve, typeof eve, typeof eve]
      const own = yield* a.browser.hold()
      const theirs = yield* b.browser.hold()
      yield* (yield* Visit).start("tool", { user: "ada" })
      assert.strictEqual(yield* Devices.endAll("ada", { except: a.id }), 2)
      yield* turn
      assert.deepStrictEqual([own.isOpen(), theirs.isOpen()], [true, false])
      assert.strictEqual((yield* a.browser.find()).value, a.id)
      for (const { browser } of [b, c]) assert.isUndefined((yield* browser.find()).value)
      assert.isTrue(yield* (yield* Visit).has("tool"))
      assert.strictEqual(yield* Devices.endAll("ada"), 1)
      yield* turn
      assert.isFalse(own.isOpen())
      assert.deepStrictEqual(yield* (yield* Sessions).ofUser("ada"), [])
      assert.strictEqual((yield* eve.browser.find()).value, eve.id)
      assert.strictEqual(yield* Devices.endAll("ada"), 0)
    }).pipe(Effect.scoped, setup()))

  it.effect("that are thrown out lose streams at once that they opened before they logged in", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const stream = yield* browser.hold()
      const { value: id } = yield* browser.rotate({ user: "ada" })
      assert.isTrue(stream.isOpen())
      assert.isTrue(yield* Devices.end("ada", id!))
      yield* elapse("1 second")
      assert.isFalse(stream.isOpen())
    }).pipe(Effect.scoped, setup()))
})

describe("nothing grows", () => {
  const counting = Effect.gen(function*() {
    const keys = yield* CookieKeys
    let verified = 0
    const counted: CookieKeys["Service"] = {
      sign: keys.sign,
      verify(text, signature) {
        verified++
        return keys.verify(text, signature)
      }
    }
    const open = yield* Effect.provideService(HttpSession.make({ kind: Visit }), CookieKeys, counted)
    const plain = HttpServerRequest.fromWeb(new Request("http://server.test/"))
    const request = (cookie: string, address?: string) =>
      open(plain.modify({
        headers: { ...plain.headers, host: "shop.example", cookie } as typeof plain.headers,
        remoteAddress: Option.fromUndefinedOr(address)
      }))
    return { request, verified: () => verified }
  })

  it.effect(
    "by forged cookies: none is remembered, and none takes the place of a good one",
    () =>
      Effect.gen(function*() {
        const browser = new Browser(yield* serve)
        const { value: id } = yield* browser.start()
        const { request, verified } = yield* counting
        const find = (cookie: string) => Effect.map(request(cookie).find, (found) => Option.getOrUndefined(found)?.id)
        assert.strictEqual(yield* find(browser.cookie), id)
        assert.strictEqual(yield* find(browser.cookie), id)
        assert.strictEqual(verified(), 1)
        const forged = (i: number) =>
          `${name}=${"A".repeat(32)}.${String(i).padStart(32, "0")}.${i.toString(36)}.${"A".repeat(43)}`
        for (let i = 0; i < 100_000; i++) {
          if ((yield* find(forged(i))) !== undefined) assert.fail("forged")
        }
        assert.strictEqual(verified(), 100_001)
        // Each is verified again, so no result was cached.
        for (let i = 0; i < 100_000; i += 100) yield* find(forged(i))
        assert.strictEqual(verified(), 101_001)
        assert.strictEqual(yield* find(browser.cookie), id)
        assert.strictEqual(verified(), 101_001)
      }).pipe(Effect.scoped, setup()),
    30_000
  )

  it.effect("by addresses: the limit of all starts comes first", () =>
    Effect.gen(function*() {
      const { request } = yield* counting
      const refused = new Map<string, number>()
      for (let i = 0; i < 100_000; i++) {
        const result = yield* Effect.result(request("", `10.${i >> 16}.${i >> 8 & 255}.${i & 255}`).start())
        if (result._tag === "Failure") refused.set(result.failure._tag, (refused.get(result.failure._tag) ?? 0) + 1)
      }
      assert.deepStrictEqual(Array.from(refused), [["StartRateExceeded", 99_950]])
      assert.strictEqual(yield* (yield* StartLimiter).addresses, 50)
      assert.strictEqual((yield* (yield* Sessions).count).count, 50)
      yield* elapse("1 minute")
      assert.strictEqual(yield* (yield* StartLimiter).addresses, 0)
    }).pipe(
      setup({
        sessions: {
          startRate: { limit: 50, window: "1 minute" },
          startRatePerAddress: { limit: 2, window: "1 minute" }
        }
      })
    ), 30_000)

  it.effect("by one address, or one network, beyond its own limit", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const statuses: Array<number> = []
      for (let i = 0; i < 3; i++) {
        statuses.push((yield* new Browser(server, { address: `2001:db8:1:2::${i + 1}` }).start()).status)
      }
      assert.deepStrictEqual(statuses, [204, 204, 429])
      assert.strictEqual((yield* new Browser(server, { address: "2001:db8:1:3::1" }).start()).status, 204)
    }).pipe(Effect.scoped, setup({ sessions: { startRatePerAddress: { limit: 2, window: "1 minute" } } })))
})
