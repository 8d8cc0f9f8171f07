/**
 * Many WebSocket clients in one process: TCP sockets that know just enough of the protocol for the handshake and the first
 * frame, so that the server is what is measured.
 */
import { Effect, Redacted } from "effect"
import { JwtSigner } from "effect-sessions/jwt"
import { connect, type Socket } from "node:net"
import type { Asked, Said } from "./edge-server.ts"
import { type RemoteServer, startServer } from "./servers.ts"

/** A secret for this machine only, used while the suite runs. */
export const secret = Redacted.make("the secret of a benchmark on this machine")

/** A token for each user. */
export const sign = (users: ReadonlyArray<string>): Promise<ReadonlyArray<string>> =>
  Effect.runPromise(
    Effect.flatMap(JwtSigner, (signer) => Effect.forEach(users, (sub) => signer.sign({ sub }))).pipe(
      Effect.provide(JwtSigner.layerSecret(secret))
    )
  )

/** A server of the edge suite: see `edge-server.ts`. */
export type EdgeServer = RemoteServer<Asked, Said>

/** Starts a server: authenticated sockets with sessions, or bare `ws`. */
export const startEdge = (what: "sessions" | "bare"): Promise<EdgeServer> =>
  startServer(new URL("./edge-server.ts", import.meta.url), what)

/** The time after which the first frame counts as lost. */
const patience = 15_000

/** A text frame with a state, after the answer to the handshake. */
const isServed = (text: string) =>
  text.startsWith("HTTP/1.1 101") && text.includes("\r\n\r\n\u0081") && text.endsWith("}}")

/** Opens a socket and waits for its first frame. */
export const open = (port: number, token: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    let text = ""
    const socket = connect({ port, host: "127.0.0.1", noDelay: true })
    const fail = (why: string) => {
      socket.destroy()
      reject(new Error(`a socket was not served: ${why}`))
    }
    socket.setTimeout(patience, () => fail("it took too long"))
    socket.on("error", (error) => fail(error.message))
    socket.on("close", () => fail(text.split("\r\n", 1)[0]!))
    socket.on("connect", () => {
      socket.write(
        `GET /socket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
          `User-Agent: bench\r\nAuthorization: Bearer ${token}\r\n\r\n`
      )
    })
    socket.on("data", (data) => {
      text += data.toString("latin1")
      if (!isServed(text)) return
      text = ""
      socket.setTimeout(0)
      socket.removeAllListeners()
      socket.on("error", () => {})
      socket.resume()
      resolve(socket)
    })
  })

/** Opens a socket for each token, a number of them at a time. */
export const openAll = async (
  port: number,
  tokens: ReadonlyArray<string>,
  concurrency: number
): Promise<Array<Socket>> => {
  const sockets: Array<Socket> = []
  for (let at = 0; at < tokens.length; at += concurrency) {
    sockets.push(...await Promise.all(tokens.slice(at, at + concurrency).map((token) => open(port, token))))
  }
  return sockets
}

/** Opens a socket for each token, all at once, and gives those that were served. */
export const openServed = async (port: number, tokens: ReadonlyArray<string>): Promise<Array<Socket>> => {
  const outcomes = await Promise.allSettled(tokens.map((token) => open(port, token)))
  return outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : [])
}

/** How many connections a server has. */
export const countOpen = async (server: EdgeServer): Promise<number> => (await server.ask("open", "open")).count

/** Closes sockets, and waits until the server has seen it. */
export const closeAll = async (server: EdgeServer, sockets: ReadonlyArray<Socket>): Promise<void> => {
  for (const socket of sockets) socket.destroy()
  for (let i = 0; i < 200 && await countOpen(server) > 0; i++) await new Promise((resolve) => setTimeout(resolve, 10))
}
