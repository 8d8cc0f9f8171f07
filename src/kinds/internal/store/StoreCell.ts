/**
 * What a store keeps of one session besides its state: history, work under way, and when actions were last handled.
 */
import type * as Fiber from "effect/Fiber"
import { nobody, observe } from "../../../internal/guard.ts"
import type { Action } from "../../../store/Action.ts"
import { History } from "../../../store/History.ts"
import { reduce, type Scope, type Slices } from "./routing.ts"

export class StoreCell {
  /** What a reset goes back to; `undefined` when that is not known, as for what came from the store. */
  readonly initial: Slices | undefined
  readonly history: History<Slices, Scope>
  /** The state of version 0: the initial one, or what was restored. */
  private first: Slices
  /** The state as it is now, for work that runs beside the session. */
  state: Slices
  /** The version of that state. */
  version = 0
  private lastVersion = 0
  /** When a throttled action was last handled. */
  readonly handledAt = new Map<string, number>()
  /** What work dispatches belongs to the time from one beginning to the next. */
  era: object = {}
  private readonly work = new Map<string, Set<Fiber.Fiber<unknown, unknown>>>()

  /** @param reach says what an action reaches, where a step does not say it */
  constructor(state: Slices, isInitial: boolean, historyLimit: number, reach: (action: Action) => Scope) {
    this.initial = isInitial ? state : undefined
    this.first = state
    this.state = state
    this.history = new History(historyLimit, (state, action, scope) => {
      const { observers, targets } = scope ?? reach(action)
      return reduce(targets, observers, state, action)
    })
  }

  /** Notes what an action made of the state. `scope` is what it reached, where that is not all it could reach. */
  record(action: Action, state: Slices, at: number, traceId: string | undefined, scope: Scope | undefined): void {
    const base = this.state
    const from = this.version
    this.version = ++this.lastVersion
    this.state = state
    this.history.push(this.version, from, base, action, at, traceId, scope)
  }

  /** The state of a version that is kept; `undefined` when it is not. */
  look(version: number): { readonly state: Slices } | undefined {
    return version === 0 ? { state: this.first } : this.history.find(version)
  }

  /** Goes to a version that is kept; `undefined` when it is not. */
  travel(version: number): Slices | undefined {
    const found = this.look(version)
    if (found === undefined) return undefined
    this.version = version
    this.state = found.state
    return found.state
  }

  /** Begins anew with this state. What runs is cancelled. */
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

  /** Interrupts the work of this id and gives how much there was. */
  cancel(id: string): number {
    const fibers = this.work.get(id)
    if (fibers === undefined) return 0
    this.work.delete(id)
    // Each takes itself out when it has ended.
    const count = fibers.size
    for (const fiber of Array.from(fibers)) fiber.interruptUnsafe()
    return count
  }
}
