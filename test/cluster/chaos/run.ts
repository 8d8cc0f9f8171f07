/**
 * Random faults under constant traffic, and then the question whether every counter is right.
 *
 * Clients add to counters of three kinds: those whose additions are numbered, which have to be exact; those whose additions are
 * plain calls, of which it is sometimes unknown whether they were done; and those that are written behind, which may lose
 * answered additions to a crash, but to nothing else.
 */
import { Effect, Fiber, type Scope } from "effect"
import { type Expected, lost, problems, type Seen } from "./history.ts"
import * as Machines from "./Machines.ts"
import type { Machine } from "./Machines.ts"
import type { Outcome } from "./NodeProcess.ts"
import { type Fault, plan } from "./plan.ts"
import { Random } from "./Random.ts"

export interface RunOptions extends Omit<Machines.MachinesOptions, "clocks"> {
  readonly seed: number
  /** For how many seconds there are faults. */
  readonly seconds: number
  readonly isGentle: boolean
  /** After how many milliseconds others take the places of a node. */
  readonly expiration: number
  readonly sessions: number
  /** Is told what happens. */
  readonly log: (line: string) => void
}

export interface Report {
  readonly operations: number
  readonly answered: number
  readonly unknown: number
  /** Answered additions that were written behind and are not there any more. */
  readonly lostBehind: number
  readonly faults: Readonly<Record<string, number>>
  readonly errors: Readonly<Record<string, number>>
  /** The longest time that a client waited until it was answered, in milliseconds. */
  readonly worst: number
  readonly problems: ReadonlyArray<string>
}

type Mode = "once" | "call" | "behind"

class Counter {
  readonly id: string
  readonly mode: Mode
  readonly kind: "Safe" | "Quick"
  readonly seen: Array<Seen> = []
  unknown = 0
  final = -1

  constructor(id: string, mode: Mode) {
    this.id = id
    this.mode = mode
    this.kind = mode === "behind" ? "Quick" : "Safe"
  }

  expected(isGentle: boolean): Expected {
    return { final: this.final, unknown: this.unknown, mayLose: this.mode === "behind" && !isGentle }
  }
}

const now = (): number => performance.now()

/** Errors that say that nothing was done. */
const undone: ReadonlySet<string> = new Set(["NodeUnavailable", "MailboxFull", "Closed", "Away"])

/** Errors that these clients cannot get: their sessions are never ended, and they number their additions one by one. */
const impossible: ReadonlySet<string> = new Set([
  "SessionNotFound",
  "ActionOutOfOrder",
  "ActionForgotten",
  "SessionCrashed"
])

class Run {
  readonly counters: ReadonlyArray<Counter>
  readonly faults: Record<string, number> = {}
  readonly errors: Record<string, number> = {}
  readonly strange: Array<string> = []
  operations = 0
  worst = 0
  isOver = false
  /** How often a node that had joined was told to end. */
  private stops = 0
  private readonly began = now()
  private readonly options: RunOptions
  private readonly machines: Machines.Machines

  constructor(options: RunOptions, machines: Machines.Machines) {
    this.options = options
    this.machines = machines
    const modes: ReadonlyArray<Mode> = ["once", "call", "behind"]
    this.counters = Array.from(
      { length: options.sessions },
      (_, i) => new Counter(`s${i}`, modes[i % modes.length]!)
    )
  }

  private log(line: string): void {
    this.options.log(`${((now() - this.began) / 1000).toFixed(1)} ${line}`)
  }

  // -------------------------------------------------------------------------------------------------------
  // traffic
  // -------------------------------------------------------------------------------------------------------

  start(counter: Counter): Effect.Effect<void> {
    return Effect.flatMap(
      this.machines.all[0]!.node.ask(counter.kind, counter.id, { op: "start" }),
      (outcome) => "error" in outcome ? Effect.die(new Error(`start: ${outcome.error}`)) : Effect.void
    )
  }

  client(counter: Counter, name: string, random: Random): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      let sequence = 0
      while (!this.isOver) {
        yield* Effect.sleep(random.between(1, 40))
        if (random.next() < 0.25) yield* this.look(counter, random)
        else if (counter.mode === "once") yield* this.addOnce(counter, name, ++sequence, random)
        else yield* this.add(counter, random)
      }
    })
  }

  private ask(counter: Counter, action: Parameters<Machine["node"]["ask"]>[2], random: Random): Effect.Effect<Outcome> {
    this.operations++
    const { node } = random.one(this.machines.all)
    return Effect.tap(node.ask(counter.kind, counter.id, action), (outcome) =>
      Effect.sync(() => {
        if (!("error" in outcome)) return
        this.errors[outcome.error] = (this.errors[outcome.error] ?? 0) + 1
        if (impossible.has(outcome.error) || outcome.error.startsWith("a defect")) {
          this.strange.push(`${outcome.error} from ${counter.id} at ${now().toFixed(1)}`)
        }
      }))
  }

  private saw(counter: Counter, began: number, isAddition: boolean, outcome: Outcome): void {
    if (!("answer" in outcome)) return
    const ended = now()
    this.worst = Math.max(this.worst, ended - began)
    counter.seen.push({ ...outcome.answer, isAddition, began, ended })
  }

  private look(counter: Counter, random: Random): Effect.Effect<void> {
    return Effect.suspend(() => {
      const began = now()
      return Effect.map(
        this.ask(counter, { op: "look" }, random),
        (outcome) => this.saw(counter, began, false, outcome)
      )
    })
  }

  private add(counter: Counter, random: Random): Effect.Effect<void> {
    return Effect.suspend(() => {
      const began = now()
      return Effect.map(this.ask(counter, { op: "add" }, random), (outcome) => {
        if ("error" in outcome && !undone.has(outcome.error)) counter.unknown++
        this.saw(counter, began, true, outcome)
      })
    })
  }

  /** Sends it until it is answered. */
  private addOnce(counter: Counter, client: string, sequence: number, random: Random): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const began = now()
      for (let again = false;; again = true) {
        const outcome = yield* this.ask(counter, { op: "once", client, sequence, again }, random)
        if ("answer" in outcome) return this.saw(counter, began, true, outcome)
        yield* Effect.sleep(random.between(10, 100))
      }
    })
  }

  // -------------------------------------------------------------------------------------------------------
  // faults
  // -------------------------------------------------------------------------------------------------------

  /** One fault after the other. The last one is made good before this is interrupted. */
  disturb(next: () => Fault): Effect.Effect<void> {
    return Effect.forever(Effect.suspend(() => {
      const fault = next()
      return Effect.andThen(Effect.sleep(fault.after), Effect.uninterruptible(this.cause(fault)))
    }))
  }

  private cause(fault: Fault): Effect.Effect<void> {
    return Effect.gen({ self: this }, function*() {
      const { after: _, tag, ...rest } = fault
      this.log(`${tag} ${JSON.stringify(rest)}`)
      this.faults[tag] = (this.faults[tag] ?? 0) + 1
      if (fault.tag === "database restart") return yield* this.machines.restartDatabase(fault.away)
      const machine = this.machines.all[fault.machine]!
      switch (fault.tag) {
        case "SIGTERM":
        case "SIGKILL": {
          const { node } = machine
          Object.assign(machine, { away: fault.away, leavesFirst: fault.leavesFirst })
          if (node.hasJoined) this.stops++
          node.signal(fault.tag)
          yield* node.gone
          return
        }
        case "SIGSTOP": {
          machine.node.signal("SIGSTOP")
          yield* Effect.sleep(fault.for)
          machine.node.signal("SIGCONT")
          return
        }
        case "database cut": {
          machine.database.cut(fault.cut)
          yield* Effect.sleep(fault.for)
          machine.database.heal()
          return
        }
        case "peers cut": {
          const other = this.machines.all[fault.other]!
          other.peers.cut(fault.cut, String(machine.port))
          if (!fault.isOneWay) machine.peers.cut(fault.cut, String(other.port))
          yield* Effect.sleep(fault.for)
          other.peers.heal(String(machine.port))
          machine.peers.heal(String(other.port))
        }
      }
    })
  }

  /** Says what the cluster does, every other second. */
  get watch(): Effect.Effect<void> {
    let before = 0
    return Effect.forever(Effect.gen({ self: this }, function*() {
      yield* Effect.sleep(2_000)
      const answered = this.counters.reduce((sum, { seen }) => sum + seen.length, 0)
      const places = this.machines.all.map(({ node }) => node.isGone ? "gone" : node.open)
      this.log(`    ${(answered - before) / 2} answers a second, places ${places.join("+")}`)
      before = answered
    }))
  }

  // -------------------------------------------------------------------------------------------------------
  // the end
  // -------------------------------------------------------------------------------------------------------

  readAll(): Effect.Effect<void> {
    const { node } = this.machines.all[0]!
    return Effect.forEach(
      this.counters,
      (counter) =>
        Effect.map(node.ask(counter.kind, counter.id, { op: "look" }), (outcome) => {
          if ("answer" in outcome) counter.final = outcome.answer.count
          else this.strange.push(`${counter.id} cannot be read at the end: ${outcome.error}`)
        }),
      { concurrency: 20, discard: true }
    )
  }

  report(): Report {
    const { isGentle } = this.options
    const sum = (f: (counter: Counter) => number) => this.counters.reduce((all, counter) => all + f(counter), 0)
    return {
      operations: this.operations,
      answered: sum(({ seen }) => seen.length),
      unknown: sum(({ unknown }) => unknown),
      lostBehind: sum((counter) =>
        counter.mode === "behind" && counter.final >= 0 ? lost(counter.seen, counter.expected(isGentle)) : 0
      ),
      faults: this.faults,
      errors: this.errors,
      worst: Math.round(this.worst),
      problems: [
        ...this.strange,
        ...this.machines.ends > this.stops ? [`${this.machines.ends - this.stops} nodes ended by themselves`] : [],
        ...this.counters.flatMap((counter) =>
          counter.final < 0
            ? []
            : problems(counter.seen, counter.expected(isGentle)).map((one) => `${counter.id} (${counter.mode}): ${one}`)
        )
      ]
    }
  }
}

/** How long a cluster without faults may take to be whole again, in milliseconds. */
const patience = 60_000

export const run = Effect.fnUntraced(function*(options: RunOptions): Effect.fn.Return<Report, never, Scope.Scope> {
  const { expiration, isGentle, seconds, seed } = options
  const random = new Random(seed ^ 0x5bd1e995)
  const clocks = Array.from({ length: 3 }, () => random.between(-30_000, 30_000))
  options.log(`seed ${seed}, clocks ahead by ${clocks.join(", ")} ms`)
  const machines = yield* Machines.make({ ...options, clocks })
  yield* machines.settled
  const run = new Run(options, machines)
  yield* Effect.forEach(run.counters, (counter) => run.start(counter), { concurrency: 20, discard: true })
  // What is written behind is written.
  yield* Effect.sleep(1_000)
  const traffic = yield* Effect.forkScoped(Effect.forEach(
    run.counters.flatMap((counter) =>
      [1, 2].map((n) => run.client(counter, `${counter.id}-${n}`, new Random(random.next() * 2 ** 31)))
    ),
    (client) => client,
    { concurrency: "unbounded", discard: true }
  ))
  yield* Effect.forkScoped(run.watch)
  const { between, processes } = plan({ seed, machines: 3, expiration, isGentle })
  const faults = yield* Effect.forkScoped(
    Effect.all([run.disturb(processes), run.disturb(between)], { concurrency: 2, discard: true })
  )
  yield* Effect.sleep(seconds * 1_000)
  yield* Fiber.interrupt(faults)
  const inTime = (what: string, effect: Effect.Effect<unknown>) =>
    Effect.timeoutOrElse(Effect.asVoid(effect), {
      duration: patience,
      orElse: () => Effect.sync(() => void run.strange.push(`${what} within ${patience} ms after the last fault`))
    })
  yield* inTime("the places were not shared out", machines.settled)
  run.isOver = true
  yield* inTime("not every addition was answered", Fiber.await(traffic))
  yield* run.readAll()
  return run.report()
})
