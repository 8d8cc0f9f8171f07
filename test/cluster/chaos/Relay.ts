/** A way to a server that can be cut, for all who use it or for some of them. */
import { Effect } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"

/** `silent`: nothing arrives until the cut is healed. `reset`: connections break, and new ones are refused. */
export type Cut = "silent" | "reset"

/** Who connects? */
export type Identify = (firstLine: string) => string

interface Pair {
  readonly who: string
  readonly sockets: ReadonlyArray<Socket>
}

export class Relay {
  private readonly server: Server
  private readonly cuts = new Map<string, Cut>()
  private readonly pairs = new Set<Pair>()

  private constructor(target: number, identify: Identify | undefined) {
    this.server = createServer({ noDelay: true }, (socket) => {
      socket.on("error", ignore)
      if (identify === undefined) return this.join(socket, target, "", undefined)
      let first = ""
      const hear = (chunk: Buffer) => {
        first += chunk.toString("latin1")
        const end = first.indexOf("\n")
        if (end < 0) return
        socket.off("data", hear)
        this.join(socket, target, identify(first.slice(0, end)), Buffer.from(first, "latin1"))
      }
      socket.on("data", hear)
    })
  }

  /** Listens on a free port. */
  static readonly make = (target: number, identify?: Identify) =>
    Effect.acquireRelease(
      Effect.callback<Relay>((resume) => {
        const relay = new Relay(target, identify)
        relay.server.listen(0, "127.0.0.1", () => resume(Effect.succeed(relay)))
      }),
      (relay) => Effect.sync(() => relay.close())
    )

  get port(): number {
    const address = this.server.address()
    return typeof address === "object" && address !== null ? address.port : 0
  }

  private join(socket: Socket, target: number, who: string, first: Buffer | undefined): void {
    const cut = this.cuts.get(who)
    if (cut === "reset") return void socket.resetAndDestroy()
    const other = connect({ port: target, host: "127.0.0.1", noDelay: true })
    const pair: Pair = { who, sockets: [socket, other] }
    this.pairs.add(pair)
    if (first !== undefined) other.write(first)
    socket.on("data", (chunk) => pass(socket, other, chunk))
    other.on("data", (chunk) => pass(other, socket, chunk))
    for (const [one, peer] of [[socket, other], [other, socket]] as const) {
      one.on("error", ignore)
      one.on("drain", () => {
        if (!this.cuts.has(who)) peer.resume()
      })
      // While the way is cut silently, the other side does not hear of it.
      one.once("close", () => {
        if (this.cuts.get(who) !== "silent") this.end(pair)
      })
      if (cut === "silent") one.pause()
    }
  }

  cut(cut: Cut, who = ""): void {
    this.cuts.set(who, cut)
    for (const pair of this.pairs) {
      if (pair.who !== who) continue
      for (const socket of pair.sockets) {
        if (cut === "silent") socket.pause()
        else socket.resetAndDestroy()
      }
    }
  }

  heal(who = ""): void {
    this.cuts.delete(who)
    for (const pair of this.pairs) {
      if (pair.who !== who) continue
      if (pair.sockets.some(({ destroyed }) => destroyed)) this.end(pair)
      else for (const socket of pair.sockets) socket.resume()
    }
  }

  private end(pair: Pair): void {
    this.pairs.delete(pair)
    for (const socket of pair.sockets) socket.destroy()
  }

  private close(): void {
    this.server.close()
    for (const { sockets } of this.pairs) for (const socket of sockets) socket.destroy()
  }
}

const ignore = () => {}

const pass = (from: Socket, to: Socket, chunk: Buffer): void => {
  if (!to.write(chunk)) from.pause()
}
