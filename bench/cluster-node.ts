/**
 * A process of the cluster suite: a node with counters, one with the same counters and no cluster, or either with entities of
 * `effect/cluster` beside them. It is forked, says when it has begun, does what it is asked, and ends with its parent process.
 */
import * as NodeClusterSocket from "@effect/platform-node/NodeClusterSocket"
import { PgClient } from "@effect/sql-pg"
import { Effect, Exit, Fiber, Layer, Option, Redacted, References, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { SqlStore } from "effect-sessions/snapshots"
import { Entity, MessageStorage, RunnerAddress, Sharding, ShardingConfig, SqlRunnerStorage } from "effect/cluster"
import { Rpc } from "effect/rpc"
import { loop, memory, type Operation, rate } from "./measure.ts"

/** What a process hosts. */
export interface Settings {
  readonly url: string
  /** The address of the node; `undefined`: its sessions are its own. */
  readonly port?: number | undefined
  /** The address of its entities; `undefined`: it has none. */
  readonly entities?: number | undefined
}

/** What is called: sessions, or entities with the same ids. */
export type Callee = "session" | "entity"

export type Asked =
  /** How many places are open here, and how many nodes it knows. */
  | { readonly type: "status" }
  /** Which of the ids are here, for sessions and for entities. */
  | { readonly type: "where"; readonly ids: ReadonlyArray<string> }
  | { readonly type: "start"; readonly ids: ReadonlyArray<string> }
  /** Calls a second. */
  | {
    readonly type: "rate"
    readonly callee: Callee
    readonly ids: ReadonlyArray<string>
    readonly clients: number
    /** Of each client. */
    readonly calls: number
  }
  /** Bytes of each session, or entity, that is made. */
  | { readonly type: "bytes"; readonly callee: Callee; readonly ids: ReadonlyArray<string> }
  /** Calls the sessions all the time, until `stop`. */
  | { readonly type: "traffic"; readonly ids: ReadonlyArray<string>; readonly clients: number }
  | { readonly type: "stop" }

export type Said =
  | { readonly type: "ready"; readonly pid: number }
  | { readonly type: "status"; readonly open: number; readonly nodes: number }
  | { readonly type: "where"; readonly sessions: ReadonlyArray<string>; readonly entities: ReadonlyArray<string> }
  | { readonly type: "started" }
  | { readonly type: "rate"; readonly rate: number }
  | { readonly type: "bytes"; readonly bytes: number }
  | { readonly type: "flowing" }
  /** The longest call, in milliseconds, how many calls there were, and the names of their errors. */
  | { readonly type: "stopped"; readonly worst: number; readonly calls: number; readonly errors: ReadonlyArray<string> }

const protocol = [
  Rpc.make("Add", { payload: Schema.Int, success: Schema.Int })
] as const

class Counter extends Session.Service<Counter>()("Counter", {
  state: Schema.Struct({ n: Schema.Int }),
  protocol: [...protocol]
}) {}

const Counters = Counter.toLayer(
  Counter.behavior({
    init: () => ({ n: 0 }),
    handlers: { Add: ({ payload, state }) => [{ n: state.n + payload }, state.n + payload] }
  }),
  { snapshots: { save: { debounce: "200 millis" } } }
)

const CounterEntity = Entity.make("Counter", [Rpc.make("Add", { payload: Schema.Int, success: Schema.Int })])

const CounterEntities = CounterEntity.toLayer(
  Effect.sync(() => {
    let n = 0
    return { Add: ({ payload }) => Effect.sync(() => n += payload) }
  }),
  { maxIdleTime: "1 hour" }
)

const settings: Settings = JSON.parse(process.argv[2]!)
const host = "127.0.0.1"
const limits = { maxSessions: 1_000_000, startRate: false } as const

const Database = PgClient.layer({ url: Redacted.make(settings.url), maxConnections: 8 })

const Hosted = settings.port === undefined
  ? Sessions.layer(limits)
  : SessionCluster.layer({ self: { host, port: settings.port }, sessions: limits })

/** Entities whose messages are not stored, as those of sessions are not, over the sockets that Effect recommends. */
const entitiesOf = (port: number) => {
  const shardingConfig = { runnerAddress: Option.some(RunnerAddress.make(host, port)) }
  const storage = SqlRunnerStorage.layerWith({ prefix: "entities" }).pipe(
    Layer.provide(ShardingConfig.layer(shardingConfig))
  )
  return CounterEntities.pipe(
    Layer.provideMerge(NodeClusterSocket.layer({ storage: "byo", shardingConfig })),
    Layer.provide([MessageStorage.layerNoop, storage])
  )
}

const Entities = settings.entities === undefined ? Layer.empty : entitiesOf(settings.entities)

const Program = Layer.mergeAll(Counters.pipe(Layer.provideMerge(Hosted), Layer.provide(SqlStore.layer())), Entities)
  .pipe(
    Layer.provide(Database),
    Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
  )

const say = (said: Said) => process.send!(said)

/** So many callers, each of which makes so many calls, one after the other. */
const callers = (operation: Operation, ids: ReadonlyArray<string>, count: number, calls: number) => {
  const orders = Array.from(
    { length: count },
    (_, caller) => Array.from({ length: calls }, (_, i) => ids[(caller + i * count) % ids.length]!)
  )
  return Effect.forEach(orders, (order) => loop(operation, order), { concurrency: "unbounded", discard: true })
}

const main = Effect.gen(function*() {
  const counters = yield* Counter
  const cluster = Option.getOrUndefined(yield* Effect.serviceOption(SessionCluster))
  const sharding = Option.getOrUndefined(yield* Effect.serviceOption(Sharding.Sharding))
  const entityOf = sharding === undefined ? undefined : yield* CounterEntity.client
  const run = Effect.runForkWith(yield* Effect.context<Counter>())
  let stop: (() => void) | undefined

  /** An address is made once, as a program that goes on talking to a session does. */
  const operation = (callee: Callee): Operation => {
    const known = new Map<string, () => Effect.Effect<unknown, unknown>>()
    const make = (id: string) => {
      if (callee === "entity") {
        const entity = entityOf!(id)
        return () => entity.Add(1)
      }
      const ref = counters.ref(id)
      return () => ref.call("Add", 1)
    }
    return {
      type: "effect",
      run: (id) => {
        let call = known.get(id)
        if (call === undefined) known.set(id, call = make(id))
        return call()
      },
      accept: (n) => typeof n === "number"
    }
  }
  const operations = { session: operation("session"), entity: operation("entity") }

  const traffic = (ids: ReadonlyArray<string>, clients: number) => {
    let isOver = false
    let worst = 0
    let calls = 0
    const errors = new Set<string>()
    const client = Effect.fnUntraced(function*(first: number) {
      // oxlint-disable-next-line no-unmodified-loop-condition
      for (let i = first; !isOver; i += clients) {
        const began = performance.now()
        const ref = counters.ref(ids[i % ids.length]!)
        const exit = yield* Effect.exit(ref.call("Add", 1, { timeout: "30 seconds" }))
        worst = Math.max(worst, performance.now() - began)
        calls++
        if (Exit.isFailure(exit)) errors.add(String(Option.getOrUndefined(Exit.findErrorOption(exit))))
        yield* Effect.sleep(5)
      }
    })
    const flow = run(
      Effect.forEach(Array.from({ length: clients }, (_, i) => i), client, { concurrency: "unbounded", discard: true })
    )
    return () => {
      isOver = true
      run(Effect.andThen(
        Fiber.await(flow),
        Effect.sync(() => say({ type: "stopped", worst, calls, errors: Array.from(errors) }))
      ))
    }
  }

  const answer = Effect.fnUntraced(function*(asked: Asked): Effect.fn.Return<unknown, unknown> {
    switch (asked.type) {
      case "status": {
        if (cluster === undefined) return say({ type: "status", open: 0, nodes: 1 })
        return say({ type: "status", open: (yield* cluster.places).open, nodes: (yield* cluster.nodes).length })
      }
      case "where": {
        const sessions: Array<string> = []
        for (const id of asked.ids) {
          if (cluster === undefined || (yield* cluster.ownerOf(id))?.key === cluster.self.key) sessions.push(id)
        }
        const entities = asked.ids.filter((id) => sharding?.hasShardId(sharding.getShardId(id as never, "default")))
        return say({ type: "where", sessions, entities })
      }
      case "start":
        yield* counters.startAll(asked.ids)
        yield* loop(operations.session, asked.ids)
        return say({ type: "started" })
      case "rate": {
        const { callee, calls, clients, ids } = asked
        return say({
          type: "rate",
          rate: yield* rate(clients * calls, callers(operations[callee], ids, clients, calls))
        })
      }
      case "bytes": {
        const before = yield* memory
        // Nothing keeps their addresses.
        const use = asked.callee === "entity"
          ? (id: string): Effect.Effect<unknown, unknown> => entityOf!(id).Add(1)
          : (id: string) => Effect.andThen(counters.start(id), counters.ref(id).call("Add", 1))
        yield* Effect.forEach(asked.ids, use, { concurrency: 64, discard: true })
        yield* Effect.sleep("1 second")
        return say({ type: "bytes", bytes: ((yield* memory) - before) / asked.ids.length })
      }
      case "traffic":
        stop = traffic(asked.ids, asked.clients)
        return say({ type: "flowing" })
      case "stop":
        return stop!()
    }
  })

  process.on("message", (asked: Asked) => {
    run(Effect.tapCause(answer(asked), (cause) =>
      Effect.sync(() => {
        console.error(String(cause))
        process.exit(1)
      })))
  })
  say({ type: "ready", pid: process.pid })
  return yield* Effect.never
})

const fiber = Effect.runFork(Effect.scoped(Effect.provide(main, Program)))
fiber.addObserver((exit) => {
  if (Exit.isFailure(exit) && !Exit.hasInterrupts(exit)) console.error(String(exit.cause))
  process.exit(0)
})
// As `NodeRuntime.runMain` does.
process.once("SIGTERM", () => fiber.interruptUnsafe())
process.on("disconnect", () => process.exit(1))
