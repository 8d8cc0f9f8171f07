/**
 * What a store keeps of one session besides its state: history, work under way, and when actions were last handled.
 */
import type * as Fiber from "effect/Fiber"
import type { Action } from "../../behaviour/Action.ts"
import { History } from "../../behaviour/History.ts"
import type { Slices } from "./routing.ts"

export class StoreCell {
  readonly initial: Slices
  readonly history: History<Slices>
  /** The state as it is now, for work that runs beside the session. */
  state: Slices
  /** The version of that state. */
  version = 0
  private lastVersion = 0
  /** When a throttled action was last handled. */
  readonly handledAt = new Map<string, number>()
  private readonly work = new Map<string, Set<Fiber.Fiber<unknown, unknown>>>()

  constructor(initial: Slices, historyLimit: number) {
    this.initial = initial
    this.state = initial
    this.history = new History(historyLimit)
  }

  /** Notes what an action made of the state. */
  record(action: Action, state: Slices, at: number, traceId: string | undefined): void {
    if (state === this.state) return
    const from = this.version
    this.version = ++this.lastVersion
    this.state = state
    this.history.push({ version: this.version, from, action, state, at, traceId })
  }

  /** Goes to a version that is kept; `undefined` when it is not. */
  travel(version: number): Slices | undefined {
    const state = version === 0 ? this.initial : this.history.find(version)?.state
    if (state === undefined) return undefined
    this.version = version
    this.state = state
    return state
  }

  /** Begins anew with this state. */
  restart(state: Slices): void {
    this.history.clear()
    this.handledAt.clear()
    this.version = 0
    this.lastVersion = 0
    this.state = state
  }

  track(id: string, fiber: Fiber.Fiber<unknown, unknown>): void {
    const fibers = this.work.get(id) ?? new Set()
    this.work.set(id, fibers.add(fiber))
    fiber.addObserver(() => {
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

  cancelAll(): void {
    for (const id of Array.from(this.work.keys())) this.cancel(id)
  }
}
