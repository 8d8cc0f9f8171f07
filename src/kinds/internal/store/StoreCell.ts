/**
 * The data of one session of a store besides its state: history, running work, and the times of throttled actions.
 */
import type * as Fiber from "effect/Fiber"
import { nobody, observe } from "../../../internal/guard.ts"
import type { Action } from "../../../store/Action.ts"
import { History } from "../../../store/History.ts"
import type { Step } from "./definition.ts"
import { reduce, type Scope, type Slices } from "./routing.ts"

export class StoreCell {
  /** The state that a reset returns to; `undefined` when it is unknown, because the session was restored. */
  readonly initial: Slices | undefined
  readonly history: History<Slices, Scope>
  /** The state of version 0: the initial one, or what was restored. */
  private first: Slices
  /** The present state, for work that runs beside the session. */
  state: Slices
  /** The version of that state. */
  version = 0
  private lastVersion = 0
  /** When a throttled action was last handled. */
  readonly handledAt = new Map<string, number>()
  /** The time between two restarts: actions that work of an earlier era dispatched are stale. */
  era: object = {}
  private readonly work = new Map<string, Set<Fiber.Fiber<unknown, unknown>>>()

  /** @param reach what an action reaches, for steps that do not say it */
  constructor(state: Slices, isInitial: boolean, historyLimit: number, reach: (action: Action) => Scope) {
    this.initial = isInitial ? state : undefined
    this.first = state
    this.state = state
    this.history = new History(historyLimit, (state, action, scope) => {
      const { observers, targets } = scope ?? reach(action)
      return reduce(targets, observers, state, action)
    })
  }

  /** Records a step. `scope` is what the action reached, if that is less than it could reach. */
  record(action: Action, state: Slices, at: number, traceId: string | undefined, scope: Scope | undefined): void {
    const base = this.state
    const from = this.version
    this.version = ++this.lastVersion
    this.state = state
    this.history.push(this.version, from, base, action, at, traceId, scope)
  }

  /** The state of a version; `undefined` when the history does not have it. */
  look(version: number): { readonly state: Slices } | undefined {
    return version === 0 ? { state: this.first } : this.history.find(version)
  }

  /** The steps of the history, oldest first. */
  steps(): ReadonlyArray<typeof Step.Type> {
    return this.history.list().map(({ action, at, from, traceId, version }) => ({
      version,
      from,
      type: action.type,
      at,
      traceId,
      current: version === this.version
    }))
  }

  /** Goes to a version; `undefined` when the history does not have it. */
  travel(version: number): Slices | undefined {
    const found = this.look(version)
    if (found === undefined) return undefined
    this.version = version
    this.state = found.state
    return found.state
  }

  /** Starts again with this state. Cancels all work. */
  restart(state: Slices): void {
    for (const id of Array.from(this.work.keys())) this.cancel(id)
    this.era = {}
    this.history.clear()
    this.handledAt.clear()
    this.version = 0
    this.lastVersion = 0
    this.first = state
    this.state = state
  }

  track(id: string, fiber: Fiber.Fiber<unknown, unknown>): void {
    const fibers = this.work.get(id) ?? new Set()
    this.work.set(id, fibers.add(fiber))
    observe(nobody, fiber, () => {
      fibers.delete(fiber)
      if (fibers.size === 0 && this.work.get(id) === fibers) this.work.delete(id)
    })
  }

  /** Interrupts the work of this id and gives how many fibers it had. */
  cancel(id: string): number {
    const fibers = this.work.get(id)
    if (fibers === undefined) return 0
    this.work.delete(id)
    // A fiber that ends removes itself from the set.
    const count = fibers.size
    for (const fiber of Array.from(fibers)) fiber.interruptUnsafe()
    return count
  }
}
