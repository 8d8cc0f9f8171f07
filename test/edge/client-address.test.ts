import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Schema } from "effect"
import { ClientAddress } from "effect-sessions/http"
import {
  HttpClient,
  HttpClientRequest,
  HttpMiddleware,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"
import { IpNetwork } from "effect/net"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))
const Group = between(0, 0xffff)
const hex = (groups: ReadonlyArray<number>): string => groups.map((group) => group.toString(16)).join(":")

describe("ClientAddress.normalize", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::FFFF:C000:0201", "192.0.2.1"],
    ["0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1%eth0", "192.0.2.1"],
    ["127.0.0.1", "127.0.0.1"],
    ["::ffff:127.0.0.1", "127.0.0.1"]
  ])("gives %s the IPv4 key %s", (address, key) => {
    assert.strictEqual(ClientAddress.normalize(address), key)
  })

  it.each([
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0DB8:0001:0002:0000:0000:0000:0001", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8::/64"],
    ["2001::1", "2001::/64"],
    ["0:0:1:2:3:4:5:6", "0:0:1:2::/64"],
    ["fe80::1%eth0", "fe80::/64"],
    ["fe80::1%", "fe80::/64"],
    [`fe80::2%${"z".repeat(10_000)}`, "fe80::/64"],
    ["64:ff9b::192.0.2.33", "64:ff9b::/64"],
    ["::", "::/64"]
  ])("gives %s its network %s", (address, key) => {
    assert.strictEqual(ClientAddress.normalize(address), key)
  })

  it("leaves the loopback address alone, so that it is still known as one", () => {
    for (const address of ["::1", "0:0:0:0:0:0:0:1", "::1%lo"]) {
      assert.strictEqual(ClientAddress.normalize(address), "::1")
    }
  })

  it.each([
    "unknown",
    "client-42",
    "1.2.3",
    "1.2.3.4.5",
    "256.0.0.1",
    "01.2.3.4",
    "0x7f.0.0.1",
    "2130706433",
    "1.2.3.4:80",
    "[::1]",
    "[::1]:80",
    ":::",
    "1::2::3",
    "2001:db8::g",
    "12345::",
    "%eth0",
    "10.0.0.0/8",
    "2001:db8::5/64",
    " ::1",
    "1.2.3.4, 5.6.7.8"
  ])("keeps %j, which is no address, as it is", (text) => {
    assert.strictEqual(ClientAddress.normalize(text), text)
  })

  it("cuts what is no address, and has no key for the empty text", () => {
    const key = ClientAddress.normalize("x".repeat(1_000_000))
    assert.strictEqual(key, "x".repeat(64))
    assert.strictEqual(ClientAddress.maxLength, 64)
    assert.strictEqual(ClientAddress.normalize(":".repeat(1_000_000)), ":".repeat(64))
    assert.isUndefined(ClientAddress.normalize(""))
  })

  const Piece = Schema.Union([
    Schema.Literals([":", "::", ".", "%", "/", "/64", "ffff", "[", "]", "0", "127", "é", "\ud83d", " "]),
    Schema.String,
    between(0, 300)
  ])
  it.prop(
    "never throws, is short, and changes nothing the second time",
    [Schema.Array(Piece), Schema.Array(Group)],
    ([pieces, groups]) => {
      for (const text of [pieces.join(""), groups.join("."), hex(groups), `${hex(groups)}${pieces.join("")}`]) {
        const key = ClientAddress.normalize(text)
        if (key === undefined) {
          assert.strictEqual(text, "")
          continue
        }
        assert.isAtMost(key.length, 64)
        assert.strictEqual(ClientAddress.normalize(key), key)
        assert.strictEqual(ClientAddress.isLoopback(key), ClientAddress.isLoopback(text))
      }
    }
  )

  it.prop(
    "gives all addresses of a network of 64 bits one key, and the next network another",
    [
      Schema.Tuple([between(0x2000, 0x3fff), Group, Group, between(0, 0xfffe)]),
      Schema.Array(Schema.Tuple([Group, Group, Group, Group])).check(
        Schema.isMinLength(1 << 5),
        Schema.isMaxLength(1 << 7)
      )
    ],
    ([[a, b, c, d], hosts]) => {
      const key = ClientAddress.normalize(`${hex([a, b, c, d])}::`)
      const keys = new Set(hosts.map((host) => ClientAddress.normalize(hex([a, b, c, d, ...host]))))
      assert.deepStrictEqual([...keys], [key])
      for (const host of hosts) assert.notStrictEqual(ClientAddress.normalize(hex([a, b, c, d + 1, ...host])), key)
    }
  )

  it.prop("gives each IPv4 address a key of its own, mapped or not", [Group, Group], ([high, low]) => {
    const dotted = [high >> 8, high & 255, low >> 8, low & 255].join(".")
    assert.strictEqual(ClientAddress.normalize(dotted), dotted)
    assert.strictEqual(ClientAddress.normalize(`::ffff:${dotted}`), dotted)
    assert.strictEqual(ClientAddress.normalize(`::ffff:${hex([high, low])}`), dotted)
  })
})

describe("ClientAddress.isLoopback", () => {
  it.each([
    "127.0.0.1",
    "127.255.255.254",
    "127.0.0.0",
    "::1",
    "0:0::1",
    "::1%lo",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1"
  ])(
    "is true for %s",
    (address) => {
      assert.isTrue(ClientAddress.isLoopback(address))
    }
  )

  it.each([
    "",
    "128.0.0.1",
    "126.255.255.255",
    "0.0.0.0",
    "::",
    "::2",
    "::127.0.0.1",
    "::1/64",
    "[::1]",
    "127.1",
    "2130706433",
    "localhost",
    "127.0.0.1.evil.com",
    "127.0.0.1 "
  ])("is false for %j", (address) => {
    assert.isFalse(ClientAddress.isLoopback(address))
  })
})

describe("ClientAddress.isLocalHost", () => {
  it.each([
    "localhost",
    "localhost:3000",
    "LocalHost:3000",
    "localhost.",
    "localhost.:80",
    "localhost:",
    "shop.localhost",
    "a.b-c.LOCALHOST:8080",
    "evil.com.localhost",
    "127.0.0.1",
    "127.0.0.1:3000",
    "127.8.9.10:80",
    "[::1]",
    "[::1]:3000",
    "[0:0:0:0:0:0:0:1]:3000",
    "[::ffff:127.0.0.1]"
  ])("is true for %s", (host) => {
    assert.isTrue(ClientAddress.isLocalHost(host))
  })

  it.each([
    undefined,
    "",
    ":3000",
    ".",
    ".localhost",
    "a..localhost",
    "localhost..",
    "localhost.evil.com",
    "localhost.evil.com:3000",
    "localhost:3000.evil.com",
    "localhost:80:80",
    "localhost:80@evil.com",
    "evil.com@localhost",
    "evil.com/localhost",
    "evil.com#.localhost",
    "evil.com\\.localhost",
    "evil.com,localhost",
    "localhost, evil.com",
    "evillocalhost",
    "localhost-evil.com",
    "localhos",
    "localhost\n",
    " localhost",
    "lo\u0441alhost",
    "127.0.0.1.evil.com",
    "127.0.0.1.",
    "127.1",
    "127.0.0.1%lo",
    "127.evil.com",
    "128.0.0.1",
    "0.0.0.0",
    "10.0.0.1",
    "::1",
    "::1:3000",
    "[::1",
    "::1]",
    "[::1]evil.com",
    "[::1].localhost",
    "[::1%lo]",
    "[::2]",
    "[127.0.0.1]",
    "[localhost]",
    "[]"
  ])("is false for %j", (host) => {
    assert.isFalse(ClientAddress.isLocalHost(host))
  })

  it("is quick about a hostile header", () => {
    assert.isFalse(ClientAddress.isLocalHost(`${"a.".repeat(8_000)}localhos`))
    assert.isFalse(ClientAddress.isLocalHost(`${"a".repeat(16_000)}:`))
  })
})

const Who = HttpRouter.add(
  "GET",
  "/who",
  Effect.map(
    HttpServerRequest.HttpServerRequest,
    (request) => HttpServerResponse.text(ClientAddress.of(request) ?? "nobody")
  )
)

const quiet = { disableLogger: true, disableListenLog: true }

const trusting = (...networks: ReadonlyArray<string>) =>
  HttpMiddleware.xForwardedHeaders({ trustedProxies: networks.map(IpNetwork.fromStringUnsafe) })

/** Servers whose clients, the tests, connect from this machine. */
const plain = HttpRouter.serve(Who, quiet).pipe(Layer.provideMerge(NodeHttpServer.layerTest))
const behindOthers = HttpRouter.serve(Who, { ...quiet, middleware: trusting("10.0.0.0/8") }).pipe(
  Layer.provideMerge(NodeHttpServer.layerTest)
)
const ours = trusting("127.0.0.0/8", "::1/128", "10.0.0.0/8")
const behindUs = HttpRouter.serve(Who, { ...quiet, middleware: ours }).pipe(
  Layer.provideMerge(NodeHttpServer.layerTest)
)
const behindUsByRouter = HttpRouter.serve(
  Layer.merge(HttpRouter.middleware(ours, { global: true }), Who),
  quiet
).pipe(Layer.provideMerge(NodeHttpServer.layerTest))

const who = (forwardedFor: string) =>
  HttpClientRequest.get("/who").pipe(
    HttpClientRequest.setHeader("x-forwarded-for", forwardedFor),
    HttpClient.execute,
    Effect.flatMap((response) => response.text)
  )

describe("ClientAddress.of", () => {
  it.effect("believes no X-Forwarded-For of its own accord", () =>
    Effect.gen(function*() {
      for (const forged of ["203.0.113.7", "::ffff:203.0.113.7", "10.0.0.1, 203.0.113.7", "garbage"]) {
        assert.isTrue(ClientAddress.isLoopback(yield* who(forged)), forged)
      }
    }).pipe(Effect.provide(plain)))

  it.effect("believes none from a peer that is no trusted proxy", () =>
    Effect.gen(function*() {
      assert.isTrue(ClientAddress.isLoopback(yield* who("203.0.113.7")))
    }).pipe(Effect.provide(behindOthers)))

  it.effect("is who the trusted proxies vouch for, as a key", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* who("203.0.113.7"), "203.0.113.7")
      assert.strictEqual(yield* who("::ffff:203.0.113.7"), "203.0.113.7")
      assert.strictEqual(yield* who("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64")
      // What the client itself wrote stands on the left of what the proxies appended.
      assert.strictEqual(yield* who("6.6.6.6, 203.0.113.7, 10.1.2.3"), "203.0.113.7")
      assert.isTrue(ClientAddress.isLoopback(yield* who("203.0.113.7, unknown")))
    }).pipe(Effect.provide(behindUs)))

  it.effect("is the same when the router trusts the proxies", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* who("6.6.6.6, 203.0.113.7, 10.1.2.3"), "203.0.113.7")
    }).pipe(Effect.provide(behindUsByRouter)))

  it.effect("is undefined where there is no connection", () =>
    Effect.gen(function*() {
      const { dispose, handler } = HttpRouter.toWebHandler(Who, { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const headers = { "x-forwarded-for": "203.0.113.7" }
      const response = yield* Effect.promise(() => handler(new Request("http://shop.example/who", { headers })))
      assert.strictEqual(yield* Effect.promise(() => response.text()), "nobody")
    }))

  it("takes what the program itself has set", () => {
    const request = HttpServerRequest.fromWeb(new Request("http://shop.example/"))
    const of = (address: string) => ClientAddress.of(request.modify({ remoteAddress: Option.some(address) }))
    assert.strictEqual(of("2001:DB8::1"), "2001:db8::/64")
    assert.strictEqual(of("client-42"), "client-42")
    assert.isUndefined(of(""))
  })
})
