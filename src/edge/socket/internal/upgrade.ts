/**
 * Takes the connection of a request over from the HTTP server, as a WebSocket.
 *
 * Effect's own `request.upgrade` gives a Socket that a fiber reads, which costs 12 KB per connection. Here the request ends
 * when the connection is open, and only the socket and its callbacks remain.
 */
import type { WebSocket } from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"
import { InvalidConfig } from "../../../contract/SessionError.ts"
import { describe } from "../../../internal/describe.ts"
import { bearerProtocol } from "../../auth/TokenVerifier.ts"

interface Upgrader {
  /** `false` when the client has disconnected, or was refused because of its handshake. */
  readonly upgrade: (
    request: HttpServerRequest,
    open: (socket: WebSocket, wire: Socket) => void
  ) => Effect.Effect<boolean>
}

/** Whether a request asks for a WebSocket. Without `Connection: Upgrade`, Node goes on reading HTTP from its connection. */
export const isAskedFor = ({ headers }: HttpServerRequest): boolean =>
  headers["upgrade"]?.toLowerCase() === "websocket" && /(^|[\s,])upgrade([\s,]|$)/i.test(headers["connection"] ?? "")

/** The checks of `ws`, made here because `ws` makes them only after a session has been started for the request. */
export const isWellFormed = ({ headers }: HttpServerRequest): boolean =>
  /^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "") &&
  /^(8|13)$/.test(headers["sec-websocket-version"] ?? "")

/** Loaded with the first route, so that programs without WebSockets can import what may serve them. */
const driver = Effect.tryPromise({
  try: () =>
    Promise.all([import("@effect/platform-node/NodeWS"), import("@effect/platform-node/NodeHttpServerRequest")]),
  catch: (cause) =>
    new InvalidConfig({
      setting: "@effect/platform-node",
      message: "routes for WebSockets need the package @effect/platform-node, which could not be loaded: " +
        `install it with "npm install @effect/platform-node" (${describe(cause)})`
    })
})

export const make = Effect.fnUntraced(function*(options: { readonly maxFrameSize: number }) {
  const [NodeWS, NodeHttpServerRequest] = yield* driver
  const settings = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxFrameSize,
    // Many tiny fragments cost more than their bytes.
    maxFragments: 16 + Math.ceil(options.maxFrameSize / 256),
    // The connection itself ends a client that does not answer a close: it knows whether data is still on its way.
    closeTimeout: 2 ** 31 - 1,
    // The answer names the protocol that was chosen, which must not be the token.
    handleProtocols: (offered: Set<string>) =>
      offered.has(bearerProtocol) ? bearerProtocol : offered.values().next().value ?? false
  }
  const server = new NodeWS.WebSocketServer(settings)
  const upgrader: Upgrader = {
    upgrade: (request, open) =>
      Effect.sync(() => {
        const message = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage
        const { socket } = message
        if (socket.destroyed) return false
        // From here on, only the WebSocket may write.
        const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
        response.detachSocket(socket)
        response.removeAllListeners("finish")
        let opened = false
        server.handleUpgrade(message, socket, noBytes, (webSocket) => {
          opened = true
          open(webSocket, socket)
        })
        response.end()
        return opened
      })
  }
  return upgrader
})

/** A client must not send anything before the answer to its handshake. */
const noBytes = Buffer.alloc(0)
