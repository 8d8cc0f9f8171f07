/** Cookies, tokens and devices on several nodes: what one node revokes, all refuse. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, type Redacted, Result, Scope } from "effect"
import { StartLimiter } from "effect-sessions"
import { Admission, TokenVerifier } from "effect-sessions/auth"
import { SessionCluster } from "effect-sessions/cluster"
import { Connections, CookieKeys, Devices } from "effect-sessions/http"
import { HttpServerRequest } from "effect/http"
import { Browser, keyA, kind, serve, Visit, Visitor } from "../edge/httpServer.ts"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import { type AnyNodeOptions, settled, startProgram } from "./ClusterNode.ts"

class Url extends Context.Service<Url, Redacted.Redacted>()("test/Url") {}

/** Tokens are their claims. */
const Tokens = Layer.succeed(TokenVerifier, {
  verify: (token) => Effect.sync(() => JSON.parse(Buffer.from(token, "base64url").toString())),
  expiresAt: () => Infinity
})

const perOwner = 12

const program = () =>
  Layer.mergeAll(
    kind({ snapshots: { save: "everyChange" } }),
    CookieKeys.layer(keyA),
    SessionCluster.connections({ perOwner }),
    Tokens
  )

/** A node that serves requests. */
const startShop = Effect.fnUntraced(function*(options: AnyNodeOptions) {
  const node = yield* startProgram(options, program())
  const { context } = node
  const server = yield* Effect.provideContext(serve, context)
  const byCookie = yield* Effect.provideContext(Admission.cookie(Visitor).make, context)
  const byToken = yield* Effect.provideContext(
    Admission.token({ kind: Visit, id: ({ sub }) => `user-${sub}`, boundTo: Visit }).make,
    context
  )
  return { ...node, server, byCookie, byToken }
})

type Shop = Effect.Success<ReturnType<typeof startShop>>

let names = 0

const shops = Effect.fnUntraced(function*(count: number, options?: Partial<AnyNodeOptions>) {
  const url = yield* Url
  const name = `i${++names}`
  const all = yield* Effect.forEach(
    Array.from({ length: count }),
    () => startShop({ ...options, url, name }),
    { concurrency: "unbounded" }
  )
  yield* settled(...all)
  return all as ReadonlyArray<Shop> & [Shop, Shop, Shop]
})

/** The browser of one person, at another node. */
const at = ({ server }: Shop, browser: Browser, address = "192.0.2.1") => {
  const other = new Browser(server, { address })
  for (const [name, value] of browser.jar) other.jar.set(name, value)
  return other
}

const plain = HttpServerRequest.fromWeb(new Request("http://server.test/"))

/** Opens a socket, as a route of WebSockets does, from another address. */
const connect = Effect.fnUntraced(function*(
  admission: Effect.Success<ReturnType<typeof Admission.cookie<any, any, any>>["make"]>,
  headers: Record<string, string>
) {
  const seen: Array<string> = []
  const request = plain.modify({ headers: { ...plain.headers, host: "shop.example", ...headers } as any })
  const { session } = yield* admission.connect(request, {
    revoked: (why) => seen.push(why),
    ended: ({ _tag }) => seen.push(_tag)
  })
  return { session, seen }
})

const until = Effect.fnUntraced(function*(condition: () => boolean) {
  while (!condition()) yield* Effect.sleep(5)
})

const bearer = (claims: Record<string, unknown>) => ({
  authorization: `Bearer ${Buffer.from(JSON.stringify({ exp: 1, ...claims })).toString("base64url")}`
})

layer(Layer.effect(Url, PostgresServer.start), { excludeTestServices: true })("On several nodes", (it) => {
  it.effect("one cookie works on each, and a login on one is the end of the old cookie on all", () =>
    Effect.gen(function*() {
      const nodes = yield* shops(3)
      const [a, b, c] = nodes
      const browser = new Browser(a.server)
      const { value: id } = yield* browser.start()
      for (const node of nodes) assert.strictEqual((yield* at(node, browser).find()).value, id)
      const before = nodes.map((node) => at(node, browser))
      const stolen = nodes.map((node) => at(node, browser, "198.51.100.9"))
      const streams = yield* Effect.forEach(stolen, (browser) => browser.hold())
      const sockets = yield* Effect.forEach(nodes, ({ byCookie }) => connect(byCookie, { cookie: browser.cookie }))
      const own = yield* at(c, browser).hold()
      const login = at(b, browser)
      const [{ session }] = sockets as [typeof sockets[number]]
      while ((yield* session.info).watchers < 7) yield* Effect.sleep(5)
      yield* login.rotate()
      yield* until(() => streams.every((stream) => !stream.isOpen()) && sockets.every(({ seen }) => seen.length > 0))
      for (const { seen } of sockets) assert.deepStrictEqual(seen, ["replaced"])
      assert.isTrue(own.isOpen(), "the client that has rotated keeps its own stream on another node")
      for (const browser of before) assert.strictEqual((yield* browser.find()).status, 409)
      for (const node of nodes) assert.strictEqual((yield* at(node, login).find()).value, id)
      yield* login.rotate({ user: "ada" })
      yield* until(() => !own.isOpen())
    }).pipe(Effect.scoped))

  it.effect("of two logins with one cookie on two nodes one is done", () =>
    Effect.gen(function*() {
      const [a, b] = yield* shops(2)
      const browser = new Browser(a.server)
      yield* browser.start()
      const logins = [at(a, browser), at(b, browser)] as const
      const done = yield* Effect.all(logins.map((login, i) => login.rotate({ user: `user-${i}` })), {
        concurrency: 2
      })
      assert.deepStrictEqual(done.map(({ status }) => status).sort(), [204, 409])
    }).pipe(Effect.scoped))

  it.effect("a rotation while a session moves is learnt by the connections that it moved with", () =>
    Effect.gen(function*() {
      const [a, b] = yield* shops(2)
      const browser = new Browser(a.server)
      const sockets: Array<{ readonly seen: Array<string>; readonly browser: Browser }> = []
      for (let i = 0; i < 8; i++) {
        const browser = new Browser(a.server)
        yield* browser.start()
        sockets.push({ browser, ...(yield* connect(a.byCookie, { cookie: browser.cookie })) })
      }
      yield* Effect.all([
        b.stop,
        Effect.forEach(sockets, ({ browser }) => browser.rotate(), { concurrency: "unbounded" })
      ], { concurrency: 2 })
      yield* until(() => sockets.every(({ seen }) => seen.length > 0))
      for (const { browser, seen } of sockets) {
        assert.deepStrictEqual(seen, ["replaced"])
        assert.strictEqual((yield* browser.find()).status, 204)
      }
      assert.strictEqual((yield* browser.find()).value, undefined)
    }).pipe(Effect.scoped))

  it.effect("devices that one node throws out are out on all", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* shops(3)
      const on = <A, E>(node: Shop, effect: Effect.Effect<A, E, Context.Context<never> | any>) =>
        Effect.provideContext(effect, node.context) as Effect.Effect<A, E>
      const phone = new Browser(a.server, { agent: "phone" })
      const laptop = new Browser(b.server, { agent: "laptop" })
      for (const browser of [phone, laptop]) {
        yield* browser.start()
        yield* browser.rotate({ user: "ada" })
      }
      const phoneId = (yield* phone.find()).value!
      const phones = yield* Effect.forEach([a, b, c], ({ byCookie }) =>
        connect(byCookie, { cookie: phone.cookie, "user-agent": "phone" }))
      const laptops = yield* Effect.forEach([a, b, c], ({ byCookie }) =>
        connect(byCookie, { cookie: laptop.cookie, "user-agent": "laptop" }))
      const devices = yield* on(c, Devices.list("ada"))
      assert.deepStrictEqual(devices.map(({ agent, connections }) => [agent, connections]).sort(), [
        ["laptop", 3],
        ["phone", 3]
      ])
      const ended = yield* Effect.forkChild(Effect.forEach(phones, ({ session }) =>
        session.awaitEnd))
      assert.isTrue(yield* on(c, Devices.end("ada", phoneId)))
      assert.isFalse(yield* on(a, Devices.end("ada", phoneId)))
      yield* until(() =>
        ended.pollUnsafe() !== undefined
      )
      for (const node of [a, b, c]) assert.isUndefined((yield* at(node, phone).find()).value)
      assert.strictEqual(yield* on(a, Devices.endAll("ada")), 1)
      yield* Effect.forEach(laptops, ({ session }) => Effect.ignore(session.awaitEnd))
      for (const node of [a, b, c]) assert.isUndefined((yield* at(node, laptop).find()).value)
    }).pipe(Effect.scoped))

  it.effect("a token dies with the cookie that it was made for, wherever that is replaced", () =>
    Effect.gen(function*() {
      const [a, b, c] = yield* shops(3)
      const browser = new Browser(a.server)
      yield* browser.start()
      const sid = (yield* browser.run((visitor) => visitor.binding)).value!
      const headers = bearer({ sub: "ada", sid })
      const sockets = yield* Effect.forEach([a, b, c], ({ byToken }) => connect(byToken, headers))
      const scope = yield* Scope.make()
      yield* Scope.provide(connect(b.byToken, headers), scope)
      yield* at(c, browser).rotate()
      yield* until(() => sockets.every(({ seen }) => seen.length > 0))
      for (const { seen } of sockets) assert.deepStrictEqual(seen, ["replaced"])
      for (const { byToken } of [a, b, c]) {
        const again = yield* Effect.result(connect(byToken, headers))
        assert.isTrue(Result.isFailure(again) && again.failure._tag === "NoSession")
      }
    }).pipe(Effect.scoped))

  it.effect("as many connections as one user may have are for all nodes; what a node had is given back when it is gone", () =>
    Effect.gen(function*() {
      const nodes = yield* shops(3)
      const [a, , c] = nodes
      const browser = new Browser(a.server)
      yield* browser.start()
      const scopes = yield* Effect.forEach(nodes, () => Scope.make())
      const race = (count: number) =>
        Effect.forEach(Array.from({ length: count }), (_, i) =>
          Effect.result(Scope.provide(
            connect(nodes[i % 3]!.byCookie, { cookie: browser.cookie }),
            scopes[i % 3]!
          )), { concurrency: "unbounded" })
      const results = yield* race(30)
      const refused = results.filter(Result.isFailure)
      assert.strictEqual(results.length - refused.length, perOwner)
      for (const { failure } of refused) assert.strictEqual(failure._tag, "TooManyConnections")
      for (const node of nodes) assert.strictEqual((yield* at(node, browser).hold()).status, 429)
      yield* browser.rotate({ user: "ada" })
      const counts = yield* Effect.forEach(nodes, ({ context }) => Context.get(context, Connections).of("ada"))
      assert.strictEqual(counts.flat().length, 0, "the connections of the old cookie are not the user's")
      for (const scope of scopes) yield* Scope.close(scope, Exit.void)
      const own = yield* Scope.make()
      const laptop = at(c, browser)
      for (let i = 0; i < perOwner; i++) {
        yield* Scope.provide(connect(c.byCookie, { cookie: laptop.cookie }), own)
      }
      assert.strictEqual((yield* browser.hold()).status, 429)
      yield* c.stop
      while ((yield* browser.hold()).status !== 200) yield* Effect.sleep(20)
      yield* Scope.close(own, Exit.void)
    }).pipe(Effect.scoped))

  it.effect("starts are limited for all nodes together, however they race", () =>
    Effect.gen(function*() {
      const nodes = yield* shops(3, { sessions: { startRate: { limit: 7, window: "1 hour" } } })
      const starts = yield* Effect.forEach(Array.from({ length: 30 }), (_, i) =>
        new Browser(nodes[i % 3]!.server).start(), { concurrency: "unbounded" })
      assert.deepStrictEqual(
        [
          starts.filter(({ status }) =>
            status === 204
          ).length,
          starts.filter(({ status }) => status === 429).length
        ],
        [7, 23]
      )
      for (const { context } of nodes) {
        assert.deepInclude(yield* Context.get(context, StartLimiter).status, { limit: 7, current: 7 })
      }
    }).pipe(Effect.scoped))

  it.effect("starts of one address are limited for all nodes together", () =>
    Effect.gen(function*() {
      const nodes = yield* shops(2, {
        sessions: { startRate: false, startRatePerAddress: { limit: 2, window: "1 hour" } }
      })
      for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]) {
        const statuses = yield* Effect.forEach(
          [0, 1, 0, 1],
          (i) => new Browser(nodes[i]!.server, { address }).start(),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(statuses.map(({ status }) => status).sort(), [204, 204, 429, 429])
      }
      for (const { context } of nodes) assert.strictEqual(yield* Context.get(context, StartLimiter).addresses, 4)
    }).pipe(Effect.scoped))
})
