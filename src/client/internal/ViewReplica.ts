/**
 * A view as the client has it: what the server said, and on top of it what unanswered actions will make of it.
 */
import * as Cause from "effect/Cause"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { SubscriptionRef } from "effect/SubscriptionRef"
import * as JsonPatch from "../../contract/JsonPatch.ts"
import type { Event, Position } from "../../contract/Live.ts"
import { backoff } from "../../internal/backoff.ts"
import type { Decoder } from "./Decoder.ts"
import { publish } from "./publish.ts"

/** Who follows a view. */
export interface Watcher {
  readonly next: (value: unknown) => void
  readonly fail: (cause: Cause.Cause<unknown>) => void
  readonly end: () => void
}

export interface ReplicaHost {
  /** Mounts the view, and gives the id of the request. */
  readonly mount: (view: string, after: Position | undefined) => string | undefined
  /** Mounts the view after a pause, if it is not by then. */
  readonly mountLater: (replica: ViewReplica, pause: number) => void
  readonly unmount: (request: string) => void
  /** The value of the server, with the updates of all unanswered actions. */
  readonly fold: (view: string, value: unknown) => unknown
  /** The view is to be shown anew, once all that has come is looked at. */
  readonly dirty: (replica: ViewReplica) => void
}

export class ViewReplica {
  readonly name: string
  readonly ref: SubscriptionRef<Option.Option<any>>
  readonly watchers = new Set<Watcher>()
  /** Scopes that use the view. */
  users = 0
  /** The request that keeps it mounted. */
  request: string | undefined = undefined
  /** Why it cannot be followed. */
  failure: Cause.Cause<unknown> | undefined = undefined
  private readonly host: ReplicaHost
  private readonly decoder: Decoder
  /** Has it failed, and has not been shown since? */
  private recovering = false
  /** How many patches did not fit, since one did. */
  private misfits = 0
  /** Is what is shown more than the server's value? */
  private isFolded = false
  private position: Position | undefined = undefined
  private json: Schema.Json = null
  /** What the server said, decoded. */
  private server: Option.Option<unknown> = Option.none()

  constructor(
    name: string,
    ref: SubscriptionRef<Option.Option<any>>,
    decoder: Decoder,
    host: ReplicaHost
  ) {
    this.name = name
    this.ref = ref
    this.decoder = decoder
    this.host = host
  }

  /** Mounts it, from where it is. */
  mount(): void {
    this.recover()
    this.request = this.host.mount(this.name, this.position)
  }

  /** Why it could not be followed counts no more. */
  recover(): void {
    if (this.failure === undefined) return
    this.failure = undefined
    this.recovering = true
  }

  /** The connection is lost: its value stays. */
  disconnected(): void {
    this.request = undefined
  }

  unmount(): void {
    if (this.request === undefined) return
    this.host.unmount(this.request)
    this.request = undefined
  }

  /** Takes what the server says. `false` when it was mounted anew, or failed, and these were of no use. */
  receive(events: ReadonlyArray<Event>): boolean {
    const before = this.json
    const isFirst = Option.isNone(this.server)
    for (const event of events) {
      if (!this.apply(event)) return this.resync()
    }
    if (this.json === before && !isFirst && !this.recovering) return true
    try {
      this.server = Option.some(this.decoder.next(this.json))
    } catch (defect) {
      this.unmount()
      this.position = undefined
      this.fail(Cause.die(defect))
      return false
    }
    this.host.dirty(this)
    return true
  }

  /** Begins with a snapshot. Where that does not help either, it is not asked for without a pause. */
  private resync(): false {
    this.unmount()
    this.position = undefined
    if (this.misfits++ === 0) this.mount()
    else this.host.mountLater(this, backoff(this.misfits, 1_000, 30_000))
    return false
  }

  private apply(event: Event): boolean {
    const { position } = this
    if (event._tag === "patch") {
      if (position === undefined || event.epoch !== position.epoch || event.from !== position.version) return false
      try {
        this.json = JsonPatch.apply(event.patch, this.json)
      } catch {
        return false
      }
      this.misfits = 0
    } else this.json = event.state
    this.position = { epoch: event.epoch, version: event.version }
    return true
  }

  /** Shows the value as it is now, if that is another one. */
  show(): void {
    if (Option.isNone(this.server)) return
    const server = this.server.value
    const value = this.host.fold(this.name, server)
    // What the server says is another value only if it is another reference.
    const isFolded = value !== server
    const compare = isFolded || this.isFolded ? isSame : Object.is
    this.isFolded = isFolded
    const shown = this.ref.value
    if (!this.recovering && Option.isSome(shown) && compare(shown.value, value)) return
    this.recovering = false
    publish(this.ref, Option.some(value))
    for (const watcher of this.watchers) watcher.next(value)
  }

  /** Adds who follows it; the newest value comes at once. */
  watch(watcher: Watcher): void {
    this.watchers.add(watcher)
    const shown = this.ref.value
    if (Option.isSome(shown)) watcher.next(shown.value)
    if (this.failure !== undefined) watcher.fail(this.failure)
  }

  /** It cannot be followed: those who do are told. It is tried again with the next connection. */
  fail(cause: Cause.Cause<unknown>): void {
    this.request = undefined
    this.failure = cause
    for (const watcher of Array.from(this.watchers)) watcher.fail(cause)
  }

  end(): void {
    for (const watcher of Array.from(this.watchers)) watcher.end()
  }
}

/** Equal, as far as that can be said. */
const isSame = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b)) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isSame(item, b[i]))
  try {
    return Equal.equals(a, b)
  } catch {
    return false
  }
}
