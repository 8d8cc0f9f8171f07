/** Reports what goes wrong with the store of a kind, and that it works again: as events and log lines. */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { HostContext } from "../host/HostContext.ts"

export class StoreReports {
  private readonly kind: string
  private readonly host: HostContext
  private readonly run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>

  constructor(kind: string, host: HostContext, run: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.kind = kind
    this.host = host
    this.run = run
  }

  /** An operation failed. `retryIn`: in how many milliseconds it is retried; 0: not by itself. `id` is empty for several. */
  failed(id: string, error: unknown, retryIn = 0): void {
    const { host, kind } = this
    if (host.events.active) host.events.publish({ _tag: "SnapshotError", kind, id, at: host.date(), error, retryIn })
  }

  /** A session cannot be saved, while others can. */
  unsaved(id: string, error: unknown): void {
    this.failed(id, error)
    this.run(Effect.logError(`session ${this.kind}/${id} cannot be saved`, error))
  }

  /** The store works again; `count` sessions had been waiting. */
  recovered(count: number): void {
    const { host, kind } = this
    if (host.events.active) host.events.publish({ _tag: "SnapshotRecovery", kind, id: "", at: host.date(), count })
  }

  /** The writer itself has a bug. */
  defect(defect: unknown): void {
    this.run(Effect.logError(`the writing of snapshots of ${this.kind} has failed`, defect))
  }

  left(count: number): Effect.Effect<void> {
    return Effect.logError(`${count} sessions of ${this.kind} could not be saved before the end`)
  }
}
