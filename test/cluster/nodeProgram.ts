/**
 * A node of a cluster as a process of its own: it carries out what its parent tells it to call, and says what came of it.
 *
 * Both kinds count. Each time that a session comes into memory it gets a new owner, a name that is nowhere else; so its answers
 * tell which of its lives they are from.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Effect, Exit, Fiber, Layer, Logger, Option, Redacted, Schema } from "effect"
import { Session } from "effect-sessions"
import { type Options as ClusterOptions, SessionCluster } from "effect-sessions/cluster"
import { SqlStore } from "effect-sessions/snapshots"
import { Rpc } from "effect/rpc"
import { argv, pid } from "node:process"

/** What a node is told when it starts. */
export interface NodeSettings {
  readonly url: string
  /** Names the cluster and its tables. */
  readonly name: string
  /** Its address, and where it listens. */
  readonly port: number
  readonly listen: number
  readonly cluster: Pick<ClusterOptions, "expiration" | "refresh" | "assignments" | "health">
  /** How far its wall clock is ahead, in milliseconds. */
  readonly ahead: number
  /** Does it hand its sessions over before it stops to take calls? */
  readonly leavesFirst: boolean
}

/** A call: its number, the kind, the id, and what to do. */
export type Command = readonly [number, "Safe" | "Quick", string, Action]

export type Action =
  | { readonly op: "start" }
  | { readonly op: "look" }
  | { readonly op: "add" }
  /** Adds once, however often it is told so. */
  | { readonly op: "once"; readonly client: string; readonly sequence: number; readonly again: boolean }

export interface Answer {
  readonly count: number
  readonly owner: string
}

/** What came of a command, or the state of the node, which it says whenever it changes. */
export type Said =
  | readonly [number, { readonly answer: Answer } | { readonly error: string }]
  | { readonly open: number; readonly count: number; readonly nodes: number }

const state = Schema.Struct({ count: Schema.Int, owner: Schema.String })
const protocol = [Rpc.make("Add", { success: state }), Rpc.make("Look", { success: state })] as const

/** Answers only when what it says is stored. */
class Safe extends Session.Service<Safe>()("Safe", { state, protocol }) {}

/** Writes behind. */
class Quick extends Session.Service<Quick>()("Quick", { state, protocol }) {}

const settings: NodeSettings = JSON.parse(argv[2]!)

let lives = 0
const owner = () => `${settings.port}/${pid}/${++lives}`

const behavior = {
  init: () => ({ count: 0, owner: owner() }),
  restore: ({ state }: { readonly state: Answer }) => ({ ...state, owner: owner() }),
  handlers: {
    Add: ({ state }: { readonly state: Answer }) => {
      const next = { ...state, count: state.count + 1 }
      return [next, next] as const
    },
    Look: ({ state }: { readonly state: Answer }) => [state, state] as const
  }
}

const Client = PgClient.layer({ url: Redacted.make(settings.url), maxConnections: 6 })

const Program = Layer.mergeAll(
  Safe.toLayer(Safe.behavior(behavior), { snapshots: { save: "everyChange" } }),
  Quick.toLayer(Quick.behavior(behavior), { snapshots: { save: { debounce: "200 millis" } } })
).pipe(Layer.provideMerge(
  Layer.mergeAll(
    SessionCluster.layer({
      ...settings.cluster,
      self: { host: "127.0.0.1", port: settings.port },
      listen: { host: "127.0.0.1", port: settings.listen },
      cluster: settings.name,
      prefix: settings.name,
      secret: Redacted.make("a secret that nobody can guess at all")
    }),
    SqlStore.layer({ table: `${settings.name}_sessions` })
  ).pipe(Layer.provide(Client))
))

/** The clock of a machine whose time is set wrong. */
const clock = (ahead: number): Clock.Clock => {
  const live = Context.get(Context.empty(), Clock.Clock)
  const millis = () => live.currentTimeMillisUnsafe() + ahead
  const nanos = () => live.currentTimeNanosUnsafe() + BigInt(ahead) * 1_000_000n
  return {
    currentTimeMillisUnsafe: millis,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => live.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: live.monotonicTimeNanos,
    sleep: (duration) => live.sleep(duration)
  }
}

const say = (said: Said) => {
  // A parent that is gone hears nothing.
  if (process.connected) process.send!(said)
}

const main = Effect.gen(function*() {
  const kinds = { Safe: yield* Safe, Quick: yield* Quick }
  const cluster = yield* SessionCluster
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const calls = new Set<Fiber.Fiber<void>>()
  let isTaking = true
  const perform = (kind: keyof typeof kinds, id: string, action: Action): Effect.Effect<Answer, unknown> => {
    const ref = kinds[kind].ref(id)
    switch (action.op) {
      case "start":
        return Effect.flatMap(kinds[kind].start(id), (ref) => ref.state)
      case "look":
        return ref.call("Look")
      case "add":
        return ref.call("Add")
      case "once":
        return ref.callOnce("Add", undefined, action)
    }
  }
  process.on("message", ([number, kind, id, action]: Command) => {
    if (!isTaking) return say([number, { error: "Closed" }])
    const call = run(Effect.map(Effect.exit(perform(kind, id, action)), (exit) =>
      say([
        number,
        Exit.isSuccess(exit)
          ? { answer: { count: exit.value.count, owner: exit.value.owner } }
          : { error: nameOf(exit) }
      ])))
    calls.add(call)
    call.addObserver(() => calls.delete(call))
  })
  let before = ""
  const report = Effect.gen(function*() {
    const now = { ...yield* cluster.places, nodes: (yield* cluster.nodes).length }
    const text = JSON.stringify(now)
    if (text !== before) say(now)
    before = text
  })
  return yield* Effect.forever(Effect.andThen(report, Effect.sleep(20))).pipe(
    Effect.onExit(() =>
      Effect.gen(function*() {
        if (settings.leavesFirst) yield* cluster.leave
        isTaking = false
        yield* Effect.ignore(Effect.timeout(Effect.forEach(calls, Fiber.await), "4 seconds"))
      })
    )
  )
})

const nameOf = (exit: Exit.Exit<unknown, unknown>): string => {
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  if (typeof error === "object" && error !== null && "_tag" in error) {
    return "reason" in error ? `${error._tag} ${JSON.stringify(error.reason)}` : String(error._tag)
  }
  return `a defect: ${String(exit)}`
}

process.once("disconnect", () => process.exit(1))

NodeRuntime.runMain(
  main.pipe(
    Effect.provide(Layer.provideMerge(Program, Logger.layer([Logger.consoleLogFmt]))),
    Effect.provideService(
      Clock.Clock,
      settings.ahead === 0 ? Context.get(Context.empty(), Clock.Clock) : clock(settings.ahead)
    )
  )
)
