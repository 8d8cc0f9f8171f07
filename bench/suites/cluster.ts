/**
 * What does a cluster cost, and what do callers notice when a node leaves or dies? Real processes on one machine and a real
 * PostgreSQL, with the default settings.
 *
 * The baselines are the same sessions in a process without a cluster, and entities of `effect/cluster`, whose messages are not
 * stored either. They take turns, so that the ratios hold when the machine's speed drifts.
 */
import { Cause, Effect, Exit, Redacted } from "effect"
import { type AddressInfo, createServer } from "node:net"
import * as PostgresServer from "../../test/snapshots/PostgresServer.ts"
import type { Asked, Callee, Said, Settings } from "../cluster-node.ts"
import { makeIds, median } from "../measure.ts"
import { type Remote, startRemote } from "../servers.ts"
import type { Driver, Figures, Plan } from "../Subject.ts"

interface Node extends Remote<Asked, Said> {
  readonly signal: (signal: NodeJS.Signals) => void
}

/** The default of a cluster. */
const places = 300

const file = new URL("../cluster-node.ts", import.meta.url)

const freePort = () =>
  new Promise<number>((resolve) => {
    const server = createServer()
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

const begin = async (settings: Settings): Promise<Node> => {
  const { next, remote } = startRemote<Asked, Said>(file, JSON.stringify(settings))
  const { pid } = await next("ready")
  return { ...remote, signal: (signal) => void process.kill(pid, signal) }
}

const beginNode = async (url: string, hasEntities = false): Promise<Node> =>
  begin({ url, port: await freePort(), entities: hasEntities ? await freePort() : undefined })

const later = (millis: number) => new Promise<void>((resolve) => setTimeout(resolve, millis))

/** Waits until these nodes have all places, and gives how long that took, in milliseconds. */
const settled = async (nodes: ReadonlyArray<Node>): Promise<number> => {
  const began = performance.now()
  for (;;) {
    const all = await Promise.all(nodes.map((node) => node.ask({ type: "status" }, "status")))
    const open = all.reduce((sum, one) => sum + one.open, 0)
    if (open === places && all.every((one) => one.nodes === nodes.length && one.open > 0)) {
      return performance.now() - began
    }
    await later(10)
  }
}

/** How long the entities take to be shared out, for which nothing asks. */
const entitiesSettle = 4_000

const rateOf = async (
  node: Node,
  callee: Callee,
  ids: ReadonlyArray<string>,
  clients: number,
  calls: number
): Promise<number> => (await node.ask({ type: "rate", callee, ids, clients, calls: calls / clients }, "rate")).rate

/** Calls of one turn. A turn is short, so that each subject meets the machine as it is for the others. */
const turn = { plain: 200_000, local: 200_000, local_entity: 2_000, remote: 5_000, remote_entity: 1_000 }

const turns = 7

/** Calls a second, with one and with a hundred in flight. */
const calls = async (url: string): Promise<Figures> => {
  const plain = await begin({ url })
  const near = await beginNode(url, true)
  const far = await beginNode(url, true)
  const nodes = [plain, near, far]
  try {
    await settled([near, far])
    await later(entitiesSettle)
    const ids = makeIds(2_000, "counter_")
    // Both the session and the entity of an id are on the same node.
    const homeOf = async (node: Node) => {
      const { entities, sessions } = await node.ask({ type: "where", ids }, "where")
      return sessions.filter((id) => entities.includes(id)).slice(0, 200)
    }
    const [local, remote] = [await homeOf(near), await homeOf(far)]
    await near.ask({ type: "start", ids: [...local, ...remote] }, "started")
    await plain.ask({ type: "start", ids: local }, "started")
    const subjects = [
      ["plain", plain, "session", local],
      ["local", near, "session", local],
      ["local_entity", near, "entity", local],
      ["remote", near, "session", remote],
      ["remote_entity", near, "entity", remote]
    ] as const
    const found: Record<string, Array<number>> = {}
    // The first turn is the warm-up.
    for (let i = 0; i <= turns; i++) {
      for (const clients of [1, 100]) {
        for (const [name, node, callee, ids] of subjects) {
          const rate = await rateOf(node, callee, ids, clients, turn[name])
          if (i > 0) (found[`cluster_${name}@${clients}`] ??= []).push(rate)
        }
      }
    }
    return Object.fromEntries(Object.entries(found).map(([name, rates]) => [name, median(rates)]))
  } finally {
    for (const node of nodes) node.stop()
  }
}

/** The bytes of a session and of an entity, each after its code is warm. */
const bytes = async (url: string): Promise<Figures> => {
  const node = await beginNode(url, true)
  try {
    await settled([node])
    await later(entitiesSettle)
    const of = async (callee: Callee, count: number, prefix: string) =>
      (await node.ask({ type: "bytes", callee, ids: makeIds(count, prefix) }, "bytes")).bytes
    for (const callee of ["session", "entity"] as const) await of(callee, 500, "warm_")
    return {
      cluster_bytes: await of("session", 20_000, "counter_"),
      cluster_bytes_entity: await of("entity", 4_000, "counter_")
    }
  } finally {
    node.stop()
  }
}

const moved = 10_000

/** The sessions that are called while nodes leave: on all three of them. */
const used = makeIds(300, "used_")

/** A node leaves three, in one way or the other, while the callers of another one go on. */
const leave = async (
  url: string,
  signal: NodeJS.Signals,
  before: (leaving: Node) => Promise<unknown>
): Promise<{ readonly settled: number; readonly worst: number; readonly caller: Node; readonly stop: () => void }> => {
  const [caller, other, leaving] = [await beginNode(url), await beginNode(url), await beginNode(url)]
  await settled([caller, other, leaving])
  await caller.ask({ type: "start", ids: used }, "started")
  await before(leaving)
  await caller.ask({ type: "traffic", ids: used, clients: 20 }, "flowing")
  await later(1_000)
  leaving.signal(signal)
  const took = await settled([caller, other])
  await later(500)
  const { errors, worst } = await caller.ask({ type: "stop" }, "stopped")
  // A call that the killed node may have begun is lost.
  const unexpected = errors.filter((error) => signal !== "SIGKILL" || !error.startsWith("NodeLost"))
  if (unexpected.length > 0) throw new Error(`calls failed when a node got ${signal}: ${unexpected.join("; ")}`)
  const stop = () => {
    for (const node of [caller, other, leaving]) node.stop()
  }
  return { settled: took, worst, caller, stop }
}

/** A node is told to stop a moment after ten thousand of its sessions have changed. */
const term = async (url: string): Promise<Figures> => {
  let ids: ReadonlyArray<string> = []
  const { caller, settled, stop, worst } = await leave(url, "SIGTERM", async (leaving) => {
    const all = makeIds(4 * moved, "counter_")
    const { sessions } = await leaving.ask({ type: "where", ids: all }, "where")
    ids = sessions.slice(0, moved)
    await leaving.ask({ type: "start", ids }, "started")
    await later(2_000)
    await rateOf(leaving, "session", ids, 1, ids.length)
  })
  const rate = await rateOf(caller, "session", ids, 100, ids.length)
  stop()
  return {
    cluster_moved: ids.length,
    cluster_move_ms: settled,
    cluster_reach_ms: ids.length * 1_000 / rate,
    cluster_term_pause_ms: worst
  }
}

/** A node is killed. */
const kill = async (url: string): Promise<Figures> => {
  const { stop, worst } = await leave(url, "SIGKILL", () => later(2_000))
  stop()
  return { cluster_kill_pause_ms: worst }
}

/** Each part has a database of its own. If there is no PostgreSQL, it says so and skips the part. */
const withDatabase = (part: (url: string) => Promise<Figures>): Effect.Effect<Figures> =>
  Effect.scoped(Effect.gen(function*() {
    const started = yield* Effect.exit(PostgresServer.start)
    if (Exit.isSuccess(started)) return yield* Effect.promise(() => part(Redacted.value(started.value)))
    process.stderr.write(`          skipping the cluster: ${String(Cause.squash(started.cause))}\n`)
    return {}
  }))

/** Ignores the driver: only this library has such a cluster. */
export const cluster = (_driver: Driver, _plan: Plan): Effect.Effect<Figures> =>
  Effect.map(
    Effect.forEach([calls, bytes, term, kill], withDatabase),
    (all): Figures => Object.assign({}, ...all)
  )
