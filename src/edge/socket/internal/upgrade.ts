/**
 * Takes the connection of a request over from the HTTP server, as a WebSocket.
 *
 * Effect's own `request.upgrade` gives a Socket that a fiber reads, at 12 KB a connection; here the request is over
 * once the connection is open, and what is left is the socket and its callbacks.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as NodeWS from "@effect/platform-node/NodeWS"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Socket } from "node:net"

export interface Upgrader {
  /** `false` when the client had gone, or its handshake was bad, which it has been told. */
  readonly upgrade: (
    request: HttpServerRequest,
    open: (socket: NodeWS.WebSocket, wire: Socket) => void
  ) => Effect.Effect<boolean>
}

/** Does a request ask for a WebSocket? Without `Connection: Upgrade`, Node goes on reading HTTP from its connection. */
export const isAskedFor = ({ headers }: HttpServerRequest): boolean =>
  headers["upgrade"]?.toLowerCase() === "websocket" && /(^|[\s,])upgrade([\s,]|$)/i.test(headers["connection"] ?? "")

/** As `ws` checks it, which is too late: a session would have been started for it. */
export const isWellFormed = ({ headers }: HttpServerRequest): boolean =>
  /^[+/0-9A-Za-z]{22}==$/.test(headers["sec-websocket-key"] ?? "") &&
  /^(8|13)$/.test(headers["sec-websocket-version"] ?? "")

/** The subprotocol under which a browser can hand over a token: `new WebSocket(url, ["bearer", token])`. */
export const bearer = "bearer"

export const make = (options: { readonly maxFrameSize: number }): Upgrader => {
  const settings = {
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: options.maxFrameSize,
    // A frame in crumbs costs more than its bytes.
    maxFragments: 16 + Math.ceil(options.maxFrameSize / 256),
    // Who does not answer a close is let go of by the connection, which knows whether something is still on its way.
    closeTimeout: 2 ** 31 - 1,
    // What is agreed on is told to the client; a token must not be.
    handleProtocols: (offered: Set<string>) => offered.has(bearer) ? bearer : offered.values().next().value ?? false
  }
  const server = new NodeWS.WebSocketServer(settings)
  return {
    upgrade: (request, open) =>
      Effect.sync(() => {
        const message = NodeHttpServerRequest.toIncomingMessage(request) as IncomingMessage
        const { socket } = message
        if (socket.destroyed) return false
        // From here on nothing may be written but by the WebSocket.
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
}

/** A client must not send anything before the handshake is answered. */
const noBytes = Buffer.alloc(0)
