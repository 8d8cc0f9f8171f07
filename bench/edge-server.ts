/**
 * The server of the edge suite, in its own process, so that its memory can be measured: authenticated sockets, each with a
 * session, or the baseline, the same WebSockets on bare `ws`.
 *
 * It is forked, reports where it listens, reports its memory on request, and ends with its parent process.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { WebSocketServer } from "@effect/platform-node/NodeWS"
import { Effect, Layer, References, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtVerifier } from "effect-sessions/jwt"
import { SessionSocket } from "effect-sessions/socket"
import * as HttpRouter from "effect/http/HttpRouter"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { secret } from "./edge-clients.ts"
import type { Listening } from "./servers.ts"

/** The requests to a server: its memory, or its open connections. */
export type Asked = "memory" | "open"

/** The messages of a server. */
export type Said =
  | { readonly type: "memory"; readonly heap: number; readonly rss: number }
  | { readonly type: "open"; readonly count: number }

/** The backlog: all clients that connect at once may wait to be accepted, so that the kernel refuses none. */
const listenOptions = { host: "127.0.0.1", port: 0, backlog: 4_096 }

class User extends Session.Service<User>()("User", {
  state: Schema.Struct({ name: Schema.String, count: Schema.Int, theme: Schema.String }),
  protocol: []
}) {}

const UserLayer = User.toLayer(
  User.behavior({ init: ({ id }) => ({ name: id, count: 0, theme: "dark" }), handlers: {} }),
  { idleTimeout: "30 minutes", reconnectWindow: "30 seconds" }
)

const runSessions = (server: Server): Promise<never> =>
  HttpRouter.serve(SessionSocket.layer({ path: "/socket", kind: User }), {
    disableLogger: true,
    disableListenLog: true
  }).pipe(
    Layer.provide([JwtVerifier.layer(), CrossOrigin.layer(), Connections.layer()]),
    Layer.provide(JwtKeys.layerSecret(secret)),
    Layer.provide(Layer.provide(UserLayer, Sessions.layer({ maxSessions: 1_000_000, startRate: false }))),
    Layer.provide(NodeHttpServer.layer(() => server, { ...listenOptions, disablePreemptiveShutdown: true })),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn")),
    Layer.launch,
    Effect.runPromise
  )

const runBare = (server: Server): void => {
  const sockets = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false })
  server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      webSocket.on("message", () => {})
      webSocket.on("error", () => {})
      // The first frame of a session's socket.
      webSocket.send(JSON.stringify({ type: "state", state: { name: "user_1", count: 0, theme: "dark" } }))
    })
  })
  server.listen(listenOptions)
}

const say = (said: Said | Listening) => process.send!(said)

const later = (millis: number) => new Promise((resolve) => setTimeout(resolve, millis))

/** The memory in use after garbage collection. */
const reportMemory = async (): Promise<void> => {
  for (let i = 0; i < 3; i++) {
    await later(30)
    globalThis.gc!({ type: "major", execution: "sync", flavor: "last-resort" })
  }
  const { external, heapUsed, rss } = process.memoryUsage()
  say({ type: "memory", heap: heapUsed + external, rss })
}

if (process.send !== undefined) {
  const server = createServer()
  server.on("listening", () => say({ type: "listening", port: (server.address() as AddressInfo).port }))
  process.on("message", (asked: Asked) => {
    if (asked === "memory") void reportMemory()
    else server.getConnections((_, count) => say({ type: "open", count }))
  })
  process.on("disconnect", () => process.exit(0))
  if (process.argv[2] === "sessions") await runSessions(server)
  else runBare(server)
}
