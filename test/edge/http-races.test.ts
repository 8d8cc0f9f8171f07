import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Stream } from "effect"
import { Sessions, SnapshotStore } from "effect-sessions"
import { Connections, CookieKeys, HttpSession } from "effect-sessions/http"
import { MemoryStore } from "effect-sessions/snapshots"
import { TestSessions } from "effect-sessions/testing"
import { HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Browser, keyA, kind, serve, setup, turn, Visit, type Visiting } from "./httpServer.ts"

/** A request that has got as far as `first`, and does `then` when it is let. */
const underWay = <A, B>(
  browser: Browser,
  first: (visitor: Visiting) => Effect.Effect<A, unknown>,
  then: (visitor: Visiting) => Effect.Effect<B, unknown>
) =>
  Effect.gen(function*() {
    const [here, go] = yield* Effect.all([Deferred.make<void>(), Deferred.make<void>()])
    const { cookie } = browser
    const sent = yield* Effect.forkChild(browser.run((visitor) =>
      first(visitor).pipe(
        Effect.andThen(Deferred.succeed(here, undefined)),
        Effect.andThen(Deferred.await(go)),
        Effect.andThen(then(visitor))
      ), { cookie }))
    yield* Deferred.await(here)
    return { finish: Effect.andThen(Deferred.succeed(go, undefined), Fiber.join(sent)) }
  })

const nothing = () => Effect.void
const get = (visitor: Visiting) => visitor.get
const user = Effect.fnUntraced(function*(browser: Browser) {
  const got = yield* browser.run((visitor) => Effect.flatMap(visitor.get, ({ info }) => info))
  return got.value?.user
})

describe("a request whose cookie another one replaces meanwhile", () => {
  it.effect("gets no cookie, which would take the place of the new one", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      yield* browser.drops(1_000)
      const control = yield* browser.run(get, { cookie: browser.cookie })
      assert.strictEqual(control.setCookies.length, 1, "it would be renewed")
      const { finish } = yield* underWay(browser, get, nothing)
      yield* browser.rotate({ user: "ada" })
      const late = yield* finish
      assert.deepStrictEqual([late.status, late.setCookies], [204, []])
    }).pipe(Effect.scoped, setup()))

  it.effect("does not take the session over", () =>
    Effect.gen(function*() {
      const victim = new Browser(yield* serve)
      yield* victim.start()
      const thief = new Browser(victim.server, { agent: "Thief/1" })
      for (const [key, value] of victim.jar) thief.jar.set(key, value)
      const attempts: ReadonlyArray<(visitor: Visiting) => Effect.Effect<unknown, unknown>> = [
        (visitor: Visiting) => visitor.rotate(),
        (visitor: Visiting) => visitor.rotate({ user: "mallory", disconnect: "all" }),
        (visitor: Visiting) => visitor.binding,
        (visitor: Visiting) => visitor.end,
        (visitor: Visiting) => Effect.scoped(visitor.connect(() => {}))
      ]
      for (const attempt of attempts) {
        const old = victim.cookie
        thief.jar.clear()
        for (const [key, value] of victim.jar) thief.jar.set(key, value)
        const { finish } = yield* underWay(thief, get, attempt)
        yield* victim.rotate({ user: "victim" })
        assert.notStrictEqual(victim.cookie, old)
        const got = yield* finish
        assert.deepStrictEqual([got.status, got.value, got.setCookies], [409, undefined, []])
        assert.strictEqual(got.response.headers.get("retry-after"), "1")
        assert.strictEqual(yield* user(victim), "victim")
      }
      assert.strictEqual(yield* (yield* Connections).count, 0)
    }).pipe(Effect.scoped, setup()))

  it.effect("of two logins at once one is done, and its cookie is the only one", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      const login = (user: string) => underWay(browser, get, (visitor) => visitor.rotate({ user }))
      const first = yield* login("ada")
      const second = yield* login("ada")
      const second_ = yield* second.finish
      const first_ = yield* first.finish
      assert.deepStrictEqual([second_.status, second_.setCookies.length], [204, 1])
      assert.deepStrictEqual([first_.status, first_.setCookies.length], [409, 0])
      browser.take(second_.setCookies)
      const found = yield* browser.find()
      assert.strictEqual(found.value, id)
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
    }).pipe(Effect.scoped, setup()))

  it.effect("gets CookieReplaced from every operation, and starts nothing", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const old = browser.cookie
      yield* browser.rotate()
      yield* browser.rotate()
      const attempts: ReadonlyArray<(visitor: Visiting) => Effect.Effect<unknown, unknown>> = [
        (visitor) => visitor.start(),
        (visitor) => visitor.find,
        (visitor) => visitor.get,
        (visitor) => visitor.rotate({ user: "ada" }),
        (visitor) => visitor.binding,
        (visitor) => visitor.end
      ]
      for (const wait of ["0 millis", "9999 millis"] as const) {
        yield* TestClock.adjust(wait)
        for (const attempt of attempts) {
          const got = yield* browser.run(attempt, { cookie: old })
          assert.deepStrictEqual([got.status, got.setCookies], [409, []])
          assert.strictEqual(got.response.headers.get("retry-after"), "1")
          assert.deepStrictEqual(yield* Effect.promise(() => got.response.json()), { _tag: "CookieReplaced" })
        }
      }
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
      // A visitor who never got the new cookie is not locked out for long.
      yield* TestClock.adjust("1 millis")
      const later = yield* browser.start({ cookie: old })
      assert.deepStrictEqual([later.status, later.setCookies.length], [204, 1])
    }).pipe(Effect.scoped, setup()))

  it.effect("gets CookieReplaced also if it took longer than that to be received", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const upload = yield* underWay(browser, nothing, (visitor) => visitor.start())
      yield* TestClock.adjust("1 second")
      yield* browser.rotate({ user: "ada" })
      yield* TestClock.adjust("10 minutes")
      const got = yield* upload.finish
      assert.deepStrictEqual([got.status, got.setCookies], [409, []])
      assert.strictEqual((yield* (yield* Sessions).count).count, 1)
      assert.strictEqual(yield* user(browser), "ada")
    }).pipe(Effect.scoped, setup()))

  it.effect("an answer that handles the error is still without a cookie", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const old = browser.cookie
      yield* browser.rotate()
      const got = yield* browser.run((visitor) => Effect.orElseSucceed(visitor.end, () => false), { cookie: old })
      assert.deepStrictEqual([got.status, got.value, got.setCookies], [204, false, []])
      assert.isDefined((yield* browser.find()).value)
    }).pipe(Effect.scoped, setup()))
})

describe("a store that cannot be read now", () => {
  const flaky = Effect.gen(function*() {
    const store = yield* SnapshotStore.SnapshotStore
    const fault = { active: false }
    const failing = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | SnapshotStore.SnapshotStoreError> =>
        fault.active
          ? Effect.fail(new SnapshotStore.SnapshotStoreError({ operation: "claim", message: "lost", cause: undefined }))
          : effect
      )
    const service: typeof store = {
      ...store,
      claim: (...args) => failing(store.claim(...args)),
      peek: (...args) => failing(store.peek(...args)),
      stat: (...args) => failing(store.stat(...args))
    }
    return { fault, service }
  })

  it.effect("is 503 with Retry-After, and no reason for another cookie", () =>
    Effect.gen(function*() {
      const { fault, service } = yield* Effect.provide(flaky, MemoryStore.layer)
      const store = Layer.succeed(SnapshotStore.SnapshotStore, service)
      yield* Effect.gen(function*() {
        const browser = new Browser(yield* serve)
        const { value: id } = yield* browser.start()
        yield* browser.rotate({ user: "ada" })
        const { value: binding } = yield* browser.run((visitor) => visitor.binding)
        fault.active = true
        const { cookie } = browser
        const attempts: ReadonlyArray<(visitor: Visiting) => Effect.Effect<unknown, unknown>> = [
          (visitor) => visitor.start(),
          (visitor) => visitor.find,
          (visitor) => visitor.get,
          (visitor) => visitor.rotate({ user: "eve" }),
          (visitor) => visitor.binding,
          (visitor) => visitor.end,
          (visitor) => visitor.hold(Stream.never)
        ]
        for (const attempt of attempts) {
          const got = yield* browser.run(attempt)
          assert.deepStrictEqual([got.status, got.setCookies], [503, []])
          assert.strictEqual(got.response.headers.get("retry-after"), "1")
          assert.deepStrictEqual(yield* Effect.promise(() => got.response.json()), { _tag: "SessionUnavailable" })
        }
        const bound = yield* Effect.flip(HttpSession.bound(yield* Visit, binding!))
        assert.strictEqual(bound._tag, "SessionUnavailable")
        assert.strictEqual(browser.cookie, cookie)
        fault.active = false
        // After so many failures, the store is left alone for a while.
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* browser.find()).value, id)
        assert.strictEqual(yield* user(browser), "ada")
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.mergeAll(
          TestSessions.layer(Layer.provide(kind({ snapshots: { save: "everyChange" } }), store)),
          CookieKeys.layer(keyA),
          Connections.layer()
        ))
      )
    }))
})

describe("a logout", () => {
  it.effect("lets no request with its cookie start a session, whose cookie its answer would delete", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      const old = browser.cookie
      const logout = yield* underWay(browser, (visitor) => visitor.end, nothing)
      const early = yield* browser.start({ cookie: old })
      assert.deepStrictEqual([early.status, early.setCookies], [409, []])
      assert.strictEqual(early.response.headers.get("retry-after"), "1")
      assert.deepStrictEqual((yield* browser.find({ cookie: old })).value, undefined)
      const answer = yield* logout.finish
      assert.match(answer.setCookie!, /^__Host-session=;.*Max-Age=0/)
      browser.take(answer.setCookies)
      assert.strictEqual(browser.cookie, "")
      const again = yield* browser.start()
      assert.deepStrictEqual([again.status, again.setCookies.length], [204, 1])
      // A client that keeps the old cookie is not refused for long.
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* browser.start({ cookie: old })).status, 204)
    }).pipe(Effect.scoped, setup()))

  it.effect("may start a session in the same request", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const first = yield* browser.start()
      const { status, value } = yield* browser.run((visitor) => Effect.andThen(visitor.end, visitor.start()))
      assert.strictEqual(status, 204)
      assert.notStrictEqual(value!.id, first.value)
      assert.strictEqual((yield* browser.find()).value, value!.id)
    }).pipe(Effect.scoped, setup()))
})

describe("rotate", () => {
  it.effect("disconnects all when the user of the session changes", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      yield* browser.start()
      for (const [user, open] of [["ada", false], ["ada", true], ["eve", false], [undefined, false]] as const) {
        const stream = yield* browser.hold()
        assert.strictEqual(stream.status, 200)
        yield* browser.rotate({ user })
        yield* turn
        assert.strictEqual(stream.isOpen(), open, `${user}`)
        yield* browser.rotate({ disconnect: "all" })
        yield* turn
      }
      assert.strictEqual(yield* (yield* Connections).count, 0)
    }).pipe(Effect.scoped, setup()))
})

describe("the allowance of connections", () => {
  it.effect("is the user's as soon as the session is", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const { value: id } = yield* browser.start()
      const streams = [yield* browser.hold(), yield* browser.hold()]
      const connections = yield* Connections
      const visit = yield* (yield* Visit).get(id!)
      assert.strictEqual((yield* connections.of(id!)).length, 2)
      yield* visit.setUser("ada")
      assert.deepStrictEqual([(yield* connections.of(id!)).length, (yield* connections.of("ada")).length], [0, 2])
      assert.strictEqual((yield* browser.hold()).status, 429)
      yield* streams[0]!.close
      assert.strictEqual((yield* connections.of("ada")).length, 1)
      yield* visit.setUser(undefined)
      assert.strictEqual((yield* connections.of(id!)).length, 1)
      assert.isTrue(streams[1]!.isOpen())
    }).pipe(Effect.scoped, setup({ perOwner: 2 })))

  it.effect("is not larger for who opens connections first and logs in then", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const connections = yield* Connections
      for (let i = 0; i < 4; i++) {
        const browser = new Browser(server)
        const { value: id } = yield* browser.start()
        for (let n = 0; n < 4; n++) yield* browser.hold()
        yield* (yield* Visit).ref(id!).setUser("ada")
        yield* turn
        assert.strictEqual((yield* connections.of("ada")).length, 3)
        assert.strictEqual(yield* connections.count, 3)
      }
    }).pipe(Effect.scoped, setup({ perOwner: 3 })))
})

describe("an answer", () => {
  const header = (browser: Browser, script: (visitor: Visiting) => Effect.Effect<unknown, unknown>, name: string) =>
    Effect.map(browser.run(script), ({ response }) => response.headers.get(name))

  const saying = (headers: Record<string, string>) => HttpServerResponse.text("ok", { headers })

  it.effect("that sets or deletes the cookie is not cached", () =>
    Effect.gen(function*() {
      const said = "cache-control"
      const server = yield* serve
      const starting = (value: string) =>
        header(
          new Browser(server),
          (visitor) => Effect.as(visitor.start(), value === "" ? undefined : saying({ [said]: value })),
          said
        )
      assert.strictEqual(yield* starting(""), "no-store")
      assert.strictEqual(yield* starting("public, max-age=3600, immutable"), "no-store")
      assert.strictEqual(yield* starting("private, no-store"), "no-store, private")
      assert.strictEqual(yield* starting("No-Cache, no-transform"), "no-store, no-cache, no-transform")
      const browser = new Browser(server)
      yield* browser.start()
      const cached = (visitor: Visiting) => Effect.as(visitor.get, saying({ [said]: "private, max-age=60" }))
      assert.strictEqual(yield* header(browser, cached, said), "private, max-age=60")
      assert.strictEqual(yield* header(browser, (visitor) => visitor.rotate(), said), "no-store")
      assert.strictEqual(yield* header(browser, (visitor) => visitor.end, said), "no-store")
    }).pipe(Effect.scoped, setup()))

  it.effect("varies by cookie once the session was asked for, whatever else it varies by", () =>
    Effect.gen(function*() {
      const browser = new Browser(yield* serve)
      const vary = (value: string | undefined, ask = true) =>
        header(
          browser,
          (visitor) =>
            Effect.as(ask ? visitor.find : Effect.void, value === undefined ? undefined : saying({ vary: value })),
          "vary"
        )
      assert.strictEqual(yield* vary("accept-encoding", false), "accept-encoding")
      assert.strictEqual(yield* vary(undefined, false), null)
      assert.strictEqual(yield* vary(undefined), "Cookie")
      assert.strictEqual(yield* vary("accept-encoding, Origin"), "accept-encoding, Origin, Cookie")
      assert.strictEqual(yield* vary("Origin,cookie"), "Origin,cookie")
      assert.strictEqual(yield* vary("*"), "*")
      assert.strictEqual(yield* vary("X-Cookie"), "X-Cookie, Cookie")
    }).pipe(Effect.scoped, setup()))
})

describe("Secure", () => {
  it.effect("is believed from a trusted proxy only", () =>
    Effect.gen(function*() {
      const server = yield* serve
      const isSecure = (address: string, proto: string) =>
        Effect.map(
          new Browser(server, {
            host: "127.0.0.1:3000",
            address,
            headers: { "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": proto }
          }).start(),
          ({ setCookie }) => [setCookie!.startsWith("__Host-"), setCookie!.includes("Secure")]
        )
      assert.deepStrictEqual(yield* isSecure("10.0.0.1", "https"), [true, true])
      assert.deepStrictEqual(yield* isSecure("10.0.0.1", "http"), [false, false])
      assert.deepStrictEqual(yield* isSecure("192.0.2.1", "https"), [false, false])
    }).pipe(Effect.scoped, setup()))
})
