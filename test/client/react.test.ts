/**
 * The React hook of the examples, in a real Chromium.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { Sessions } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtSigner, JwtVerifier } from "effect-sessions/jwt"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { fileURLToPath } from "node:url"
import { rolldown } from "rolldown"
import { Cart, CartLayer, CartLive } from "../../examples/14-react.ts"
import { Chromium, eventually, visitor } from "../demo/Browser.ts"

const bundle = Effect.promise(async () => {
  const bundle = await rolldown({
    input: fileURLToPath(new URL("react-page.ts", import.meta.url)),
    platform: "browser",
    resolve: { conditionNames: ["source", "browser", "import", "default"] },
    transform: { define: { "process.env.NODE_ENV": "'production'" } }
  })
  const { output } = await bundle.generate({ format: "esm" })
  return output[0].code
})

const html = `<!doctype html><link rel="icon" href="data:,"><script type="module" src="/page.js"></script><body></body>`

const Page = Layer.unwrap(Effect.map(bundle, (code) =>
  Layer.merge(
    HttpRouter.add("GET", "/", HttpServerResponse.text(html, { contentType: "text/html" })),
    HttpRouter.add("GET", "/page.js", HttpServerResponse.text(code, { contentType: "text/javascript" }))
  )))

const secret = Redacted.make("a secret of at least thirty-two bytes")

const Server = HttpRouter.serve(
  Layer.merge(Page, LiveSocket.layer(CartLive, { path: "/live", session: Admission.token({ kind: Cart }) })),
  { disableLogger: true, disableListenLog: true }
).pipe(
  Layer.provide([
    LiveViews.layer(CartLive, { select: { items: (items) => items } }),
    JwtVerifier.layer(),
    CrossOrigin.layer(),
    Connections.layer()
  ]),
  Layer.provide([JwtKeys.layerSecret(secret), Layer.provide(CartLayer, Sessions.layer())]),
  Layer.provideMerge(JwtSigner.layerSecret(secret)),
  Layer.provideMerge(
    NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })
  )
)

describe("the React hook of the examples", () => {
  it.live("renders changes in all tabs, and the status", () =>
    Effect.gen(function*() {
      const { address } = yield* HttpServer.HttpServer
      const token = yield* (yield* JwtSigner).sign({ sub: "ada" })
      const ada = yield* visitor()
      const pages = yield* Effect.promise(() => Promise.all([ada.context.newPage(), ada.context.newPage()]))
      const [left, right] = pages
      yield* Effect.promise(() =>
        Promise.all(pages.map((page) => page.goto(`${HttpServer.formatAddress(address)}/#${token}`)))
      )
      yield* Effect.forEach(
        pages,
        (page) => eventually(() => page.locator("section").getAttribute("aria-busy"), "false")
      )
      for (const [index, page] of [left!, right!].entries()) {
        yield* Effect.promise(() => page.getByRole("button", { name: "Add tea" }).click())
        const expected = ["tea", "tea"].slice(0, index + 1)
        yield* Effect.forEach(pages, (page) => eventually(() => page.getByRole("listitem").allTextContents(), expected))
      }
    }).pipe(Effect.provide(Layer.merge(Server, Chromium.layer))))
})
