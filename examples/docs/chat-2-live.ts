// The chat in two browser tabs. Part of docs/getting-started.md.
//   node --conditions=source examples/docs/chat-2-live.ts
import { NodeHttpServer } from "@effect/platform-node"
import { Effect, Layer, Redacted, Stream } from "effect"
import { Sessions } from "effect-sessions"
import { Admission } from "effect-sessions/auth"
import { LiveClient } from "effect-sessions/client"
import { Connections, CrossOrigin } from "effect-sessions/http"
import { JwtKeys, JwtSigner, JwtVerifier } from "effect-sessions/jwt"
import { LiveSocket, LiveViews } from "effect-sessions/live"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { Room, RoomLive } from "./chat/Room.ts"
import { RoomLayer } from "./chat/RoomLayer.ts"

const Views = LiveViews.layer(RoomLive, {
  select: { messages: (room) => room.messages }
})

const Routes = LiveSocket.layer(RoomLive, {
  path: "/rooms",
  session: Admission.token({ kind: Room, id: ({ room }) => String(room) })
})

const secret = Redacted.make("a secret of at least thirty-two bytes")

const Server = HttpRouter.serve(Routes, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide([Views, JwtVerifier.layer(), CrossOrigin.layer(), Connections.layer()]),
  Layer.provide([JwtKeys.layerSecret(secret), Layer.provide(RoomLayer, Sessions.layer())]),
  Layer.provideMerge(JwtSigner.layerSecret(secret)),
  Layer.provideMerge(
    NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, disablePreemptiveShutdown: true })
  )
)

const tab = (user: string) =>
  Effect.gen(function*() {
    const { address } = yield* HttpServer.HttpServer
    const token = yield* (yield* JwtSigner).sign({ sub: user, room: "lobby" })
    return yield* LiveClient.make(RoomLive, {
      url: `${HttpServer.formatAddress(address).replace("http", "ws")}/rooms`,
      protocols: ["bearer", token]
    })
  })

const program = Effect.gen(function*() {
  const ada = yield* tab("ada")
  const bob = yield* tab("bob")
  const text = "hello"
  yield* ada.call("Say", { from: "ada", text }, {
    optimistic: { messages: (messages) => [...messages, { id: 0, from: "ada", text }] }
  })
  yield* bob.cast("Say", { from: "bob", text: "hi ada" })
  yield* ada.changes("messages").pipe(
    Stream.takeUntil((messages) => messages.length === 2),
    Stream.runForEach((messages) => Effect.sync(() => console.log(messages.map(({ text }) => text).join(", "))))
  )
})

program.pipe(Effect.scoped, Effect.provide([Server, LiveClient.layerWebSocket]), Effect.runPromise)
