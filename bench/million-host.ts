/**
 * A process with sessions for the million suite: with all sessions, or with the active ones only. The latter is the baseline
 * for the latencies among all sessions.
 *
 * The clock of the sessions is virtual, so that they hibernate and expire at chosen moments. While sessions are started it
 * advances by the time that really passes, so that they do not all hibernate at the same moment. Measurements use the clock of
 * the machine.
 */
import { Effect, Layer, Queue, References, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import { breathe, makeIds, memory, millis, shuffle, spread } from "./measure.ts"

/** The number of all sessions, and of the active ones. */
export const totalCount = 1_000_000
export const activeCount = totalCount / 100

/** The requests to a host. */
export type Asked =
  /** Start a number of sessions. */
  | { readonly type: "start"; readonly count: number }
  | { readonly type: "memory"; readonly compact: boolean }
  /** Let all sessions hibernate except the active ones. */
  | { readonly type: "rest" }
  /** Call all active ones, one after the other. */
  | { readonly type: "call" }
  /** Call a number of hibernating sessions, which wakes them. */
  | { readonly type: "wake"; readonly count: number }
  /** Sweep when nothing has expired, and when a number of sessions have. */
  | { readonly type: "sweep"; readonly count: number }

/** The messages of a host: first that it is ready, then its results. Times are in milliseconds, those of calls in microseconds. */
export type Said =
  | { readonly type: "ready" }
  | { readonly type: "started"; readonly millis: number }
  | { readonly type: "memory"; readonly heap: number; readonly rss: number }
  /** How many sessions hibernated, how long all passes, the longest pass, and a pass with nothing to do took. */
  | {
    readonly type: "rested"
    readonly asleep: number
    readonly millis: number
    readonly longest: number
    readonly idle: number
  }
  | { readonly type: "called"; readonly micros: ReadonlyArray<number> }
  | { readonly type: "swept"; readonly empty: number; readonly millis: number }

class User extends Session.Service<User>()("User", {
  state: Schema.Struct({ user_id: Schema.Int, count: Schema.Int, theme: Schema.String }),
  protocol: [Rpc.make("Add", { success: Schema.Int })]
}) {}

const layer = User.toLayer(
  User.behavior({
    init: () => ({ user_id: 42, count: 0, theme: "dark" }),
    handlers: { Add: ({ state }) => [{ ...state, count: state.count + 1 }, state.count + 1] }
  }),
  { hibernateAfter: "1 minute", idleTimeout: "1 day" }
).pipe(
  // The host sweeps on request.
  Layer.provideMerge(Sessions.layer({ maxSessions: 2_000_000, startRate: false, sweepInterval: "10 days" })),
  Layer.provideMerge(TestClock.layer())
)

/** After how many starts the clock advances. */
const stride = 1_000

/** How often the sessions are checked for hibernation, in milliseconds. */
const pass = 100
const idlePasses = 100

const makeHost = (what: string) =>
  Effect.gen(function*() {
    const users = yield* User
    const sessions = yield* Sessions
    const everybody = makeIds(totalCount)
    const active = shuffle(spread(everybody, activeCount))
    const isActive = new Set(active)
    const ids = what === "alone" ? active : everybody
    const others = shuffle(ids.filter((id) => !isActive.has(id)))
    // Hibernating sessions among all; in the host without the others, the active ones hibernate.
    const sleepers = others.length === 0 ? active : others
    let startedCount = 0
    /** How long ago the first sessions were started. */
    let span = 0
    let wokenCount = 0

    const now = Effect.sync(() => performance.now())

    /** Advances the virtual time, and gives how long the longest pass took. */
    const elapse = (virtual: number) =>
      Effect.gen(function*() {
        let longest = 0
        for (let left = virtual; left > 0; left -= pass) {
          longest = Math.max(longest, yield* millis(TestClock.adjust(Math.min(left, pass))))
        }
        return longest
      })

    const start = Effect.fnUntraced(function*(count: number) {
      const batch = ids.slice(startedCount, startedCount + count)
      startedCount += batch.length
      let total = 0
      for (let at = 0; at < batch.length; at += stride) {
        const began = performance.now()
        for (const id of batch.slice(at, at + stride)) yield* users.start(id)
        const took = performance.now() - began
        total += took
        span += took
        yield* TestClock.adjust(took)
      }
      return { type: "started", millis: total } as const
    })

    /** Checks that the sessions that should hibernate do. */
    const asleepCount = Effect.gen(function*() {
      let asleep = 0
      for (const id of ids) {
        const { status } = yield* users.ref(id).info
        if (status === "hibernating") asleep++
      }
      return asleep
    })

    const callEach = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
      const micros: Array<number> = []
      for (const id of ids) {
        const began = performance.now()
        yield* users.ref(id).call("Add")
        micros.push((performance.now() - began) * 1_000)
      }
      return { type: "called", micros } as const
    })

    const rest = Effect.gen(function*() {
      yield* TestClock.adjust(60_000 - pass - span)
      yield* callEach(active)
      const began = yield* now
      const longest = yield* elapse(span + 3 * pass)
      const took = (yield* now) - began
      const idle = (yield* millis(elapse(idlePasses * pass))) / idlePasses
      return { type: "rested", asleep: yield* asleepCount, millis: took, longest, idle } as const
    })

    const wake = Effect.fnUntraced(function*(count: number) {
      const some = Array.from({ length: count }, (_, i) => sleepers[(wokenCount + i) % sleepers.length]!)
      wokenCount += count
      // In the host without the others, the last turn woke them.
      if (sleepers === active) yield* TestClock.adjust("61 seconds")
      return yield* callEach(some)
    })

    const sweep = Effect.fnUntraced(function*(count: number) {
      const ids = makeIds(count, "short_")
      yield* Effect.forEach(ids, (id) => users.start(id, { idleTimeout: "30 seconds" }), { discard: true })
      const empty = yield* millis(sessions.sweep)
      yield* TestClock.adjust("31 seconds")
      const began = yield* now
      const swept = yield* sessions.sweep
      const took = (yield* now) - began
      if (swept !== count) return yield* Effect.die(new Error(`${swept} sessions were swept instead of ${count}`))
      return { type: "swept", empty, millis: took } as const
    })

    const weigh = Effect.fnUntraced(function*(compact: boolean) {
      const heap = yield* memory
      // Hibernated sessions leave holes in the heap. Unused memory goes back to the system.
      yield* Effect.sync(() => {
        if (compact) globalThis.gc!({ type: "major", execution: "sync", flavor: "last-resort" })
      })
      return { type: "memory", heap, rss: process.memoryUsage.rss() } as const
    })

    // Warms up the compiler before anything is timed.
    const warm = makeIds(2_000, "warm_")
    yield* users.startAll(warm)
    for (const id of warm) yield* users.ref(id).call("Add")
    yield* users.endAll(warm)

    return (asked: Asked): Effect.Effect<Said, unknown> => {
      switch (asked.type) {
        case "start":
          return start(asked.count)
        case "memory":
          return weigh(asked.compact)
        case "rest":
          return rest
        case "call":
          return callEach(active)
        case "wake":
          return wake(asked.count)
        case "sweep":
          return sweep(asked.count)
      }
    }
  })

const say = (said: Said) => process.send!(said)

const run = (what: string) =>
  Effect.gen(function*() {
    const questions = yield* Queue.unbounded<Asked>()
    const answer = yield* makeHost(what)
    process.on("message", (asked: Asked) => Queue.offerUnsafe(questions, asked))
    say({ type: "ready" })
    return yield* Effect.forever(
      Effect.flatMap(Queue.take(questions), (asked) => Effect.map(Effect.andThen(breathe, answer(asked)), say))
    )
  }).pipe(Effect.provide(layer), Effect.provideService(References.MinimumLogLevel, "Warn"), Effect.scoped)

if (process.send !== undefined) {
  process.on("disconnect", () => process.exit(0))
  await Effect.runPromise(run(process.argv[2]!))
}
