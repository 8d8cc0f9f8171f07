/** How long callers wait, on nodes that go on, when another node is told to stop, is killed, or stands still. */
import { Effect, Fiber, type Scope } from "effect"
import * as Machines from "./Machines.ts"

export interface Pause {
  readonly signal: NodeJS.Signals
  /** The longest wait until a call was answered, the time of attempts that failed included, in milliseconds. */
  readonly worst: number
  readonly answered: number
  readonly errors: Readonly<Record<string, number>>
}

const now = (): number => performance.now()

/** Clients of two nodes call sessions of all three while the first node gets these signals, one after the other. */
export const pauses = Effect.fnUntraced(function*(
  options: Omit<Machines.MachinesOptions, "clocks"> & {
    readonly signals: ReadonlyArray<NodeJS.Signals>
    readonly sessions: number
    /** The pause of a client between two calls, in milliseconds. */
    readonly pause: number
  }
): Effect.fn.Return<ReadonlyArray<Pause>, never, Scope.Scope> {
  const machines = yield* Machines.make({ ...options, clocks: [0, 0, 0] })
  yield* machines.settled
  const ids = Array.from({ length: options.sessions }, (_, i) => `p${i}`)
  const [first, ...others] = machines.all as [Machines.Machine, ...Array<Machines.Machine>]
  yield* Effect.forEach(ids, (id) => first.node.ask("Safe", id, { op: "start" }), { concurrency: 20, discard: true })
  return yield* Effect.forEach(options.signals, (signal, round) =>
    Effect.gen(function*() {
      yield* machines.settled
      yield* Effect.sleep(2_000)
      const traffic = { isOver: false }
      let worst = 0
      let answered = 0
      const errors: Record<string, number> = {}
      const clients = yield* Effect.forkScoped(Effect.forEach(ids, (id, i) =>
        Effect.gen(function*() {
          for (let sequence = 1; !traffic.isOver; sequence++) {
            const began = now()
            const { node } = others[i % others.length]!
            const client = `${signal}-${round}`
            for (let again = false;; again = true) {
              const outcome = yield* node.ask("Safe", id, { op: "once", client, sequence, again }, 30_000)
              if ("answer" in outcome) break
              errors[outcome.error] = (errors[outcome.error] ?? 0) + 1
            }
            answered++
            worst = Math.max(worst, now() - began)
            yield* Effect.sleep(options.pause)
          }
        }), { concurrency: "unbounded", discard: true }))
      yield* Effect.sleep(1_000)
      first.away = 3_000
      first.node.signal(signal)
      if (signal === "SIGSTOP") {
        yield* Effect.sleep(15_000)
        first.node.signal("SIGCONT")
      } else yield* first.node.gone
      yield* Effect.sleep(signal === "SIGTERM" ? 1_000 : 8_000)
      traffic.isOver = true
      yield* Fiber.await(clients)
      return { signal, worst: Math.round(worst), answered, errors }
    }))
})
