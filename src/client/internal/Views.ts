/**
 * The views that are in use: mounts them, and shows their values with the optimistic updates of unanswered actions.
 *
 * Calls go one way: the views ask their replicas to take and show values, and the connection's requests to mount them.
 */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { SubscriptionRef } from "effect/SubscriptionRef"
import * as Live from "../../contract/Live.ts"
import { Busy, SessionGone } from "../../contract/LiveError.ts"
import { backoff } from "../../internal/backoff.ts"
import { Decoder } from "./Decoder.ts"
import { errorOf, type PendingAction } from "./Outbox.ts"
import type { Requests } from "./Requests.ts"
import type { Scheduler } from "./Scheduler.ts"
import { ViewReplica } from "./ViewReplica.ts"
import * as Wire from "./Wire.ts"

export interface ViewsOptions {
  readonly schemas: Live.ViewSchemas
  readonly requests: Requests
  readonly timers: Scheduler
  /** Runs the function later, in a batch. */
  readonly after: (millis: number, f: () => void) => () => void
  /** The actions that have no answer yet, in their order. */
  readonly actions: ReadonlyArray<PendingAction>
}

/**
 * How long a change waits for the answer of the action that may have caused it: for an action that was sent once, and for
 * one that was sent again. Milliseconds.
 */
const answerDelay = 50
const againDelay = 1_000

/** The pause before a view is mounted again that has ended for no reason. Milliseconds. */
const endedPause = 1_000

const decodeExit = Wire.exitDecoder(Live.view)

export class Views {
  private readonly options: ViewsOptions
  private readonly replicas = new Map<string, ViewReplica>()
  /** The views that are to be shown at the end of the batch. */
  private readonly stale = new Set<ViewReplica>()
  /** The views that wait for the answer of an action before they are shown, and how to cancel the wait. */
  private readonly held = new Map<ViewReplica, () => void>()
  private isOpen = false

  constructor(options: ViewsOptions) {
    this.options = options
  }

  // -------------------------------------------------------------------------------------------------------
  // users
  // -------------------------------------------------------------------------------------------------------

  find(name: string): ViewReplica | undefined {
    return this.replicas.get(name)
  }

  add(name: string, ref: SubscriptionRef<Option.Option<any>>): ViewReplica {
    const replica = new ViewReplica(name, ref, new Decoder(this.options.schemas[name]!))
    this.replicas.set(name, replica)
    return replica
  }

  remove(replica: ViewReplica): void {
    this.replicas.delete(replica.name)
    this.stale.delete(replica)
    this.letGo(replica)
    this.unmount(replica)
  }

  /** Forgets why views failed, so that they are shown again. */
  recover(): void {
    for (const replica of this.replicas.values()) replica.recover()
  }

  fail(cause: Cause.Cause<unknown>): void {
    for (const replica of this.replicas.values()) replica.fail(cause)
  }

  end(): void {
    for (const replica of this.replicas.values()) replica.end()
  }

  // -------------------------------------------------------------------------------------------------------
  // the connection
  // -------------------------------------------------------------------------------------------------------

  connected(): void {
    this.isOpen = true
    for (const replica of this.replicas.values()) this.mount(replica)
  }

  /** The connection is lost: the values stay. */
  disconnected(): void {
    this.isOpen = false
    for (const replica of this.replicas.values()) replica.request = undefined
  }

  /** Mounts a view, from the position that it has. */
  mount(replica: ViewReplica): void {
    replica.recover()
    const payload = JSON.stringify({ view: replica.name, after: replica.position })
    replica.request = this.options.requests.send(Live.view._tag, payload, [], {
      decode: decodeExit,
      chunk: (events) => this.received(replica, events),
      exit: (exit) => this.ended(replica, exit)
    })
  }

  private mountLater(replica: ViewReplica, pause: number): void {
    this.options.after(pause, () => {
      if (!this.isOpen || this.replicas.get(replica.name) !== replica || replica.request !== undefined) return
      this.mount(replica)
    })
  }

  private unmount(replica: ViewReplica): void {
    if (replica.request === undefined) return
    this.options.requests.interrupt(replica.request)
    replica.request = undefined
  }

  /** Takes events of the server. Returns whether they are to be acknowledged: not when the view was unmounted over them. */
  private received(replica: ViewReplica, events: ReadonlyArray<Live.Event>): boolean {
    const outcome = replica.receive(events)
    if (outcome === "unchanged") return true
    if (outcome === "changed") {
      this.changed(replica)
      return true
    }
    this.unmount(replica)
    if (outcome !== "misfit") replica.fail(outcome)
    // The view begins again with a snapshot. If patches still do not fit then, there is a pause.
    else if (replica.misfits === 1) this.mount(replica)
    else this.mountLater(replica, backoff(replica.misfits, 1_000, 30_000))
    return false
  }

  private ended(replica: ViewReplica, exit: Exit.Exit<unknown, unknown>): void {
    replica.request = undefined
    const error = errorOf(exit)
    // The end of the session concerns all views: they fail together.
    if (error instanceof SessionGone) return
    if (error instanceof Busy) this.mountLater(replica, error.retryAfter)
    else if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) replica.fail(exit.cause)
    // A view should not end without a failure.
    else this.mountLater(replica, endedPause)
  }

  // -------------------------------------------------------------------------------------------------------
  // showing
  // -------------------------------------------------------------------------------------------------------

  /** An action was added, or is answered: its optimistic updates apply, or no longer do. */
  touch(action: PendingAction): void {
    for (const name of Object.keys(action.optimistic)) {
      const replica = this.replicas.get(name)
      if (replica !== undefined) this.stale.add(replica)
    }
  }

  /**
   * The server's value has changed. A change that an action made comes shortly before its answer. Shown at once, the change
   * would be seen twice: in the value of the server, and in the optimistic update of the action, which still has no answer.
   * So the view waits for the answer, but not for long.
   */
  private changed(replica: ViewReplica): void {
    const { name } = replica
    let delay = 0
    for (const { again, optimistic, request } of Option.isSome(replica.ref.value) ? this.options.actions : []) {
      if (!Object.hasOwn(optimistic, name)) continue
      // After a loss, the change may come long before the answer: the action has to be sent again first.
      if (again) delay = againDelay
      else if (request !== undefined) delay ||= answerDelay
    }
    if (delay === 0) this.stale.add(replica)
    else if (!this.held.has(replica)) {
      this.held.set(replica, this.options.after(delay, () => this.stale.add(replica)))
    }
  }

  /** Takes the views that are to be shown. */
  *takeStale(): Iterable<ViewReplica> {
    for (const replica of this.stale) {
      this.stale.delete(replica)
      yield replica
    }
  }

  show(replica: ViewReplica): void {
    this.letGo(replica)
    if (Option.isSome(replica.server)) replica.show(this.fold(replica.name, replica.server.value))
  }

  private letGo(replica: ViewReplica): void {
    this.held.get(replica)?.()
    this.held.delete(replica)
  }

  /** The value of the server, with the optimistic updates of all unanswered actions. */
  private fold(view: string, value: unknown): unknown {
    for (const action of this.options.actions) {
      const update = Object.hasOwn(action.optimistic, view) ? action.optimistic[view] : undefined
      if (update === undefined) continue
      try {
        value = update(value)
      } catch (defect) {
        if (!action.logged) {
          this.options.timers.log(`the optimistic update of ${view} by ${action.tag} has thrown`, defect)
        }
        action.logged = true
      }
    }
    return value
  }
}
