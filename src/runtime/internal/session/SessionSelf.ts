/**
 * A session as its own handlers see it.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as EndReason from "../../../contract/EndReason.ts"
import type { Self, Timer } from "../../../contract/Session.ts"
import type { CastError } from "../../../contract/SessionError.ts"
import { CurrentMessage } from "../messages/callCycle.ts"
import { emit } from "./events.ts"
import type { LiveSession } from "./LiveSession.ts"

export class SessionSelf implements Self {
  readonly session: LiveSession

  constructor(session: LiveSession) {
    this.session = session
  }

  get kind(): string {
    return this.session.kind.name
  }
  get id(): string {
    return this.session.id
  }
  get epoch(): number {
    return this.session.epoch
  }
  get startedAt(): number {
    return this.session.startedAt
  }
  get lastActiveAt(): number {
    return this.session.host.dateOf(this.session.lastActiveAt)
  }
  get user(): string | undefined {
    return this.session.user
  }
  get metadata(): Readonly<Record<string, unknown>> {
    return this.session.metadata
  }
  get scope(): Scope.Scope {
    return this.session.scope()
  }

  cast(tag: string, payload?: unknown): Effect.Effect<void, CastError> {
    const { session } = this
    return Effect.suspend(() => session.ending ? session.notFound : session.ref.cast(tag, payload))
  }

  fork<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R> {
    const { session } = this
    return Effect.suspend(() => {
      emit(session, { _tag: "WorkerStart" })
      const work = Effect.onExit(effect, (exit) => workerEnded(session, exit))
      // It runs beside the handler, which does not wait for it.
      return Effect.forkIn(Effect.provideService(work, CurrentMessage, undefined), session.scope())
    })
  }

  after(
    delay: Duration.Input,
    tag: string,
    payload?: unknown,
    options?: { readonly key?: string | undefined }
  ): Effect.Effect<Timer> {
    return this.timer(Math.max(0, Duration.toMillis(delay)), tag, payload, 0, options?.key)
  }

  every(
    interval: Duration.Input,
    tag: string,
    payload?: unknown,
    options?: { readonly key?: string | undefined }
  ): Effect.Effect<Timer> {
    const millis = Duration.toMillis(interval)
    return millis >= 1
      ? this.timer(millis, tag, payload, millis, options?.key)
      : Effect.die(
        new RangeError(`a timer of session ${this.kind} repeats every ${millis} ms: at least 1 ms is needed`)
      )
  }

  private timer(
    delay: number,
    tag: string,
    payload: unknown,
    every: number,
    key: string | undefined
  ): Effect.Effect<Timer> {
    const { session } = this
    return Effect.sync(() => session.setTimer({ route: session.kind.route(tag), payload, delay, every, key }))
  }

  cancelTimer(key: string): Effect.Effect<boolean> {
    return Effect.suspend(() => this.session.extras?.timers?.get(key)?.cancel ?? Effect.succeed(false))
  }

  end(detail?: unknown): Effect.Effect<void> {
    return Effect.sync(() => {
      this.session.writeAhead()
      this.session.end(EndReason.stopped(detail), true)
    })
  }

  get touch(): Effect.Effect<void> {
    return Effect.sync(() => {
      const { host } = this.session
      host.expiry.touch(this.session, host.now())
    })
  }

  setUser(user: string | undefined): Effect.Effect<void> {
    return Effect.sync(() => {
      this.session.writeAhead()
      this.session.setUser(user)
    })
  }

  setMetadata(metadata: Readonly<Record<string, unknown>>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const invalid = this.session.checkMetadata(metadata)
      if (invalid !== undefined) return Effect.die(invalid)
      this.session.writeAhead()
      this.session.setMetadata(metadata)
      return Effect.void
    })
  }
}

/** Nothing else observes forked work, so its failure becomes an event and a log entry. */
const workerEnded = (session: LiveSession, exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> => {
  if (Exit.isSuccess(exit)) {
    emit(session, { _tag: "WorkerTerminate", outcome: "success", error: undefined })
    return Effect.void
  }
  const interrupted = Cause.hasInterruptsOnly(exit.cause)
  emit(session, {
    _tag: "WorkerTerminate",
    outcome: interrupted ? "interrupted" : "failure",
    error: interrupted ? undefined : Cause.squash(exit.cause)
  })
  return interrupted ? Effect.void : Effect.logError("work that a session had forked failed", exit.cause)
}
