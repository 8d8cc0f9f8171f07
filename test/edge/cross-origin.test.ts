import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { SessionError } from "effect-sessions"
import { CrossOrigin, CrossOriginRefused, type Policy } from "effect-sessions/http"
import {
  HttpClient,
  HttpClientRequest,
  HttpMiddleware,
  HttpRouter,
  HttpServerRequest,
  HttpServerResponse
} from "effect/http"

const none: Policy = { allow: new Set() }
const friends = [
  "https://admin.shop.example",
  "http://localhost:5173",
  "capacitor://localhost",
  "https://[2001:db8::1]:8443"
]
const friendly: Policy = { allow: new Set(friends) }

interface Headers {
  readonly host?: string
  readonly origin?: string
  readonly "sec-fetch-site"?: string
}

const request = (headers: Headers = {}, method = "POST", url = "http://shop.example/cart") =>
  HttpServerRequest.fromWeb(new Request(url, { method, headers: { ...headers } }))

/** As it comes from a trusted proxy. */
const over = (protocol: "http" | "https", headers: Headers) => request(headers).modify({ protocol })

describe("CrossOrigin.isAllowed", () => {
  it.each(["GET", "HEAD", "OPTIONS"])("lets %s pass, wherever it comes from", (method) => {
    const forged = { origin: "https://evil.example", "sec-fetch-site": "cross-site" }
    assert.isTrue(CrossOrigin.isAllowed(request(forged, method), none))
  })

  it.each(["POST", "PUT", "PATCH", "DELETE", "QUERY", "PROPFIND"])("refuses %s from another origin", (method) => {
    assert.isFalse(CrossOrigin.isAllowed(request({ "sec-fetch-site": "cross-site" }, method), none))
    assert.isFalse(CrossOrigin.isAllowed(request({ origin: "https://evil.example" }, method), none))
    assert.isTrue(CrossOrigin.isAllowed(request({ "sec-fetch-site": "same-origin" }, method), none))
  })

  describe("with Sec-Fetch-Site", () => {
    it.each([
      ["same-origin", true],
      ["none", true],
      ["same-site", false],
      ["cross-site", false],
      ["", false],
      ["Same-Origin", false],
      ["same-origin, cross-site", false],
      ["same-origin, same-origin", false],
      ["same-originx", false],
      ["whatever", false]
    ])("%j passes: %s", (site, passes) => {
      assert.strictEqual(CrossOrigin.isAllowed(request({ "sec-fetch-site": site }), none), passes)
    })

    it("does not look at the origin when the browser says that it is the same", () => {
      const headers = { "sec-fetch-site": "same-origin", origin: "https://seen.by.the.browser" }
      assert.isTrue(CrossOrigin.isAllowed(request(headers), none))
    })

    it("believes it more than an origin that looks the same", () => {
      const headers = { "sec-fetch-site": "cross-site", origin: "http://shop.example", host: "shop.example" }
      assert.isFalse(CrossOrigin.isAllowed(request(headers), none))
    })

    it.each(["same-site", "cross-site"])("lets %s pass from allowed origins only", (site) => {
      for (const origin of friends) {
        assert.isTrue(CrossOrigin.isAllowed(request({ "sec-fetch-site": site, origin }), friendly), origin)
      }
      for (const origin of [undefined, "null", "", "https://evil.example", "http://admin.shop.example"]) {
        const headers = { "sec-fetch-site": site, ...(origin === undefined ? {} : { origin }) }
        assert.isFalse(CrossOrigin.isAllowed(request(headers), friendly), origin)
      }
    })
  })

  it("lets programs pass that send neither header", () => {
    assert.isTrue(CrossOrigin.isAllowed(request(), none))
    assert.isTrue(CrossOrigin.isAllowed(request({ host: "shop.example" }), none))
  })

  describe("with Origin only", () => {
    it.each([
      ["shop.example", "http://shop.example"],
      ["shop.example", "https://shop.example"],
      ["shop.example", "http://shop.example:80"],
      ["shop.example", "https://shop.example:443"],
      ["shop.example:80", "http://shop.example"],
      ["shop.example:443", "https://shop.example"],
      ["shop.example:3000", "http://shop.example:3000"],
      ["shop.example:3000", "https://shop.example:3000"],
      ["Shop.Example:3000", "http://shop.example:3000"],
      ["shop.example", "HTTPS://SHOP.EXAMPLE"],
      ["localhost:3000", "http://localhost:3000"],
      ["127.0.0.1:3000", "http://127.0.0.1:3000"],
      ["[::1]", "http://[::1]"],
      ["[::1]:3000", "http://[::1]:3000"],
      ["[::1]:80", "http://[::1]"],
      ["[2001:DB8::1]", "https://[2001:db8::1]"],
      ["[2001:db8:0:0:0:0:0:1]:8443", "https://[2001:db8::1]:8443"],
      ["xn--bcher-kva.example", "https://xn--bcher-kva.example"],
      ["my_shop.example", "https://my_shop.example"],
      ["shop.example.", "https://shop.example."]
    ])("host %s lets %s pass", (host, origin) => {
      assert.isTrue(CrossOrigin.isAllowed(request({ host, origin }), none))
    })

    it.each([
      "null",
      "NULL",
      "",
      "undefined",
      "*",
      "shop.example",
      "//shop.example",
      "://shop.example",
      "http:shop.example",
      "http:/shop.example",
      "http:///shop.example",
      "https://evil.example",
      "https://shop.example.evil.example",
      "https://evil.example.shop.example",
      "https://evilshop.example",
      "https://shop.exampl",
      "https://shop.example:8443",
      "http://shop.example:443",
      "https://shop.example:80",
      "https://shop.example:",
      "https://shop.example:0",
      "https://shop.example:99999",
      "https://shop.example.",
      "https://shop.example/",
      "https://shop.example/cart",
      "https://shop.example?",
      "https://shop.example#",
      "https://user@shop.example",
      "https://shop.example@evil.example",
      "https://evil.example/https://shop.example",
      "https://evil.example#@shop.example",
      "https://evil.example\\shop.example",
      "https://evil.example\\@shop.example",
      "https://evil.example https://shop.example",
      "https://shop.example https://evil.example",
      "https://shop.example, https://evil.example",
      "https://shop.example,https://shop.example",
      "https://shop%2eexample",
      "https://%73hop.example",
      "https://shop.ex\tample",
      "https://shop.ex\u00adample",
      "https://\u00aahop.example",
      "ftp://shop.example",
      "ws://shop.example",
      "wss://shop.example",
      "file://shop.example",
      "file://",
      "capacitor://shop.example",
      "chrome-extension://shop.example",
      "javascript://shop.example",
      "data:text/html,shop.example",
      "about:blank"
    ])("host shop.example refuses %j", (origin) => {
      assert.isFalse(CrossOrigin.isAllowed(request({ host: "shop.example", origin }), none))
      assert.isFalse(CrossOrigin.isAllowed(request({ host: "shop.example", origin }), friendly))
    })

    it.each([
      ["127.0.0.1:3000", "http://localhost:3000"],
      ["localhost:3000", "http://localhost:5174"],
      ["[::1]:3000", "http://[::2]:3000"],
      ["[::1]:3000", "http://[::1]"],
      ["[::1]", "http://::1"],
      ["", "http://"],
      ["null", "null"],
      ["not a host", "null"],
      ["me@shop.example", "https://evil.example/"]
    ])("host %j refuses %j", (host, origin) => {
      assert.isFalse(CrossOrigin.isAllowed(request({ host, origin }), none))
    })

    it("takes the scheme into account if a trusted proxy forwards it", () => {
      const host = "shop.example"
      assert.isTrue(CrossOrigin.isAllowed(over("https", { host, origin: "https://shop.example" }), none))
      assert.isTrue(CrossOrigin.isAllowed(over("https", { host, origin: "https://shop.example:443" }), none))
      assert.isFalse(CrossOrigin.isAllowed(over("https", { host, origin: "http://shop.example" }), none))
      assert.isFalse(CrossOrigin.isAllowed(over("https", { host, origin: "http://shop.example:443" }), none))
      assert.isTrue(CrossOrigin.isAllowed(over("http", { host, origin: "http://shop.example" }), none))
      assert.isFalse(CrossOrigin.isAllowed(over("http", { host, origin: "https://shop.example" }), none))
    })

    it("takes the scheme into account where the connection is https", () => {
      const url = "https://shop.example/cart"
      assert.isTrue(CrossOrigin.isAllowed(request({ origin: "https://shop.example" }, "POST", url), none))
      assert.isFalse(CrossOrigin.isAllowed(request({ origin: "http://shop.example" }, "POST", url), none))
    })

    it("goes by the URL where there is no Host header", () => {
      const url = "http://shop.example:3000/cart?next=http://evil.example/"
      assert.isTrue(CrossOrigin.isAllowed(request({ origin: "http://shop.example:3000" }, "POST", url), none))
      assert.isFalse(CrossOrigin.isAllowed(request({ origin: "http://shop.example" }, "POST", url), none))
      assert.isFalse(CrossOrigin.isAllowed(request({ origin: "http://evil.example" }, "POST", url), none))
    })

    it("lets allowed origins pass, in any spelling", () => {
      for (const origin of [...friends, "HTTPS://Admin.Shop.Example:443", "https://[2001:DB8:0::1]:8443"]) {
        assert.isTrue(CrossOrigin.isAllowed(request({ host: "shop.example", origin }), friendly), origin)
        assert.isFalse(CrossOrigin.isAllowed(request({ host: "shop.example", origin }), none), origin)
      }
      for (const origin of ["http://localhost", "https://localhost:5173", "https://a.admin.shop.example"]) {
        assert.isFalse(CrossOrigin.isAllowed(request({ host: "shop.example", origin }), friendly), origin)
      }
    })

    it.prop(
      "passes exactly the host's own http and https origin",
      [
        Schema.Literals(["a.example", "b.example", "[::1]"]),
        Schema.Literals(["a.example", "b.example", "[::1]"]),
        Schema.Literals(["", ":80", ":443", ":8080"]),
        Schema.Literals(["", ":80", ":443", ":8080"]),
        Schema.Literals(["http", "https"])
      ],
      ([host, name, port, otherPort, scheme]) => {
        const origin = `${scheme}://${name}${otherPort}`
        const same = new URL(`${scheme}://${host}${port}`).origin === new URL(origin).origin
        return CrossOrigin.isAllowed(request({ host: `${host}${port}`, origin }), none) === same
      }
    )
  })
})

describe("CrossOrigin.check", () => {
  it.effect("lets pass what is allowed", () => CrossOrigin.check(request({ "sec-fetch-site": "none" }), none))

  it.effect("fails with an error that names the origin", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(CrossOrigin.check(request({ origin: "https://evil.example" }), none))
      assert.instanceOf(error, CrossOriginRefused)
      assert.strictEqual(
        error.message,
        "requests from the origin \"https://evil.example\" are refused: if it is yours, allow it"
      )
      assert.strictEqual(error.httpStatus, 403)
      assert.isTrue(error.retrySafe)
      assert.notInclude(error.stack ?? "", "\n    at ")
      const unnamed = yield* Effect.flip(CrossOrigin.check(request({ "sec-fetch-site": "cross-site" }), none))
      assert.include(unnamed.message, "from another origin")
    }))

  it("makes the error without a stack, and leaves others theirs", () => {
    assert.notInclude(CrossOriginRefused.of(undefined).stack ?? "", "    at ")
    assert.include(new Error("other").stack, "    at ")
  })

  it("quotes the start of a hostile origin, in one harmless line", () => {
    const { message } = CrossOriginRefused.of(
      `https://"\r\n\u001b[31m\u0000\u007f\u0085\u202e\ud83d${"x".repeat(100_000)}`
    )
    assert.isBelow(message.length, 160)
    assert.notMatch(message, /\p{C}/u)
    assert.include(message, "https://\\\"[31mxxx")
    assert.include(message, "x…\"")
    assert.include(CrossOriginRefused.of("y".repeat(80)).message, `"${"y".repeat(80)}"`)
    assert.notInclude(CrossOriginRefused.of("y".repeat(81)).message, "y".repeat(81))
  })
})

describe("CrossOrigin.checkUpgrade", () => {
  const handshake = (headers: Headers) => request({ host: "shop.example", ...headers }, "GET")

  it.effect.each(
    [
      {},
      { origin: "http://shop.example" },
      { origin: "https://shop.example" },
      { origin: "https://shop.example:443" },
      { origin: "https://admin.shop.example" },
      { origin: "capacitor://localhost" },
      { origin: "http://shop.example", "sec-fetch-site": "cross-site" }
    ] satisfies ReadonlyArray<Headers>
  )("lets %j pass", (headers) => CrossOrigin.checkUpgrade(handshake(headers), friendly))

  it.effect.each(
    [
      { origin: "null" },
      { origin: "" },
      { origin: "https://evil.example" },
      { origin: "https://shop.example.evil.example" },
      { origin: "wss://shop.example" },
      { origin: "http://shop.example:3000" },
      { origin: "https://evil.example", "sec-fetch-site": "same-origin" }
    ] satisfies ReadonlyArray<Headers>
  )("refuses %j, although it is a GET", (headers) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(CrossOrigin.checkUpgrade(handshake(headers), friendly))
      assert.strictEqual(error._tag, "CrossOriginRefused")
      assert.isTrue(CrossOrigin.isAllowed(handshake(headers), friendly))
    }))
})

describe("CrossOrigin.make", () => {
  it.effect("writes origins as browsers do", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual([...(yield* CrossOrigin.make()).allow], [])
      const { allow } = yield* CrossOrigin.make({
        allow: [
          "HTTPS://Admin.Shop.Example:443",
          "https://admin.shop.example",
          "http://localhost:80",
          "http://localhost:5173",
          "https://[2001:DB8:0:0::1]:8443",
          "capacitor://LocalHost"
        ]
      })
      assert.deepStrictEqual([...allow], [
        "https://admin.shop.example",
        "http://localhost",
        "http://localhost:5173",
        "https://[2001:db8::1]:8443",
        "capacitor://localhost"
      ])
    }))

  it.effect.each([
    "",
    "*",
    "null",
    "https://*",
    "https://*.shop.example",
    "shop.example",
    "shop.example:443",
    "//shop.example",
    "https:shop.example",
    "https://",
    "https://:443",
    "https://shop.example/",
    "https://shop.example/admin",
    "https://shop.example?",
    "https://shop.example#",
    "https://shop.example:",
    "https://shop.example:65536",
    "https://shop.example:port",
    "https://me@shop.example",
    "https://shop.example\\",
    "https://shop example",
    " https://shop.example",
    "https://shop.example\n",
    "https://bücher.example",
    "https://[::1",
    "https://[::g]",
    "https://1.2.3.4.5",
    "ws://shop.example",
    "wss://shop.example",
    "file:///"
  ])("fails on %j", (origin) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(CrossOrigin.make({ allow: ["https://good.example", origin] }))
      assert.instanceOf(error, SessionError.InvalidConfig)
      assert.strictEqual(error.setting, "CrossOrigin.allow")
      assert.include(error.message, "such as \"https://shop.example\"")
    }))

  it.effect("fails when the Layer is built, and says what it got", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Layer.build(CrossOrigin.layer({ allow: ["https://shop.example/"] })))
      assert.include(error.message, "got \"https://shop.example/\"")
    }))
})

describe("CrossOrigin.protect", () => {
  /** A router that counts what it handles. */
  const open = (allow?: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const calls: Array<string> = []
      const Routes = HttpRouter.add("*", "/cart", (request) =>
        Effect.gen(function*() {
          calls.push(request.method)
          return HttpServerResponse.text(request.method === "POST" ? yield* request.text : "")
        }).pipe(Effect.orDie))
      const { dispose, handler } = HttpRouter.toWebHandler(
        Layer.merge(CrossOrigin.protect, Routes).pipe(Layer.provide(CrossOrigin.layer({ allow }))),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const send = (path: string, init: RequestInit) =>
        Effect.promise(() => handler(new Request(`http://shop.example${path}`, init)))
      return { calls, send }
    })

  const text = (response: Response) => Effect.promise(() => response.text())

  it.effect("lets the own origin, allowed ones and programs through", () =>
    Effect.gen(function*() {
      const { calls, send } = yield* open(["https://admin.shop.example"])
      for (
        const headers of [
          { "sec-fetch-site": "same-origin", origin: "http://shop.example" },
          { origin: "http://shop.example" },
          { "sec-fetch-site": "same-site", origin: "https://admin.shop.example" },
          {}
        ]
      ) {
        const response = yield* send("/cart", { method: "POST", body: "tea", headers })
        assert.strictEqual(response.status, 200)
        assert.strictEqual(yield* text(response), "tea")
      }
      assert.strictEqual(calls.length, 4)
    }))

  it.effect("answers others with 403 and the error as JSON, and does not run the route", () =>
    Effect.gen(function*() {
      const { calls, send } = yield* open()
      const headers = { "sec-fetch-site": "cross-site", origin: "https://evil.example" }
      for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
        const response = yield* send("/cart", { method, headers })
        assert.strictEqual(response.status, 403)
        assert.strictEqual(response.headers.get("content-type"), "application/json")
        assert.deepStrictEqual(JSON.parse(yield* text(response)), {
          _tag: "CrossOriginRefused",
          message: CrossOriginRefused.of("https://evil.example").message
        })
      }
      assert.deepStrictEqual(calls, [])
      assert.strictEqual((yield* send("/cart", { method: "GET", headers })).status, 200)
      assert.strictEqual((yield* send("/nowhere", { method: "POST", headers })).status, 403)
      assert.strictEqual((yield* send("/nowhere", { method: "POST" })).status, 404)
    }))

  it.effect("refuses before the body is read", () =>
    Effect.gen(function*() {
      const { send } = yield* open()
      let pulls = 0
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          pulls++
          controller.enqueue(new TextEncoder().encode("x"))
          if (pulls === 3) controller.close()
        }
      }, { highWaterMark: 0 })
      const init: RequestInit = { method: "POST", body, duplex: "half", headers: { origin: "null" } }
      assert.strictEqual((yield* send("/cart", init)).status, 403)
      assert.strictEqual(pulls, 0)
      assert.isFalse(body.locked)
      assert.strictEqual(yield* text(yield* send("/cart", { ...init, headers: {} })), "xxx")
    }))

  it.effect("needs allowed origins that are origins", () =>
    Effect.gen(function*() {
      const protectedRouter = CrossOrigin.protect.pipe(
        Layer.provide(CrossOrigin.layer({ allow: ["*"] })),
        Layer.provide(HttpRouter.layer)
      )
      const error = yield* Effect.flip(Layer.build(protectedRouter))
      assert.strictEqual(error._tag, "InvalidConfig")
    }))

  describe("on Node", () => {
    const Routes = Layer.mergeAll(
      CrossOrigin.protect,
      HttpRouter.add("POST", "/cart", HttpServerResponse.empty()),
      HttpRouter.add("GET", "/host", (request) => Effect.succeed(HttpServerResponse.text(request.headers.host ?? "")))
    ).pipe(Layer.provide(CrossOrigin.layer()))
    const quiet = { disableLogger: true, disableListenLog: true }
    const direct = HttpRouter.serve(Routes, quiet).pipe(Layer.provideMerge(NodeHttpServer.layerTest))
    const proxied = HttpRouter.serve(Routes, {
      ...quiet,
      middleware: HttpMiddleware.xForwardedHeaders({ trustedProxies: () => true })
    }).pipe(Layer.provideMerge(NodeHttpServer.layerTest))

    const post = (headers: Record<string, string>, body = "tea") =>
      HttpClientRequest.post("/cart").pipe(
        HttpClientRequest.setHeaders(headers),
        HttpClientRequest.bodyText(body),
        HttpClient.execute,
        Effect.map((response) => response.status)
      )
    const forwarded = (scheme: string, origin: string) => ({
      "x-forwarded-for": "203.0.113.7",
      "x-forwarded-host": "shop.example",
      "x-forwarded-proto": scheme,
      origin
    })

    it.effect("lets the https pages of its host pass behind a TLS terminator that it does not know of", () =>
      Effect.gen(function*() {
        const host = yield* Effect.flatMap(HttpClient.get("/host"), (response) => response.text)
        assert.match(host, /:\d+$/)
        assert.strictEqual(yield* post({ origin: `https://${host}` }), 204)
        assert.strictEqual(yield* post({ origin: `http://${host}` }), 204)
        assert.strictEqual(yield* post({ origin: `http://evil.${host}` }), 403)
        assert.strictEqual(yield* post(forwarded("https", "https://shop.example")), 403)
      }).pipe(Effect.provide(direct)))

    it.effect("uses the host and scheme that a trusted proxy forwards", () =>
      Effect.gen(function*() {
        const host = yield* Effect.flatMap(HttpClient.get("/host"), (response) => response.text)
        assert.strictEqual(yield* post(forwarded("https", "https://shop.example")), 204)
        assert.strictEqual(yield* post(forwarded("https", "http://shop.example")), 403)
        assert.strictEqual(yield* post(forwarded("https", `http://${host}`)), 403)
      }).pipe(Effect.provide(proxied)))

    it.effect("refuses a large body without harm to the next request", () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* post({ origin: "null" }, "x".repeat(200_000)), 403)
        assert.strictEqual(yield* post({}), 204)
      }).pipe(Effect.provide(direct)))
  })
})
