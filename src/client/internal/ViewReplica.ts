/**
 * A view as the client has it: the value of the server, and the value that is shown. It takes both from `Views` and calls nobody
 * but its watchers.
 */
import * as Cause from "effect/Cause"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { SubscriptionRef } from "effect/SubscriptionRef"
import * as JsonPatch from "../../contract/JsonPatch.ts"
import type { Event, Position } from "../../contract/Live.ts"
import type { Decoder } from "./Decoder.ts"
import { publish } from "./publish.ts"

/** Who follows a view. */
export interface Watcher {
  readonly next: (value: unknown) => void
  readonly fail: (cause: Cause.Cause<unknown>) => void
  readonly end: () => void
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
  /** Where the server's value stands; `undefined`: the next one must be a snapshot. */
  position: Position | undefined = undefined
  /** The value of the server, decoded. */
  server: Option.Option<unknown> = Option.none()
  /** How many patches did not fit, since one did. */
  misfits = 0
  private readonly decoder: Decoder
  /** The view has failed, and has not been shown since. */
  private recovering = false
  /** What is shown is more than the server's value. */
  private isFolded = false
  private json: Schema.Json = null

  constructor(name: string, ref: SubscriptionRef<Option.Option<any>>, decoder: Decoder) {
    this.name = name
    this.ref = ref
    this.decoder = decoder
  }

  /** Forgets why the view failed, so that it is shown again. */
  recover(): void {
    if (this.failure === undefined) return
    this.failure = undefined
    this.recovering = true
  }

  /**
   * Takes events of the server. Returns whether the value has changed; `"misfit"` when a patch does not fit, or why the value
   * cannot be decoded. The view then needs a snapshot.
   */
  receive(events: ReadonlyArray<Event>): "unchanged" | "changed" | "misfit" | Cause.Cause<unknown> {
    const before = this.json
    const isFirst = Option.isNone(this.server)
    for (const event of events) {
      if (this.apply(event)) continue
      this.misfits++
      this.position = undefined
      return "misfit"
    }
    if (this.json === before && !isFirst && !this.recovering) return "unchanged"
    try {
      this.server = Option.some(this.decoder.next(this.json))
      return "changed"
    } catch (defect) {
      this.position = undefined
      return Cause.die(defect)
    }
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

  /** Shows a value: that of the server with the updates of unanswered actions. Nothing happens if the same is shown. */
  show(value: unknown): void {
    // What the server says is another value only if it is another reference.
    const isFolded = value !== Option.getOrUndefined(this.server)
    const compare = isFolded || this.isFolded ? isSame : Object.is
    this.isFolded = isFolded
    const shown = this.ref.value
    if (!this.recovering && Option.isSome(shown) && compare(shown.value, value)) return
    this.recovering = false
    publish(this.ref, Option.some(value))
    for (const watcher of this.watchers) watcher.next(value)
  }

  /** Adds a watcher, which gets the newest value at once. */
  watch(watcher: Watcher): void {
    this.watchers.add(watcher)
    const shown = this.ref.value
    if (Option.isSome(shown)) watcher.next(shown.value)
    if (this.failure !== undefined) watcher.fail(this.failure)
  }

  /** Notifies the watchers that the view cannot be followed. The next connection tries again. */
  fail(cause: Cause.Cause<unknown>): void {
    this.request = undefined
    this.failure = cause
    for (const watcher of Array.from(this.watchers)) watcher.fail(cause)
  }

  end(): void {
    for (const watcher of Array.from(this.watchers)) watcher.end()
  }
}

/** Equal, as far as that can be decided. */
const isSame = (a: unknown, b: unknown): boolean => {
  if (Object.is(a, b)) return true
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => isSame(item, b[i]))
  try {
    return Equal.equals(a, b)
  } catch {
    return false
  }
}
