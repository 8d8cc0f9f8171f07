// The session of an HTTP request: a signed cookie, a login that replaces it, and no requests from other origins.
//   node --conditions=source examples/11-identity.ts
import { Effect, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Connections, CookieKeys, CrossOrigin, HttpSession } from "effect-sessions/http"
import { HttpRouter, HttpServerResponse } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Int,
  protocol: [Rpc.make("Count", { success: Schema.Int })]
}) {}

const VisitLayer = Visit.toLayer(Visit.behavior({
  init: () => 0,
  handlers: { Count: ({ state }) => [state + 1, state + 1] }
}))

class Visitor extends HttpSession.Service<Visitor>()("app/Visitor", { kind: Visit }) {}

const Count = HttpRouter.add(
  "GET",
  "/count",
  Effect.gen(function*() {
    const visit = yield* (yield* Visitor).start()
    return HttpServerResponse.text(`visit number ${yield* visit.call("Count")}`)
  })
)

const Login = HttpRouter.add(
  "POST",
  "/login",
  Effect.gen(function*() {
    const visitor = yield* Visitor
    yield* visitor.start()
    // The session continues under a new cookie. The old one is worthless.
    yield* visitor.rotate({ user: "ada" })
    return HttpServerResponse.empty()
  })
)

const Routes = Layer.merge(Count, Login).pipe(
  Layer.provide(HttpSession.middleware(Visitor).layer),
  Layer.provide(CrossOrigin.protect),
  Layer.provide([CookieKeys.layerRandom, CrossOrigin.layer(), Connections.layer()]),
  Layer.provideMerge(Layer.provideMerge(VisitLayer, Sessions.layer()))
)

const { dispose, handler } = HttpRouter.toWebHandler(Routes, { disableLogger: true })

/** A browser with one cookie. */
const browser = (agent: string) => {
  let cookie = ""
  return async (method: string, path: string, headers: Record<string, string> = {}) => {
    const response = await handler(
      new Request(`https://shop.example${path}`, {
        method,
        headers: { host: "shop.example", "user-agent": agent, cookie, ...headers }
      })
    )
    cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie
    return `${response.status} ${await response.text()}`
  }
}

const ada = browser("Firefox")
console.log(await ada("GET", "/count"))
console.log(await ada("GET", "/count"))
console.log(await ada("POST", "/login"))
console.log(await ada("GET", "/count"))
console.log(await ada("POST", "/login", { origin: "https://evil.example" }))
await dispose()
