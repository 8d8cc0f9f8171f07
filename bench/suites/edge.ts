/**
 * What does the edge cost? Compares a request with a session's cookie with a request without, and an authenticated socket
 * with its own session with a socket of bare `ws`, in memory and time. The two take turns, so that the differences hold when
 * the machine's speed drifts.
 */
import { Effect, Layer, Option, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Connections, CookieKeys, HttpSession } from "effect-sessions/http"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { closeAll, countOpen, type EdgeServer, open, openAll, openServed, sign, startEdge } from "../edge-clients.ts"
import { makeIds, median, quantile } from "../measure.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

// ---------------------------------------------------------------------------------------------------------
// a cookie
// ---------------------------------------------------------------------------------------------------------

class Visit extends Session.Service<Visit>()("Visit", { state: Schema.Int, protocol: [] }) {}

class Visitor extends HttpSession.Service<Visitor>()("bench/Visitor", { kind: Visit }) {}

const answer = HttpServerResponse.text("hello")

const Routes = Layer.mergeAll(
  HttpRouter.add("GET", "/bare", Effect.succeed(answer)),
  Layer.mergeAll(
    HttpRouter.add("GET", "/start", Effect.flatMap(Visitor, (visitor) => Effect.as(visitor.start(), answer))),
    HttpRouter.add(
      "GET",
      "/session",
      Effect.flatMap(
        Visitor,
        (visitor) =>
          Effect.map(visitor.find, (found) => Option.isSome(found) ? answer : HttpServerResponse.empty({ status: 401 }))
      )
    )
  ).pipe(Layer.provide(HttpSession.middleware(Visitor).layer))
).pipe(
  Layer.provide([CookieKeys.layerRandom, Connections.layer()]),
  Layer.provide(Visit.toLayer(Visit.behavior({ init: () => 0, handlers: {} }))),
  Layer.provide(Sessions.layer({ maxSessions: 1_000_000, startRate: false }))
)

/** Adds a remote address, which requests of a server have and requests of a web handler have not. */
const fromAddress = HttpMiddleware.make((respond) =>
  Effect.updateService(
    respond,
    HttpServerRequest.HttpServerRequest,
    (request) => request.modify({ remoteAddress: Option.some("192.0.2.1") })
  )
)

const request = (path: string, cookie: string) =>
  new Request(`https://shop.example${path}`, { headers: { host: "shop.example", "user-agent": "bench", cookie } })

/** Requests of one turn. */
const turnSize = 200

const cookies = async (plan: Plan): Promise<Figures> => {
  const { dispose, handler } = HttpRouter.toWebHandler(Routes, { disableLogger: true, middleware: fromAddress })
  const turns = Math.round(10 + 200 * plan.effort)
  const given = async () => {
    const { headers } = await handler(request("/start", ""))
    return headers.get("set-cookie")!.split(";", 1)[0]!
  }
  /** Microseconds a request. */
  const time = async (path: string, cookies: ReadonlyArray<string>) => {
    const requests = cookies.map((cookie) => request(path, cookie))
    const began = performance.now()
    for (const one of requests) {
      if ((await handler(one)).status !== 200) throw new Error(`a request of ${path} was refused`)
    }
    return (performance.now() - began) * 1_000 / requests.length
  }
  const many: Array<string> = []
  for (let i = 0; i < turnSize * (turns + 1); i++) many.push(await given())
  const known = many.slice(0, turnSize)
  const found = { bare: [] as Array<number>, remembered: [] as Array<number>, first: [] as Array<number> }
  // The first turns are the warm-up.
  for (let turn = -10; turn < turns; turn++) {
    const bare = await time("/bare", known)
    const remembered = await time("/session", known)
    if (turn < 0) continue
    const first = await time("/session", many.slice(turnSize * (turn + 1), turnSize * (turn + 2)))
    found.bare.push(bare)
    found.remembered.push(remembered - bare)
    found.first.push(first - bare)
  }
  await dispose()
  return {
    edge_bare_us: median(found.bare),
    edge_cookie_us: median(found.remembered),
    edge_cookie_first_us: median(found.first)
  }
}

// ---------------------------------------------------------------------------------------------------------
// sockets
// ---------------------------------------------------------------------------------------------------------

/** How many sockets are opened at once. */
const stormSize = 1_000

/** How often the storm is repeated. */
const storms = 3

const handshakes = 200

/** How many handshakes are in progress at a time, outside the storm. */
const politeness = 200

/** How many files this process may open. */
const openFiles = (): number => {
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } }
  const limit = Number(report.userLimits?.open_files?.soft)
  return Number.isNaN(limit) ? Infinity : limit
}

const sockets = async (plan: Plan): Promise<Figures> => {
  const idle = 2 * plan.batch
  const limit = openFiles()
  // A quick run leaves out the servers.
  if (plan.runs === 1 || limit < stormSize + 100) return {}
  const [bare, sessions] = await Promise.all([startEdge("bare"), startEdge("sessions")])
  try {
    const stormTokens = await sign(makeIds(stormSize, "storm_"))
    const idleTokens = await sign(makeIds(limit < idle + 100 ? 0 : idle, "idle_"))

    const storm = async (server: EdgeServer) => {
      const began = performance.now()
      const opened = await openServed(server.port, stormTokens)
      const millis = performance.now() - began
      await closeAll(server, opened)
      return { served: opened.length, millis }
    }
    const found = { bare: [] as Array<number>, sessions: [] as Array<number>, served: stormSize }
    // The first is the warm-up.
    for (let turn = 0; turn <= storms; turn++) {
      const ofBare = await storm(bare)
      const ofSessions = await storm(sessions)
      found.served = Math.min(found.served, ofSessions.served)
      if (ofBare.served < stormSize) throw new Error(`${stormSize - ofBare.served} sockets of bare ws were not served`)
      if (turn === 0) continue
      found.bare.push(ofBare.millis)
      found.sessions.push(ofSessions.millis)
    }

    const times = { bare: [] as Array<number>, sessions: [] as Array<number> }
    const handshake = async (server: EdgeServer, token: string) => {
      const began = performance.now()
      const socket = await open(server.port, token)
      const millis = performance.now() - began
      socket.destroy()
      return millis
    }
    for (const token of stormTokens.slice(0, handshakes)) {
      times.bare.push(await handshake(bare, token))
      times.sessions.push(await handshake(sessions, token))
    }

    const weigh = async (server: EdgeServer) => {
      const before = await server.ask("memory", "memory")
      const opened = await openAll(server.port, idleTokens, politeness)
      const after = await server.ask("memory", "memory")
      const left = await countOpen(server)
      if (left < idle) throw new Error(`${idle - left} of ${idle} idle sockets were lost`)
      await closeAll(server, opened)
      return { heap: (after.heap - before.heap) / idle, rss: (after.rss - before.rss) / idle }
    }
    const weights = idleTokens.length === 0
      ? undefined
      : { bare: await weigh(bare), sessions: await weigh(sessions) }

    return {
      edge_storm_size: stormSize,
      edge_storm_served: found.served,
      edge_storm_bare_ms: median(found.bare),
      edge_storm_ms: median(found.sessions),
      edge_handshake_bare_p50_ms: quantile(times.bare, 0.5),
      edge_handshake_bare_p99_ms: quantile(times.bare, 0.99),
      edge_handshake_p50_ms: quantile(times.sessions, 0.5),
      edge_handshake_p99_ms: quantile(times.sessions, 0.99),
      ...(weights !== undefined && {
        edge_idle: idle,
        edge_idle_bare_heap: weights.bare.heap,
        edge_idle_bare_rss: weights.bare.rss,
        edge_idle_heap: weights.sessions.heap,
        edge_idle_rss: weights.sessions.rss
      })
    }
  } finally {
    bare.stop()
    sessions.stop()
  }
}

/** Ignores the driver: only this library has this edge. */
export const edge = (_driver: Driver, plan: Plan): Effect.Effect<Figures, unknown> =>
  Effect.tryPromise(async () => ({ ...await cookies(plan), ...await sockets(plan) }))
