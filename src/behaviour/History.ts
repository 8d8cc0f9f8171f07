/**
 * What happened to a store, as a bounded ring.
 *
 * States share structure, so an entry costs little more than the part that its action changed.
 *
 * @since 0.1.0
 */
import type { Action } from "./Action.ts"

/**
 * One step of a history.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry<out State> {
  /** Counts the actions that changed the state, from 1; 0 is the first state. */
  readonly version: number
  /** The version on which the action built: the one before, unless somebody had travelled. */
  readonly from: number
  readonly action: Action
  /** The state after the action. */
  readonly state: State
  /** Milliseconds since 1970. */
  readonly at: number
  /** The trace in which the action was dispatched, if there was one. */
  readonly traceId: string | undefined
}

/**
 * A ring of the latest steps.
 *
 * @since 0.1.0
 * @category models
 */
export class History<State> {
  readonly limit: number
  private readonly ring: Array<Entry<State>> = []
  private next = 0

  /** @param limit how many steps are kept; 0 keeps none */
  constructor(limit: number) {
    this.limit = limit
  }

  /** Adds a step; the oldest one makes room. */
  push(entry: Entry<State>): void {
    if (this.limit === 0) return
    this.ring[this.next] = entry
    this.next = (this.next + 1) % this.limit
  }

  /** The steps that are kept, oldest first. */
  list(): ReadonlyArray<Entry<State>> {
    return this.ring.length < this.limit
      ? [...this.ring]
      : [...this.ring.slice(this.next), ...this.ring.slice(0, this.next)]
  }

  /** The step with this version, while it is kept. */
  find(version: number): Entry<State> | undefined {
    return this.ring.find((entry) => entry.version === version)
  }

  clear(): void {
    this.ring.length = 0
    this.next = 0
  }
}
