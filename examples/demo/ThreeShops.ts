/**
 * Shops that are one shop: processes that share a PostgreSQL, and a front before them. Each process is a node of a cluster, and is
 * started again when it ends. All of them end with the Scope.
 */
import { Deferred, Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { randomBytes } from "node:crypto"
import { type AddressInfo, connect, createServer, type Server } from "node:net"
import { fileURLToPath } from "node:url"

export interface Options {
  readonly database: string
  /** The front listens there, and the nodes on the ports after it. 0: any free ports. */
  readonly port: number
  /** What Node runs as a shop. Default: main.ts. */
  readonly program?: ReadonlyArray<string> | undefined
  /** More variables for the shops. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** The pause before a node that has ended starts again, in milliseconds. */
  readonly pause?: number | undefined
  readonly log?: ((line: string) => void) | undefined
}

/** A node, which may be starting. */
export interface Node {
  readonly number: number
  /** Its name in the cluster. */
  readonly address: string
  /** Where it serves the shop; `undefined` while it does not. */
  url: string | undefined
  pid: number | undefined
}

const host = "127.0.0.1"
const count = 3

const sources = ["--conditions=source", fileURLToPath(new URL("main.ts", import.meta.url))]

const listen = (server: Server, port: number): Effect.Effect<number, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<number, Error>((resume) => {
      server.once("error", (error) => resume(Effect.fail(error)))
      server.listen(port, host, () => resume(Effect.succeed((server.address() as AddressInfo).port)))
    }),
    () => Effect.sync(() => server.close())
  )

const freePort = Effect.scoped(Effect.suspend(() => listen(createServer(), 0)))

/** Runs one node until it ends. Ends it, and waits until it has ended, when it is interrupted. */
const run = (node: Node, env: Record<string, string>, { log = () => {}, program = sources }: Options) =>
  Effect.callback<void>((resume) => {
    const child = spawn(process.execPath, program, { env, stdio: ["ignore", "pipe", "inherit"] })
    // Whatever ends this process, its nodes do not outlive it.
    const kill = () => child.kill("SIGKILL")
    process.once("exit", kill)
    const ended = new Promise<void>((end) =>
      child.once("close", () => {
        process.removeListener("exit", kill)
        node.url = node.pid = undefined
        end()
      })
    )
    child.once("error", (error) => log(`node ${node.number} cannot start: ${error.message}`))
    child.stdout.on("data", (chunk: Buffer) => {
      const url = /^The corner shop is open: (http:\S+)/m.exec(String(chunk))?.[1]
      if (url === undefined) return
      node.url = url
      node.pid = child.pid
      log(`node ${node.number}: ${url}, process ${child.pid}, ${node.address} in the cluster`)
    })
    void ended.then(() => resume(Effect.void))
    return Effect.promise(() => {
      child.kill("SIGTERM")
      const late = setTimeout(kill, 15_000)
      return ended.then(() => clearTimeout(late))
    })
  })

/** Sends each connection to the next node that accepts it. */
const front = (nodes: ReadonlyArray<Node>): Server => {
  let turn = 0
  return createServer((client) => {
    const attempt = (left: ReadonlyArray<string>) => {
      const [url, ...others] = left
      if (url === undefined) return void client.destroy()
      const { hostname, port } = new URL(url)
      const node = connect(Number(port), hostname)
      let isConnected = false
      node.once("connect", () => {
        isConnected = true
        client.pipe(node)
        node.pipe(client)
      })
      node.on("error", () => {})
      node.once("close", () => isConnected ? client.destroySoon() : attempt(others))
      client.once("close", () => node.destroySoon())
    }
    client.on("error", () => {})
    turn++
    attempt(nodes.map((_, i) => nodes[(turn + i) % count]!.url).filter((url) => url !== undefined))
  })
}

/** Opens the shops, and waits until all of them serve. */
export const open = (options: Options) =>
  Effect.gen(function*() {
    const { database, log = () => {}, pause = 3_000, port } = options
    const secrets = {
      CLUSTER_SECRET: randomBytes(32).toString("base64url"),
      JWT_SECRET: randomBytes(32).toString("base64url")
    }
    const nodes: Array<Node> = []
    for (let number = 1; number <= count; number++) {
      const peers = port === 0 ? yield* freePort : port + 4_000 + number
      nodes.push({ number, address: `${host}:${peers}`, url: undefined, pid: undefined })
    }
    const opened = yield* listen(front(nodes), port)
    const allServe = yield* Deferred.make<void, Error>()
    for (const node of nodes) {
      const env = {
        ...secrets,
        ...options.env,
        PATH: process.env["PATH"] ?? "",
        DATABASE_URL: database,
        HOST: host,
        PORT: String(port === 0 ? 0 : port + node.number),
        NODE_ADDRESS: node.address
      }
      yield* Effect.forkScoped(Effect.gen(function*() {
        for (;;) {
          yield* run(node, env, options)
          // A shop that never opened would not open the next time, either.
          yield* Deferred.fail(allServe, new Error(`node ${node.number} has ended before all nodes served`))
          log(`node ${node.number} has ended, and starts again`)
          yield* Effect.sleep(pause)
        }
      }))
    }
    yield* Effect.forkScoped(Effect.gen(function*() {
      while (nodes.some(({ url }) => url === undefined)) yield* Effect.sleep(20)
      yield* Deferred.succeed(allServe, undefined)
    }))
    yield* Deferred.await(allServe)
    return { url: `http://${host}:${opened}`, nodes: nodes as ReadonlyArray<Node> }
  })
