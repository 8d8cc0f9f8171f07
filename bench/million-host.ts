/**
 * A process with sessions for the million suite: with all of them, or with none but those that are active, which is what
 * the latencies among the others are compared with.
 *
 * The clock of the sessions is virtual, so that they fall asleep and expire when they are told to. It goes on by what
 * really passed while they are started, so that they do not all fall asleep in the same moment. What is measured is
 * measured by the clock of the machine.
 */
import { Effect, Layer, Queue, References, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"
import { TestClock } from "effect/testing"
import { breathe, makeIds, memory, millis, shuffle, spread } from "./measure.ts"

/** What the whole is, and how many of it are active. */
export const totalCount = 1_000_000
export const activeCount = totalCount / 100

/** What a host is asked to do. */
export type Asked =
  /** Start the next so many sessions. */
  | { readonly type: "start"; readonly count: number }
  | { readonly type: "memory"; readonly compact: boolean }
  /** Let all fall asleep but the active ones. */
  | { readonly type: "rest" }
  /** Call all active ones, one after the other. */
  | { readonly type: "call" }
  /** Call so many that sleep, which wakes them. */
  | { readonly type: "wake"; readonly count: number }
  /** Sweep when nothing has expired, and when so many have. */
  | { readonly type: "sweep"; readonly count: number }

/** What a host says: first that it is ready, then what it did. Times are in milliseconds, of calls in microseconds. */
export type Said =
  | { readonly type: "ready" }
  | { readonly type: "started"; readonly millis: number }
  | { readonly type: "memory"; readonly heap: number; readonly rss: number }
  /** How many fell asleep, how long that took, all passes and the longest of them, and a pass with nothing to do. */
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
  // It is swept when it is asked to.
  Layer.provideMerge(Sessions.layer({ maxSessions: 2_000_000, startRate: false, sweepInterval: "10 days" })),
  Layer.provideMerge(TestClock.layer())
)

/** After how many starts the clock goes on. */
const stride = 1_000

/** How often those that are to fall asleep are looked at, in milliseconds. */
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
    // Those who sleep among the others; in the one that has no others, the active ones are put to sleep.
    const sleepers = others.length === 0 ? active : others
    let startedCount = 0
    /** How long ago the first were started. */
    let span = 0
    let wokenCount = 0

    const now = Effect.sync(() => performance.now())

    /** Lets the virtual time pass, and gives how long the longest pass took. */
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

    /** Checks all of them: what is said to sleep does. */
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
      // In the one that has no others, they were woken the last time.
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
      // Those that fell asleep leave holes: what is not needed goes back to the system.
      yield* Effect.sync(() => {
        if (compact) globalThis.gc!({ type: "major", execution: "sync", flavor: "last-resort" })
      })
      return { type: "memory", heap, rss: process.memoryUsage.rss() } as const
    })

    // The compiler sees the code before anything is timed.
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
