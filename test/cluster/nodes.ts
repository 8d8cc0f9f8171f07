/** Nodes that are connected by real sockets, and what comes between them. */
// oxlint-disable no-restricted-imports -- the module is internal: the package does not export it
import { Effect } from "effect"
import * as Net from "node:net"
import { Greeting, type Identity } from "../../src/edge/cluster/internal/peers/greeting.ts"
import type { Handler, Link, Lost } from "../../src/edge/cluster/internal/peers/model.ts"
import * as Peers from "../../src/edge/cluster/internal/peers/Peers.ts"

export const host = "127.0.0.1"

const echo: Handler = (json, reply) => {
  reply.end(json)
  return undefined
}

/** A node. What is not said is the same for all nodes. */
export const node = (options: Partial<Peers.Options> = {}) =>
  Peers.make({ address: { host, port: 0 }, cluster: "test", protocol: 1, features: null, handler: echo, ...options })

export type Outcome = { readonly end: unknown } | { readonly lost: Lost }

/** Asks, and waits for what comes of it; the request is withdrawn when that is interrupted. */
export const ask = (link: Link, json: unknown, event?: (json: unknown) => void): Effect.Effect<Outcome> =>
  Effect.callback((resume) => {
    const withdraw = link.ask(json, {
      ...event === undefined ? {} : { event },
      end: (end) => resume(Effect.succeed({ end })),
      lost: (lost) => resume(Effect.succeed({ lost }))
    })
    return Effect.sync(withdraw)
  })

/** A turn of the event loop, in which sockets may have something to say. */
export const turn = Effect.callback<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

/** Runs what was scheduled, and what sockets have to say meanwhile, until something is so. */
export const until = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.callback((resume) => {
    const look = () => isSo() ? resume(Effect.void) : setImmediate(look)
    look()
  })

const close = (server: Net.Server): Effect.Effect<void> =>
  Effect.callback((resume) => {
    server.close(() => resume(Effect.void))
  })

/** A server of bare sockets. */
export const bareServer = (connected: (socket: Net.Socket) => void) =>
  Effect.gen(function*() {
    const sockets = new Set<Net.Socket>()
    const server = Net.createServer((socket) => {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
      connected(socket)
    })
    yield* Effect.acquireRelease(
      Effect.callback<void>((resume) => {
        server.listen(0, host, () => resume(Effect.void))
      }),
      () =>
        Effect.suspend(() => {
          for (const socket of sockets) socket.destroy()
          return close(server)
        })
    )
    return { port: (server.address() as Net.AddressInfo).port, sockets }
  })

/** A bare connection to a node, and what it has said. */
export const bareClient = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly socket: Net.Socket; text: string; isClosed: boolean }>((resume) => {
      const socket = Net.connect({ host, port }, () => resume(Effect.succeed(client)))
      const client = { socket, text: "", isClosed: false }
      socket.on("data", (chunk) => client.text += chunk)
      socket.on("error", () => {})
      socket.on("close", () => client.isClosed = true)
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

export const identity: Identity = {
  protocol: 1,
  cluster: "test",
  address: { host, port: 1 },
  incarnation: "bare",
  features: null,
  silence: 3_000,
  lineLimit: 2 ** 26,
  secret: undefined
}

/** A bare connection that has greeted a node, as one that asks it. */
export const greetedClient = (peers: Peers.Peers, self: Partial<Identity> = {}) =>
  Effect.gen(function*() {
    const client = yield* bareClient(peers.port)
    const greeting = new Greeting({ ...identity, ...self }, peers.address)
    const line = Effect.gen(function*() {
      yield* until(() => client.text.includes("\n"))
      const [line = "", ...rest] = client.text.split("\n")
      client.text = rest.join("\n")
      return greeting.take(line)
    })
    client.socket.write(`${greeting.begin()}\n`)
    const proof = yield* line
    if (proof._tag === "Send") client.socket.write(`${proof.line}\n`)
    yield* line
    return client
  })

/** What stands between a node and those who ask it. */
interface Relay {
  readonly port: number
  /** Where it passes connections on to. */
  target: number
  /** Holds all bytes back, as a stopped process would. */
  isStopped: boolean
  readonly resume: () => void
  /** Ends all connections. */
  readonly cut: () => void
  /** How many connections came. */
  count: number
}

export const relay = Effect.gen(function*() {
  const held: Array<() => void> = []
  const self = { target: 0, isStopped: false, count: 0 }
  const pass = (from: Net.Socket, to: Net.Socket) => {
    from.on("data", (chunk) => {
      if (self.isStopped) held.push(() => to.write(chunk))
      else to.write(chunk)
    })
    from.on("error", () => {})
    from.on("close", () => to.destroy())
  }
  const { port, sockets } = yield* bareServer((socket) => {
    self.count++
    const onward = Net.connect({ host, port: self.target })
    pass(socket, onward)
    pass(onward, socket)
  })
  return Object.assign(self, {
    port,
    resume: () => {
      self.isStopped = false
      for (const one of held.splice(0)) one()
    },
    cut: () => {
      for (const socket of sockets) socket.destroy()
    }
  }) satisfies Relay
})

/** A node that is reached through a relay. */
export const relayed = (options: Partial<Peers.Options> = {}) =>
  Effect.gen(function*() {
    const between = yield* relay
    const peers = yield* node({ ...options, address: { host, port: between.port }, listen: { port: 0 } })
    between.target = peers.port
    return { between, peers }
  })
