/**
 * The timers of a session: each sends a message to its own session, once or repeatedly.
 *
 *                    ┌──────── its message waits: no second one ────────┐
 *                    ▼                                                  │
 *   set ──→ in the wheel ──── due ────→ message in the mailbox ──→ handled
 *                    │                        │
 *                    └── cancelled, replaced, the session ended: a message that waits is skipped
 *
 * A repeating timer keeps its phase: before it sends its message, it moves to the next of its times in the future. A timer that
 * fires once exists until its message was handled, so that a snapshot in between has it.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type { Timer } from "../../../contract/Session.ts"
import { backoff } from "../../../internal/backoff.ts"
import { Envelope, type Route, settled, waiting } from "../messages/Envelope.ts"
import { type MailboxOwner, withdrawn } from "../messages/withdrawn.ts"
import { ending, type Status } from "../session/status.ts"
import { Deadline, type Deadlines } from "./Deadlines.ts"

/** The first pause before a timer tries again when the mailbox is full, and the longest, in milliseconds. */
const firstPause = 10
const longestPause = 1_000

/** The settings of a timer. */
export interface Setting {
  readonly route: Route
  readonly payload: unknown
  /** Milliseconds until it first fires; negative: it is overdue. */
  readonly delay: number
  /** Its interval in milliseconds; 0: it fires once. */
  readonly every: number
  readonly key: string | undefined
}

/** What timers need of their session. */
interface TimerOwner extends MailboxOwner {
  readonly host: { readonly deadlines: Deadlines; now(): number }
  readonly kind: { readonly counters: { casts: number } }
  readonly status: Status
  take(envelope: Envelope): boolean
  /** A stored part other than the state has changed. */
  metaChanged(): void
}

export class SelfTimer extends Deadline implements Timer {
  private readonly timers: SelfTimers
  private readonly session: TimerOwner
  readonly route: Route
  payload: unknown
  every: number
  /** When it fires next, by the monotonic clock; `Infinity`: never. */
  next: number
  key: unknown
  private over = false
  /** How often in a row it found the mailbox full. */
  private refusals = 0
  /** Its latest message. */
  private sent: Envelope | undefined = undefined

  constructor(timers: SelfTimers, session: TimerOwner, { delay, every, key, payload, route }: Setting) {
    super()
    this.timers = timers
    this.session = session
    this.route = route
    this.payload = payload
    this.every = every
    this.key = key ?? this
    this.next = session.host.now() + delay
    this.wind()
  }

  /** In a session that is ending, a timer does not fire any more; it is set for the snapshot only. */
  private wind(): void {
    if (this.session.status < ending) this.session.host.deadlines.set(this, this.next)
  }

  /** Takes over new settings, and fires no later than it would have. */
  takeOver({ delay, every, payload }: Setting): void {
    const { host } = this.session
    this.payload = payload
    this.every = every
    const next = Math.min(this.next, host.now() + delay)
    if (next === this.next) return
    this.next = next
    host.deadlines.cancel(this)
    this.wind()
  }

  due(now: number): void {
    const { session } = this
    const { deadlines } = session.host
    if (this.over || session.status >= ending) return
    if (this.every > 0) {
      if (now >= this.next) this.moveOn(now)
      deadlines.set(this, this.next)
      if (this.sent?.status === waiting) return
    }
    const envelope = new Envelope(this.route, this.payload, false, undefined)
    envelope.timer = this
    this.sent = envelope
    if (session.take(envelope)) {
      this.refusals = 0
      session.kind.counters.casts++
      return
    }
    this.sent = undefined
    deadlines.set(this, now + backoff(++this.refusals, firstPause, longestPause))
  }

  /** Moves on to the first of its times in the future. Missed times are not made up for. */
  private moveOn(now: number): void {
    const missed = Math.floor((now - this.next) / this.every)
    this.next = Math.max(this.next + (missed + 1) * this.every, now + 1)
    this.session.metaChanged()
  }

  /** Its message was handled, or was dropped. */
  done(): void {
    if (this.every > 0 || this.over) return
    this.over = true
    this.timers.forget(this)
    this.session.metaChanged()
  }

  /** Stops it; `false` when there was nothing left to stop. */
  stop(): boolean {
    if (this.over) return false
    this.over = true
    this.session.host.deadlines.cancel(this)
    const { sent } = this
    if (sent === undefined) return true
    if (sent.status !== waiting) return this.every > 0
    sent.status = settled
    withdrawn(this.session)
    return true
  }

  get cancel(): Effect.Effect<boolean> {
    return Effect.sync(() => {
      const wasSet = this.stop()
      if (wasSet) {
        this.timers.forget(this)
        this.session.metaChanged()
      }
      return wasSet
    })
  }
}

/** The timer of a session that has ended: it never fires. */
export const noTimer: Timer = { cancel: Effect.succeed(false) }

export class SelfTimers {
  private readonly session: TimerOwner
  private readonly byKey = new Map<unknown, SelfTimer>()
  /** The restored timers that no hook has set again yet; `undefined` once the hooks are done. */
  private restored: Set<SelfTimer> | undefined = undefined

  constructor(session: TimerOwner) {
    this.session = session
  }

  /** Sets the timers of the snapshot, before the hooks run. */
  restore(settings: ReadonlyArray<Setting>): void {
    this.restored = new Set()
    for (const setting of settings) this.restored.add(this.add(setting))
  }

  /** The hooks are done: a timer that is set from now on is a new one. */
  settle(): void {
    this.restored = undefined
  }

  set(setting: Setting): SelfTimer {
    const timer = this.again(setting) ?? this.add(setting)
    this.session.metaChanged()
    return timer
  }

  private add(setting: Setting): SelfTimer {
    const timer = new SelfTimer(this, this.session, setting)
    const { key } = timer
    this.byKey.get(key)?.stop()
    this.byKey.set(key, timer)
    return timer
  }

  /**
   * Finds the restored timer that a hook sets again, which goes on. If it became a new timer, each load would add one; and if it
   * began anew, a timer that wakes its session would never fire.
   */
  private again(setting: Setting): SelfTimer | undefined {
    const { restored } = this
    if (restored === undefined) return undefined
    const { every, key, route } = setting
    if (key !== undefined) {
      const same = this.byKey.get(key)
      if (same === undefined || !restored.delete(same) || same.route !== route) return undefined
      if (every > 0 && same.every > 0) {
        same.takeOver(setting)
        return same
      }
      // A different timer under the same key. If the restored one is due, it still fires.
      if (same.next <= this.session.host.now()) {
        this.byKey.delete(key)
        same.key = same
        this.byKey.set(same, same)
      }
      return undefined
    }
    const same = this.mostAlike(restored, setting)
    if (same === undefined) return undefined
    restored.delete(same)
    same.takeOver(setting)
    return same
  }

  private mostAlike(restored: Iterable<SelfTimer>, { every, payload, route }: Setting): SelfTimer | undefined {
    let found: SelfTimer | undefined
    let likeness = 0
    for (const timer of restored) {
      if (timer.key !== timer || timer.route !== route || (timer.every > 0) !== (every > 0)) continue
      const samePayload = Equal.equals(timer.payload, payload)
      // Single messages with different payloads are different timers.
      if (every === 0 && !samePayload) continue
      const alike = 1 + (samePayload ? 2 : 0) + (timer.every === every ? 1 : 0)
      if (alike > likeness) {
        found = timer
        likeness = alike
      }
    }
    return found
  }

  get(key: string): SelfTimer | undefined {
    return this.byKey.get(key)
  }

  forget(timer: SelfTimer): void {
    if (this.byKey.get(timer.key) === timer) this.byKey.delete(timer.key)
    this.restored?.delete(timer)
  }

  /** Stops all, and calls `lost` with each that would still have rung. */
  cancelAll(lost?: (timer: SelfTimer) => void): void {
    for (const timer of this.byKey.values()) if (timer.stop()) lost?.(timer)
    this.byKey.clear()
    this.restored = undefined
  }

  /** The timers that will fire. */
  *[Symbol.iterator](): Iterator<SelfTimer> {
    for (const timer of this.byKey.values()) if (timer.next < Infinity) yield timer
  }

  /** When the next one fires, by the monotonic clock; `Infinity`: none will. */
  get next(): number {
    let next = Infinity
    for (const timer of this.byKey.values()) next = Math.min(next, timer.next)
    return next
  }
}
