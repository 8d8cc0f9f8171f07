/**
 * The HTTP server: where it listens, and how it stops.
 *
 * It stops in this order, within about a second: it accepts no new connections; the sessions end, which every open page
 * learns, or on a node of a cluster move to the other nodes; answers in progress are finished; clients that are still connected
 * are disconnected.
 */
import { NodeHttpServer } from "@effect/platform-node"
import { Config, Console, Effect, Fiber, Layer, Option, Result, Schema } from "effect"
import { EndReason, Sessions } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { HttpMiddleware, HttpRouter, HttpServer } from "effect/http"
import { IpNetwork } from "effect/net"
import { createServer, type Server } from "node:http"
import { Visit } from "./Visit.ts"

/** 0: any free port. */
export const Port = Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65_535 }))

const options = Config.all({
  host: Config.NonEmptyString("HOST").pipe(Config.withDefault("127.0.0.1")),
  port: Config.schema(Port, "PORT").pipe(Config.withDefault(3000))
})

/** How long answers in progress may take when the shop closes. */
const patience = "1 second"

/** How long a client may take to send its request. The time for an answer is not limited. */
const limits = { headersTimeout: 10_000, requestTimeout: 30_000, connectionsCheckingInterval: 5_000 }

const Network = Schema.String.pipe(
  Schema.check(Schema.makeFilter((text) => Result.isSuccess(networkOf(text)) || "an address or a network is expected"))
)

/** A single address is a network of one address. */
const networkOf = (text: string) =>
  IpNetwork.fromString(text.includes("/") ? text : `${text}/${text.includes(":") ? 128 : 32}`)

/** The proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted: addresses and networks, such as `10.0.0.0/8,::1`. */
const trustedProxies = Config.Array(Network, "TRUSTED_PROXIES").pipe(
  Config.withDefault([]),
  Config.map((texts) => texts.map((text) => Result.getOrThrow(networkOf(text))))
)

/** Answers with the routes of the router. */
const answering = Layer.unwrap(
  Effect.gen(function*() {
    const router = yield* HttpRouter.HttpRouter
    const forwarded = HttpMiddleware.xForwardedHeaders({ trustedProxies: yield* trustedProxies })
    return HttpServer.serve(router.asHttpEffect(), forwarded)
  })
)

/** Serves routes that need `Sessions`. It listens when all of them are built: an earlier request would get no answer. */
export const serve = <A, E, R>(routes: Layer.Layer<A, E, R>) =>
  Layer.unwrap(Effect.gen(function*() {
    const server = createServer(limits)
    return closing(server).pipe(
      Layer.provide(answering),
      Layer.provideMerge(NodeHttpServer.layerServer(() => server, {
        ...yield* options,
        // This file closes the server itself, see below.
        disablePreemptiveShutdown: true
      })),
      Layer.provide(Layer.provideMerge(routes, HttpRouter.layer)),
      Layer.provide(NodeHttpServer.layerHttpServices)
    )
  }))

/** The last Layer that is built is the first that is closed. */
const closing = (server: Server) =>
  Layer.effectDiscard(Effect.gen(function*() {
    const sessions = yield* Sessions
    const cluster = yield* Effect.serviceOption(SessionCluster)
    const stop = Option.match(cluster, {
      onNone: () => endAll(sessions),
      onSome: ({ leave }) => Effect.as(leave, "its visits have moved to the other nodes")
    })
    yield* HttpServer.addressFormattedWith((address) => Console.log(`The corner shop is open: ${address}`))
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        const closed = yield* Effect.forkChild(close(server))
        const outcome = yield* stop
        yield* Effect.timeoutOption(Fiber.join(closed), patience)
        server.closeAllConnections()
        yield* Console.log(`The corner shop is closed, ${outcome}.`)
      })
    )
  }))

const endAll = Effect.fnUntraced(function*(sessions: Sessions["Service"]) {
  const count = (yield* sessions.count).kinds[Visit.kind] ?? 0
  yield* Effect.ignore(sessions.endAll({ reason: EndReason.shutdown }))
  return `${count} ${count === 1 ? "visit" : "visits"} ended`
})

const close = (server: Server) =>
  Effect.callback<void>((resume) => {
    server.close(() => resume(Effect.void))
  })
