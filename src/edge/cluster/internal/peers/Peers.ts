/**
 * Requests and answers between the nodes of a cluster, whatever they mean.
 *
 * Two nodes that ask each other have a connection for each direction, which the asker makes. All frames of one turn of the event
 * loop go in one write. Nothing is sent before both nodes have greeted each other, because a stopped process still accepts
 * connections.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { createSecretKey, randomUUID } from "node:crypto"
import * as Net from "node:net"
import { InvalidConfig } from "../../../../contract/SessionError.ts"
import { listen } from "../../../../internal/guard.ts"
import { ListenFailed } from "../../ListenFailed.ts"
import { type Identity, leastLine, leastSilence, readableFeatures } from "./greeting.ts"
import { type Handler, type Json, keyOf, type Link, type NodeAddress } from "./model.ts"
import { NodeContext } from "./NodeContext.ts"
import { PeerLink } from "./PeerLink.ts"
import { type Host, Served } from "./Served.ts"

export interface Options {
  /** Where the other nodes reach this one. The port 0 means any free port. */
  readonly address: NodeAddress
  /** Where it listens, if that is somewhere else. */
  readonly listen?: { readonly host?: string | undefined; readonly port?: number | undefined } | undefined
  /** Nodes of other clusters are refused. */
  readonly cluster: string
  /** Nodes whose protocol has another number are refused. */
  readonly protocol: number
  /** What the peers learn of this node. */
  readonly features: Json
  /** Both nodes prove that they know it. At least 32 bytes. Default: whoever reaches the port may ask. */
  readonly secret?: Redacted.Redacted | undefined
  readonly handler: Handler
  /** A connection without a sign of life for so long is given up. The shorter one of both nodes counts. Default: 3 seconds. */
  readonly silence?: Duration.Input | undefined
  /** The most bytes of a request or an answer. Default: 64 MiB. */
  readonly lineLimit?: number | undefined
  /** The most bytes that wait for a peer that does not read them. Default: 128 MiB. */
  readonly unreadLimit?: number | undefined
}

export interface Peers {
  /** Where this node is reached, with its real port. */
  readonly address: NodeAddress
  /** Where it listens. */
  readonly port: number
  readonly incarnation: string
  /** The link to another node. */
  to(address: NodeAddress): Link
  /** Whether a node answers a ping, within a second. */
  isAlive(address: NodeAddress): Effect.Effect<boolean>
  /**
   * Tells all peers that this node leaves, also those that connect while the Effect waits for `linger`. From then on it begins
   * nothing. See `Handler` for the requests that are open.
   */
  goodbye(linger: Duration.Input): Effect.Effect<void>
}

const leastSecret = 32
const largestLine = 256 * 1_024 * 1_024

/** How many connections may be without a greeting at a time; beyond that, the oldest one is ended. */
const mostStrangers = 64

/** How long the end of this node waits until what it has sent has gone, in milliseconds. */
const partingTime = 1_000

const settingsOf = (
  options: Options
): Effect.Effect<Omit<Identity, "address"> & { unreadLimit: number }, InvalidConfig> => {
  const { cluster, lineLimit = 64 * 1_024 * 1_024, protocol, secret, unreadLimit = 2 * lineLimit } = options
  const silence = Duration.toMillis(options.silence ?? 3_000)
  const bytes = secret === undefined ? undefined : Buffer.from(Redacted.value(secret))
  const features = readableFeatures(options.features)
  const invalid = (setting: string, must: string) =>
    Effect.fail(new InvalidConfig({ setting, message: `${setting} must ${must}` }))
  if (bytes !== undefined && bytes.length < leastSecret) {
    return invalid("secret", `have at least ${leastSecret} bytes, it has ${bytes.length}`)
  }
  if (!(silence >= leastSilence && silence < Infinity)) {
    return invalid("silence", `be at least ${leastSilence} milliseconds, and finite`)
  }
  if (!(lineLimit >= leastLine && lineLimit <= largestLine)) {
    return invalid("lineLimit", `be from ${leastLine} to ${largestLine} bytes`)
  }
  if (!(unreadLimit >= lineLimit)) return invalid("unreadLimit", "be at least as large as lineLimit")
  if (features === undefined) return invalid("features", "be JSON of a moderate size")
  return Effect.succeed({
    cluster,
    features: features.value,
    incarnation: randomUUID(),
    lineLimit,
    protocol,
    secret: bytes === undefined ? undefined : createSecretKey(bytes),
    silence,
    unreadLimit
  })
}

/** Starts to listen, and ends all connections with the Scope. */
export const make = (options: Options): Effect.Effect<Peers, InvalidConfig | ListenFailed, Scope.Scope> =>
  Effect.uninterruptible(Effect.gen(function*() {
    const { unreadLimit, ...settings } = yield* settingsOf(options)
    const server = yield* listenOn({
      host: options.listen?.host ?? options.address.host,
      port: options.listen?.port ?? options.address.port
    })
    const { port } = server.address() as Net.AddressInfo
    const address: NodeAddress = { host: options.address.host, port: options.address.port || port }
    const node = new NodeContext({ ...settings, address }, unreadLimit, yield* Effect.context<never>())
    const own = keyOf(address)
    const links = new Map<string, PeerLink>()
    const strangers = new Set<Served>()
    const served = new Map<string, Served>()
    let isLeaving = false

    const host: Host = {
      handler: options.handler,
      get isLeaving() {
        return isLeaving
      },
      greeted(one, peer) {
        const key = keyOf(peer.address)
        strangers.delete(one)
        // A node that connects again has given up its connection before.
        served.get(key)?.connection.close()
        served.set(key, one)
      },
      closed(one) {
        strangers.delete(one)
        const key = one.peer === undefined ? "" : keyOf(one.peer.address)
        if (served.get(key) === one) served.delete(key)
      }
    }
    const owner = { threw: (defect: unknown) => node.report("a connection of another node failed", defect) }
    listen(owner, server, "error", (_, error) => owner.threw(error))
    listen(owner, server, "connection", (_, socket: Net.Socket) => {
      if (strangers.size >= mostStrangers) {
        for (const oldest of strangers) {
          oldest.connection.close()
          break
        }
      }
      strangers.add(new Served(node, host, socket))
    })

    const to = (address: NodeAddress): PeerLink => {
      const key = keyOf(address)
      let link = links.get(key)
      if (link === undefined) links.set(key, link = new PeerLink(node, { host: address.host, port: address.port }))
      return link
    }

    yield* Effect.addFinalizer(() =>
      Effect.callback<void>((resume) => {
        node.isClosed = true
        server.close(() => resume(Effect.void))
        for (const link of links.values()) link.close()
        for (const one of Array.from(strangers)) one.connection.close()
        for (const one of Array.from(served.values())) one.connection.end()
      }).pipe(
        Effect.timeoutOption(partingTime),
        Effect.andThen(Effect.sync(() => {
          node.deadlines.close()
          for (const socket of node.sockets) socket.destroy()
        }))
      )
    )

    return {
      address,
      port,
      incarnation: settings.incarnation,
      to,
      isAlive: (address) => keyOf(address) === own ? Effect.succeed(true) : Effect.suspend(() => to(address).isAlive),
      goodbye: (linger) =>
        Effect.suspend(() => {
          if (!isLeaving) {
            isLeaving = true
            for (const one of Array.from(served.values())) one.goodbye()
          }
          return Effect.sleep(linger)
        })
    }
  }))

const listenOn = (address: NodeAddress): Effect.Effect<Net.Server, ListenFailed> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    const failed = (cause: unknown) => {
      const message = `a node cannot listen on ${keyOf(address)}: ${String(cause)}`
      resume(Effect.fail(new ListenFailed({ host: address.host, port: address.port, message, cause })))
    }
    listen({ threw: failed }, server, "error", (_, error) => failed(error))
    listen({ threw: failed }, server, "listening", () => resume(Effect.succeed(server)))
    try {
      server.listen(address.port, address.host)
    } catch (error) {
      failed(error)
    }
  })
