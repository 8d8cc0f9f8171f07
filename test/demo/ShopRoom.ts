/**
 * A corner shop for one test: all of it but the socket, on the test's clock, and visitors with a cookie jar each.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { ConfigProvider, Context, Effect, Layer, type Scope } from "effect"
import type { SessionsConfig } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { HttpEffect, HttpRouter, type HttpServerRequest } from "effect/http"
import * as Shop from "../../examples/demo/Shop.ts"

interface Request {
  readonly json?: unknown
  readonly body?: string
  readonly headers?: Record<string, string>
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly json: any
}

/** Opens a shop that closes with the test. */
export const open = (config?: SessionsConfig.Options, env: Record<string, string> = {}) =>
  Effect.gen(function*() {
    const shop = yield* Layer.build(
      TestSessions.layer(Shop.layer, config).pipe(
        Layer.provideMerge(HttpRouter.layer),
        Layer.provide(NodeHttpServer.layerHttpServices),
        Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown(env)))
      )
    )
    const context = Context.merge(yield* Effect.context<never>(), shop)
    const routes = Context.get(shop, HttpRouter.HttpRouter).asHttpEffect()
    const handle = HttpEffect.toWebHandlerWith<never, HttpServerRequest.HttpServerRequest | Scope.Scope>(context)(
      routes
    )
    return {
      handle,
      visitor: () => new Visitor(handle),
      /** Runs an effect with the services of this shop. */
      run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.provideContext(effect, shop)
    }
  })

export class Visitor {
  readonly handle: (request: globalThis.Request) => Promise<Response>
  cookie: string | undefined

  constructor(handle: Visitor["handle"], cookie?: string) {
    this.handle = handle
    this.cookie = cookie
  }

  /** Another client with the same cookie. */
  get twin(): Visitor {
    return new Visitor(this.handle, this.cookie)
  }

  private raw(method: string, path: string, request: Request): Promise<Response> {
    // Without a host that is the developer's own machine, the cookie is for TLS only.
    const headers = new Headers({ host: "localhost", ...request.headers })
    if (this.cookie !== undefined) headers.set("cookie", `visitor=${this.cookie}`)
    if (request.json !== undefined) headers.set("content-type", "application/json")
    const body = request.json === undefined ? request.body : JSON.stringify(request.json)
    const url = new URL(path, "http://localhost")
    return this.handle(new globalThis.Request(url, { method, headers, ...(body === undefined ? {} : { body }) }))
  }

  private remember(response: Response): void {
    const [, value, attributes = ""] = /^visitor=([^;]*)(.*)$/.exec(response.headers.get("set-cookie") ?? "") ?? []
    if (value !== undefined) this.cookie = /max-age=0/i.test(attributes) ? undefined : value
  }

  send(method: string, path: string, request: Request = {}): Effect.Effect<Answer> {
    return Effect.promise(async () => {
      const response = await this.raw(method, path, request)
      this.remember(response)
      const isJson = response.headers.get("content-type") === "application/json"
      const text = await response.text()
      return { status: response.status, headers: response.headers, json: isJson ? JSON.parse(text) : text }
    })
  }

  add(sku: unknown, quantity: unknown): Effect.Effect<Answer> {
    return this.send("POST", "/api/cart/items", { json: { sku, quantity } })
  }

  /** The visitor's session. */
  get session(): Effect.Effect<any> {
    return Effect.map(this.send("GET", "/api/session"), ({ json }) => json)
  }

  /** Follows the cart: each `next` is what comes next, as it is on the wire; `undefined` when it is over. */
  get events() {
    return Effect.acquireRelease(
      Effect.promise(async () => {
        const response = await this.raw("GET", "/api/events", {})
        this.remember(response)
        const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
        let text = ""
        const next = Effect.promise(async () => {
          while (!text.includes("\n\n")) {
            const { done, value } = await reader.read()
            if (done) return undefined
            text += value
          }
          const end = text.indexOf("\n\n")
          const event = text.slice(0, end)
          text = text.slice(end + 2)
          return event
        })
        return { response, next, close: Effect.promise(() => reader.cancel()) }
      }),
      ({ close }) => close
    )
  }
}

/** An event as it is on the wire. */
export const event = (name: string, data: unknown): string => `event: ${name}\ndata: ${JSON.stringify(data)}`
