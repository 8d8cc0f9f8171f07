/**
 * Clients that watch carts and record when they see which change: with bare `ws` over the protocols of Live and of Socket.IO,
 * so that both clients do equally little, and with Socket.IO's own client.
 */
import { WebSocket } from "@effect/platform-node/NodeWS"
import type { Live } from "effect-sessions"
import { io } from "socket.io-client"
import { sign } from "./edge-clients.ts"
import type { Asked, Said } from "./live-server.ts"
import { nanos } from "./measure.ts"
import { type RemoteServer, startServer } from "./servers.ts"

/** A server of the live suite: see `live-server.ts`. */
export type LiveServer = RemoteServer<Asked, Said>

/** Starts a server: of live views, or of Socket.IO. */
export const startLive = (what: "live" | "socket.io"): Promise<LiveServer> =>
  startServer(new URL("./live-server.ts", import.meta.url), what)

/** A client that watches a cart. */
export interface Watcher {
  readonly cart: string
  /** The changes that the client has seen: their numbers, in ascending order, and the times. */
  readonly numbers: Array<number>
  readonly times: Array<number>
  readonly close: () => void
}

/** Opens a client, and resolves when it misses no further change. */
export type Open = (port: number, cart: string) => Promise<Watcher>

/** A client that records what it sees. */
const makeWatcher = (cart: string, close: () => void) => {
  const watcher: Watcher = { cart, numbers: [], times: [], close }
  return {
    watcher,
    saw: (event: Live.Event) => {
      // The last operation sets the number of changes.
      if (event._tag !== "patch") return
      const last = event.patch[event.patch.length - 1] as { readonly value: number }
      watcher.times.push(nanos())
      watcher.numbers.push(last.value)
    }
  }
}

/** The first messages of a client of Live: it mounts the view. */
const request = JSON.stringify({
  _tag: "Request",
  id: "1",
  tag: "live.view",
  payload: { view: "cart" },
  headers: []
})

const ack = JSON.stringify({ _tag: "Ack", requestId: "1" })

const connect = (url: string, reject: (error: Error) => void): WebSocket => {
  const socket = new WebSocket(url, { perMessageDeflate: false })
  socket.on("error", reject)
  socket.on("close", (code, reason) => reject(new Error(`a socket was closed: ${code} ${reason.toString()}`)))
  return socket
}

/** Acknowledges as `effect-sessions/client` does: 16 chunks at a time, or after 50 ms. */
const acknowledging = (socket: WebSocket) => {
  let due = 0
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(timer)
    if (socket.readyState === socket.OPEN) socket.send(`${ack}\n`.repeat(due))
    due = 0
  }
  return () => {
    due++
    if (due === 16) flush()
    else if (due === 1) timer = setTimeout(flush, 50)
  }
}

/**
 * Live, with bare `ws`. `look` also gets the bytes of each frame, without its header.
 */
export const openLive = async (port: number, cart: string, options: {
  readonly look?: (event: Live.Event, bytes: number) => void
} = {}): Promise<Watcher> => {
  const [token] = await sign([cart])
  const { look } = options
  return new Promise((resolve, reject) => {
    const socket = connect(`ws://127.0.0.1:${port}/live?token=${token}`, reject)
    const { saw, watcher } = makeWatcher(cart, () => socket.terminate())
    const acknowledge = acknowledging(socket)
    socket.on("open", () => socket.send(request))
    socket.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString())
      if (message._tag !== "Chunk") return reject(new Error(`a view was not mounted: ${data.toString()}`))
      for (const event of message.values) {
        saw(event)
        look?.(event, data.length)
      }
      acknowledge()
      resolve(watcher)
    })
  })
}

/** Socket.IO, with bare `ws`. */
export const openSocketIoWire: Open = (port, cart) =>
  new Promise((resolve, reject) => {
    const url = `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket&cart=${cart}`
    const socket = connect(url, reject)
    const { saw, watcher } = makeWatcher(cart, () => socket.terminate())
    socket.on("message", (data: Buffer) => {
      const frame = data.toString()
      if (frame.startsWith("42")) {
        saw(JSON.parse(frame.slice(2))[1])
      } else if (frame === "2") socket.send("3")
      else if (frame.startsWith("40")) resolve(watcher)
      else if (frame.startsWith("0")) socket.send("40")
    })
  })

/** Socket.IO, with its own client. */
export const openSocketIo: Open = (port, cart) =>
  new Promise((resolve, reject) => {
    const socket = io(`ws://127.0.0.1:${port}`, {
      transports: ["websocket"],
      query: { cart },
      forceNew: true,
      reconnection: false
    })
    const { saw, watcher } = makeWatcher(cart, () => socket.disconnect())
    socket.on("connect_error", reject)
    socket.on("connect", () => resolve(watcher))
    socket.on("patch", saw)
  })
