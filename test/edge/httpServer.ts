/**
 * A server whose requests do with their session what a test says, and browsers.
 */
import { Effect, Fiber, Layer, Option, Redacted, Schema, Stream } from "effect"
import { Session } from "effect-sessions"
import { Connections, CookieKeys, HttpSession } from "effect-sessions/http"
import { TestSessions } from "effect-sessions/testing"
import { HttpEffect, HttpMiddleware, HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware } from "effect/http-api"
import { IpNetwork } from "effect/net"
import * as Rpc from "effect/rpc/Rpc"

export class Visit extends Session.Service<Visit>()("Visit", { state: Schema.Int, protocol: [Rpc.make("Add")] }) {}

export class Visitor extends HttpSession.Service<Visitor>()("test/Visitor", { kind: Visit }) {}
class Basket extends HttpSession.Service<Basket>()("test/Basket", { kind: Visit, cookie: "basket" }) {}
class Always extends HttpSession.Service<Always>()("test/Always", { kind: Visit, secure: true, sameSite: "strict" }) {}
class Never extends HttpSession.Service<Never>()("test/Never", { kind: Visit, secure: false }) {}

export class VisitorCookie
  extends HttpApiMiddleware.Service<VisitorCookie, { provides: Visitor }>()("test/VisitorCookie", {
    security: { visitor: HttpSession.security(Visitor) },
    error: HttpSession.unreached
  })
{
  static readonly layer = HttpSession.layerApi(VisitorCookie, Visitor)
}

export const Api = HttpApi.make("test").add(
  HttpApiGroup.make("visits")
    .add(
      HttpApiEndpoint.get("peek", "/api/peek", { success: Schema.NullOr(Schema.String) }),
      HttpApiEndpoint.post("enter", "/api/enter", { success: Schema.String })
    )
    .middleware(VisitorCookie)
)

const ApiHandlers = HttpApiBuilder.group(Api, "visits", (handlers) =>
  handlers.handleAll({
    peek: () =>
      Effect.gen(function*() {
        return Option.getOrNull(Option.map(yield* (yield* Visitor).find, ({ id }) => id))
      }),
    enter: () => Effect.orDie(Effect.map(Effect.flatMap(Visitor, (visitor) => visitor.start()), ({ id }) => id))
  }))

export type Visiting = HttpSession.Of<typeof Visit>

/** What a request does with its session. */
export type Script = (visitor: Visiting) => Effect.Effect<unknown, unknown>

export const keyA = Redacted.make("a".repeat(32))
export const keyB = Redacted.make("b".repeat(32))

interface Refused {
  readonly _tag: string
  readonly httpStatus: number
}

/** Builds the server. */
export const serve = Effect.gen(function*() {
  const scripts = new Map<string, Script>()
  const respond = (visitor: Visiting) =>
    Effect.gen(function*() {
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const result = yield* scripts.get(headers["x-script"]!)!(visitor)
      return HttpServerResponse.isHttpServerResponse(result) ? result : HttpServerResponse.empty()
    }).pipe(Effect.catch((error) => {
      const { _tag, httpStatus } = error as Refused
      return Effect.succeed(HttpServerResponse.jsonUnsafe({ _tag }, { status: httpStatus }))
    }))
  const routes = Layer.mergeAll(
    HttpRouter.add("*", "/", Effect.flatMap(Visitor, respond)).pipe(
      Layer.provide(HttpSession.middleware(Visitor).layer)
    ),
    HttpRouter.add("*", "/basket", Effect.flatMap(Basket, respond)).pipe(
      Layer.provide(HttpSession.middleware(Basket).layer)
    ),
    HttpRouter.add("*", "/always", Effect.flatMap(Always, respond)).pipe(
      Layer.provide(HttpSession.middleware(Always).layer)
    ),
    HttpRouter.add("*", "/never", Effect.flatMap(Never, respond)).pipe(
      Layer.provide(HttpSession.middleware(Never).layer)
    ),
    HttpApiBuilder.layer(Api).pipe(
      Layer.provide(ApiHandlers),
      Layer.provide(VisitorCookie.layer),
      Layer.provide(HttpServer.layerServices)
    )
  )
  const app = yield* HttpRouter.toHttpEffect(routes)
  const context = yield* Effect.context<never>()
  const behindProxies = HttpMiddleware.xForwardedHeaders({
    trustedProxies: [IpNetwork.fromStringUnsafe("10.0.0.0/8")]
  })(app as Effect.Effect<HttpServerResponse.HttpServerResponse, unknown, HttpServerRequest.HttpServerRequest>)
  const addressed = Effect.updateService(
    behindProxies,
    HttpServerRequest.HttpServerRequest,
    (request) =>
      request.modify({
        remoteAddress: Option.fromUndefinedOr(request.headers["x-address"])
      })
  )
  const handler = HttpEffect.toWebHandlerWith(context)(
    addressed as Effect.Effect<HttpServerResponse.HttpServerResponse, unknown>
  ) as (
    request: Request
  ) => Promise<Response>
  return { scripts, handler }
})

export type Server = Effect.Success<typeof serve>

let scriptCount = 0

export interface Init {
  readonly path?: string
  readonly host?: string
  readonly agent?: string
  readonly address?: string
  /** The whole header, instead of what the jar holds. */
  readonly cookie?: string
  readonly headers?: Record<string, string>
}

export interface Got<A> {
  readonly status: number
  /** What the script gave. */
  readonly value: A | undefined
  readonly setCookie: string | undefined
  readonly setCookies: ReadonlyArray<string>
  readonly response: Response
}

/** A client with cookies, like a browser. */
export class Browser {
  readonly jar = new Map<string, string>()
  readonly server: Server
  readonly defaults: Init

  constructor(server: Server, defaults: Init = {}) {
    this.server = server
    this.defaults = defaults
  }

  request(url: string, init: Init, headers: Record<string, string> = {}, method = "POST") {
    const { address = "192.0.2.1", agent = "Test/1", cookie, host = "shop.example" } = { ...this.defaults, ...init }
    const own = Array.from(this.jar, ([name, value]) => `${name}=${value}`).join("; ")
    const sent = cookie ?? own
    return Effect.map(
      Effect.promise(() =>
        this.server.handler(
          new Request(`http://server.test${url}`, {
            method,
            headers: {
              ...headers,
              ...this.defaults.headers,
              ...init.headers,
              host,
              "user-agent": agent,
              "x-address": address,
              ...(sent === "" ? {} : { cookie: sent })
            }
          })
        )
      ),
      (response) => {
        const setCookies = response.headers.getSetCookie()
        if (cookie === undefined) this.take(setCookies)
        return { response, status: response.status, setCookies, setCookie: setCookies[0] }
      }
    )
  }

  /** An answer has come. */
  take(setCookies: ReadonlyArray<string>): void {
    for (const set of setCookies) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(set)!
      if (value === "") this.jar.delete(name!)
      else this.jar.set(name!, value!)
    }
  }

  /** Replaces the expiry of the stored cookie: the browser drops it at that time. */
  drops(millis: number) {
    return Effect.map(CookieKeys, (keys) => {
      const [[name, value]] = Array.from(this.jar) as [[string, string]]
      const [ticket, id] = value.split(".")
      const signed = `${ticket}.${id}.${(millis / 1_000).toString(36)}`
      this.jar.set(name, `${signed}.${keys.sign(`session=${signed}`)}`)
    })
  }

  run<A>(script: (visitor: Visiting) => Effect.Effect<A, unknown>, init: Init = {}): Effect.Effect<Got<A>> {
    return Effect.suspend(() => {
      let value: A | undefined
      const id = String(scriptCount++)
      this.server.scripts.set(id, (visitor) => Effect.tap(script(visitor), (a) => Effect.sync(() => value = a)))
      return Effect.map(this.request({ ...this.defaults, ...init }.path ?? "/", init, { "x-script": id }), (got) => {
        this.server.scripts.delete(id)
        return { ...got, value }
      })
    })
  }

  readonly find = (init?: Init) =>
    this.run((visitor) => Effect.map(visitor.find, (found) => Option.getOrUndefined(found)?.id), init)
  readonly start = (init?: Init) => this.run((visitor) => Effect.map(visitor.start(), ({ id }) => id), init)
  readonly rotate = (options?: Parameters<Visiting["rotate"]>[0], init?: Init) =>
    this.run((visitor) => Effect.map(visitor.rotate(options), ({ id }) => id), init)
  readonly end = (init?: Init) => this.run((visitor) => visitor.end, init)

  /** The cookie as it is sent. */
  get cookie(): string {
    return Array.from(this.jar, ([name, value]) => `${name}=${value}`).join("; ")
  }

  /** Opens a stream that never ends by itself. */
  hold() {
    return Effect.gen({ self: this }, function*() {
      const got = yield* this.run((visitor) =>
        Effect.map(
          visitor.hold(Stream.concat(Stream.make("hello"), Stream.never)),
          (stream) => HttpServerResponse.stream(Stream.encodeText(stream))
        )
      )
      if (got.status !== 200) return { status: got.status, isOpen: () => false, close: Effect.void }
      const reader = got.response.body!.getReader()
      const reading = yield* Effect.forkDetach(Effect.promise(async () => {
        while (!(await reader.read()).done);
      }))
      yield* turn
      return {
        status: got.status,
        isOpen: () => reading.pollUnsafe() === undefined,
        close: Effect.andThen(Effect.promise(() => reader.cancel()), Effect.andThen(Fiber.join(reading), turn))
      }
    })
  }
}

/** Lets promises and fibers run that can. */
export const turn = Effect.promise(async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
})

export const elapse = (duration: Parameters<typeof TestSessions.elapse>[0]) =>
  Effect.andThen(TestSessions.elapse(duration), turn)

export const kind = (options?: Parameters<typeof Visit.toLayer>[1]) =>
  Visit.toLayer(
    Visit.behavior({ init: () => Effect.as(Effect.yieldNow, 0), handlers: { Add: ({ state }) => [state + 1] } }),
    options
  )

export interface Setup {
  readonly kind?: Parameters<typeof Visit.toLayer>[1]
  readonly sessions?: Parameters<typeof TestSessions.layer>[1]
  readonly keys?: Layer.Layer<CookieKeys, any>
  readonly perOwner?: number
}

export const setup = (options: Setup = {}) =>
  Effect.provide(Layer.mergeAll(
    TestSessions.layer(kind(options.kind), options.sessions),
    Layer.orDie(options.keys ?? CookieKeys.layer(keyA)),
    Connections.layer({ perOwner: options.perOwner })
  ))

export const attributes = (setCookie: string | undefined) =>
  new Map(setCookie!.split("; ").slice(1).map((part) => part.split("=") as [string, string]))
export const maxAge = (setCookie: string | undefined) => Number(attributes(setCookie).get("Max-Age"))
export const valueOf = (setCookie: string | undefined) => /^[^=]+=([^;]*)/.exec(setCookie!)![1]!
