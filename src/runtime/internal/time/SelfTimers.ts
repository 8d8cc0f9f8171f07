/**
 * The timers of a session: each sends a message to its own session, once or again and again.
 *
 *                    ┌──────── its message waits: no second one ────────┐
 *                    ▼                                                  │
 *   set ──→ in the wheel ──── due ────→ message in the mailbox ──→ handled
 *                    │                        │
 *                    └── cancelled, replaced, the session over: what waits is not handled any more
 *
 * A repeating one keeps its phase: it is moved on before its message is delivered, to the next of its times that is still to
 * come. One that rings once is kept until its message was handled, so that a snapshot in between does not lose it.
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

/** What a timer is to do. */
export interface Setting {
  readonly route: Route
  readonly payload: unknown
  /** How long until it rings first; negative: it should have rung so long ago. */
  readonly delay: number
  /** 0: it rings once. */
  readonly every: number
  readonly key: string | undefined
}

/** The session whose timers they are. */
interface TimerOwner extends MailboxOwner {
  readonly host: { readonly deadlines: Deadlines; now(): number }
  readonly kind: { readonly counters: { casts: number } }
  readonly status: Status
  take(envelope: Envelope): boolean
  /** What a snapshot has of it besides its state has changed. */
  metaChanged(): void
}

export class SelfTimer extends Deadline implements Timer {
  private readonly timers: SelfTimers
  private readonly session: TimerOwner
  readonly route: Route
  payload: unknown
  every: number
  /** By the monotonic clock. `Infinity`: never. */
  next: number
  key: unknown
  private over = false
  /** How often in a row it found the mailbox full. */
  private refusals = 0
  /** The latest message that it sent. */
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

  /** A session that ends gets no more of its messages; what it sets is for the snapshot. */
  private wind(): void {
    if (this.session.status < ending) this.session.host.deadlines.set(this, this.next)
  }

  /** Does what is set now, and rings no later for it than it would have. */
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

  /** To the first of its times that is still to come: those that were missed are not made up for. */
  private moveOn(now: number): void {
    const missed = Math.floor((now - this.next) / this.every)
    this.next = Math.max(this.next + (missed + 1) * this.every, now + 1)
    this.session.metaChanged()
  }

  /** Its message was handled, or will not be. */
  done(): void {
    if (this.every > 0 || this.over) return
    this.over = true
    this.timers.forget(this)
    this.session.metaChanged()
  }

  /** Rings no more. `false` when there was nothing left to stop. */
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

/** What a session gets that is over: it never rings. */
export const noTimer: Timer = { cancel: Effect.succeed(false) }

export class SelfTimers {
  private readonly session: TimerOwner
  private readonly byKey = new Map<unknown, SelfTimer>()
  /** Those from the store that no hook has set again, as long as one may. */
  private restored: Set<SelfTimer> | undefined = undefined

  constructor(session: TimerOwner) {
    this.session = session
  }

  /** Takes over what the store had, before the hooks run. */
  restore(settings: ReadonlyArray<Setting>): void {
    this.restored = new Set()
    for (const setting of settings) this.restored.add(this.add(setting))
  }

  /** The hooks are done: what is set from here on is another timer. */
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
   * The timer from the store that a hook sets again: it goes on. Were it one more, they would become more with each load;
   * and were it to begin anew, one that wakes its session would never ring.
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
      // The one that is set is another. What was due comes all the same.
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
      // Messages that come once and say different things are different messages.
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

  /** `lost` is told of those that were still to ring. */
  cancelAll(lost?: (timer: SelfTimer) => void): void {
    for (const timer of this.byKey.values()) if (timer.stop()) lost?.(timer)
    this.byKey.clear()
    this.restored = undefined
  }

  /** Those that will ring. */
  *[Symbol.iterator](): Iterator<SelfTimer> {
    for (const timer of this.byKey.values()) if (timer.next < Infinity) yield timer
  }

  /** When the first of them rings, by the monotonic clock; `Infinity`: none does. */
  get next(): number {
    let next = Infinity
    for (const timer of this.byKey.values()) next = Math.min(next, timer.next)
    return next
  }
}
