/** A process of `nodeProgram.ts`, as its parent sees it. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import type { Action, Answer, Command, NodeSettings, Said } from "../nodeProgram.ts"

/** Errors of its own: `Away`: there is no process. `Gone`: the process has ended before it answered. `Late`: it has not answered in time. */
export type Outcome = { readonly answer: Answer } | { readonly error: string }

export class NodeProcess {
  /** How many places are open there, of how many, and how many nodes it knows. */
  open = 0
  count = 0
  nodes = 0
  isGone = false
  hasJoined = false
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, (outcome: Outcome) => void>()
  private readonly onGone: Array<() => void> = []
  private last = 0

  private constructor(program: string, settings: NodeSettings, log: string) {
    const file = openSync(log, "a")
    this.child = fork(program, [JSON.stringify(settings)], {
      execArgv: ["--no-warnings"],
      stdio: ["ignore", file, file, "ipc"]
    })
    closeSync(file)
    this.child.on("error", () => {})
    this.child.on("message", (said: Said) => {
      if (!Array.isArray(said)) {
        Object.assign(this, said)
        if (this.open > 0) this.hasJoined = true
        return
      }
      const [number, outcome] = said as Extract<Said, ReadonlyArray<unknown>>
      this.waiting.get(number)?.(outcome)
    })
    this.child.once("exit", () => {
      this.isGone = true
      this.open = 0
      for (const resume of this.waiting.values()) resume({ error: "Gone" })
      for (const gone of this.onGone) gone()
    })
  }

  /** Starts it. It is killed when the scope closes. */
  static readonly start = (
    program: string,
    settings: NodeSettings,
    log: string
  ): Effect.Effect<NodeProcess, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => new NodeProcess(program, settings, log)),
      (node) => Effect.andThen(Effect.sync(() => node.signal("SIGKILL")), node.gone)
    )

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  readonly gone: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.isGone) resume(Effect.void)
    else this.onGone.push(() => resume(Effect.void))
  })

  /** Tells it to do something. Never fails. */
  ask(kind: Command[1], id: string, action: Action, patience = 6_000): Effect.Effect<Outcome> {
    return Effect.callback((resume) => {
      if (this.isGone) return resume(Effect.succeed({ error: "Away" }))
      const number = ++this.last
      const done = (outcome: Outcome) => {
        clearTimeout(timer)
        this.waiting.delete(number)
        resume(Effect.succeed(outcome))
      }
      const timer = setTimeout(() => done({ error: "Late" }), patience)
      this.waiting.set(number, done)
      this.child.send([number, kind, id, action] satisfies Command, (error) => {
        if (error !== null) done({ error: "Gone" })
      })
      return Effect.sync(() => {
        clearTimeout(timer)
        this.waiting.delete(number)
      })
    })
  }
}
