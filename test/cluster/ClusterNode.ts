/** Nodes of a cluster in one process: each has a Layer of its own, and they share a database. */
import { PgClient } from "@effect/sql-pg"
import { Context, type Duration, Effect, Exit, Layer, Redacted, Scope, Tracer } from "effect"
import { Sessions, type SessionsConfig, type SnapshotStore } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { SqlStore } from "effect-sessions/snapshots"
import { type AddressInfo, createServer } from "node:net"
import { Counter, counterLayer, type CounterOptions, Gate } from "./Counter.ts"

/** A port that is free now. */
export const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

export interface AnyNodeOptions {
  readonly url: Redacted.Redacted
  readonly name: string
  readonly expiration?: Duration.Input | undefined
  readonly tracer?: Tracer.Tracer | undefined
  readonly sessions?: SessionsConfig.Options | undefined
}

interface NodeOptions extends AnyNodeOptions {
  readonly kind?: CounterOptions | undefined
}

type Host = Layer.Success<ReturnType<typeof SessionCluster.layer>> | SnapshotStore.SnapshotStore

/** Starts a node with a program, which leaves when the scope of the test closes, or `stop` is run. */
export const startProgram = Effect.fnUntraced(function*<A, E>(
  { expiration = "20 seconds", name, sessions, tracer, url }: AnyNodeOptions,
  program: Layer.Layer<A, E, Host>
) {
  const port = yield* freePort
  const Client = PgClient.layer({ url, maxConnections: 4 })
  const Cluster = SessionCluster.layer({
    self: { host: "127.0.0.1", port },
    cluster: name,
    prefix: name,
    shards: 30,
    expiration,
    refresh: "1 second",
    assignments: "50 millis",
    secret: Redacted.make("a secret that nobody can guess at all"),
    sessions: { shutdownGrace: "2 seconds", ...sessions }
  }).pipe(Layer.provide(Client))
  const Store = SqlStore.layer({ table: `${name}_sessions` }).pipe(Layer.provide(Client))
  const Program = program.pipe(Layer.provideMerge(Layer.mergeAll(Layer.fresh(Cluster), Layer.fresh(Store))))
  const scope = yield* Scope.fork(yield* Effect.scope)
  const Traced = tracer === undefined ? Program : Layer.provide(Program, Layer.succeed(Tracer.Tracer, tracer))
  const context = yield* Layer.buildWithScope(Layer.fresh(Traced), scope)
  return {
    context,
    sessions: Context.get(context, Sessions),
    cluster: Context.get(context, SessionCluster),
    stop: Scope.close(scope, Exit.void)
  }
})

/** Starts a node whose program is the `Counter`. */
export const startNode = Effect.fnUntraced(function*({ kind, ...options }: NodeOptions) {
  const gate = new Gate()
  const program = counterLayer(gate, { snapshots: { save: "everyChange" }, ...kind })
  const node = yield* startProgram(options, program)
  return { ...node, gate, counters: Context.get(node.context, Counter) }
})

type AnyNode = Pick<ClusterNode, "cluster">

export type ClusterNode = Effect.Success<ReturnType<typeof startNode>>

/** Waits until the places are shared out among these nodes, and each of them knows. */
export const settled = Effect.fnUntraced(function*(...nodes: ReadonlyArray<AnyNode>) {
  for (;;) {
    let open = 0
    let isAgreed = true
    for (const { cluster } of nodes) {
      const places = yield* cluster.places
      open += places.open
      if ((yield* cluster.nodes).length !== nodes.length || places.open === 0) isAgreed = false
    }
    if (isAgreed && open === 30) return
    yield* Effect.sleep(10)
  }
})

/** An id that this node owns. */
export const idOn = Effect.fnUntraced(function*(node: AnyNode, prefix = "s") {
  for (let i = 0;; i++) {
    const id = `${prefix}${i}`
    if ((yield* node.cluster.ownerOf(id))?.key === node.cluster.self.key) return id
  }
})
