// A session per user over WebSockets: admitted by a token, and shown to all devices of the user.
//   node --conditions=source examples/12-socket.ts
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtSigner, JwtVerifier } from "effect-sessions/jwt"
import { SessionSocket } from "effect-sessions/socket"
import { HttpRouter, HttpServer } from "effect/http"
import * as Rpc from "effect/rpc/Rpc"
import { createServer } from "node:http"

class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Struct({ count: Schema.Int }),
  protocol: [Rpc.make("Add", { payload: Schema.Int })]
}) {}

const CounterLayer = Counter.toLayer(
  Counter.behavior({
    init: () => ({ count: 0 }),
    handlers: { Add: ({ payload, state }) => [{ count: state.count + payload }] }
  }),
  { idleTimeout: "30 minutes", reconnectWindow: "30 seconds" }
)

const Socket = SessionSocket.layer({
  path: "/socket",
  kind: Counter,
  receive: (message, { send, session }) =>
    message.type === "add"
      ? Effect.ignore(session.cast("Add", 1))
      : send({ type: "error", error: { _tag: "UnknownMessage", message: "add is all I know" } })
})

const secret = Redacted.make("a secret of at least thirty-two bytes")

const Main = HttpRouter.serve(Socket, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide([JwtVerifier.layer(), CrossOrigin.layer(), Connections.layer({ perOwner: 5 })]),
  Layer.provide(JwtKeys.layerSecret(secret)),
  Layer.provide(Layer.provide(CounterLayer, Sessions.layer())),
  Layer.provideMerge(JwtSigner.layerSecret(secret)),
  Layer.provideMerge(
    NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })
  )
)

/** A device: prints what it receives, until the count is two. */
const device = (name: string, url: string, token: string) =>
  Effect.callback<void>((resume) => {
    const socket = new WebSocket(url, ["bearer", token])
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "add" })))
    socket.addEventListener("message", ({ data }) => {
      console.log(name, data)
      if (!JSON.parse(data).state || JSON.parse(data).state.count < 2) return
      socket.close()
      resume(Effect.void)
    })
  })

Effect.gen(function*() {
  const { address } = yield* HttpServer.HttpServer
  const url = `${HttpServer.formatAddress(address).replace("http", "ws")}/socket`
  const token = yield* (yield* JwtSigner).sign({ sub: "ada" })
  yield* Effect.all([device("phone ", url, token), device("laptop", url, token)], { concurrency: 2 })
}).pipe(Effect.provide(Main), Effect.runPromise)
