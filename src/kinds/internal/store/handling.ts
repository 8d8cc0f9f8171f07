/**
 * How an action that has passed its gates is handled: through the middlewares to the reducers. When all of them succeeded,
 * the step is recorded and published, and the work of the action starts. Without middlewares and work no Effect is needed.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Session from "../../../contract/Session.ts"
import type { SessionEvents } from "../../../runtime/SessionEvents.ts"
import type { Action } from "../../../store/Action.ts"
import type { Middleware, Next } from "../../../store/Middleware.ts"
import type { StoreBroadcasts } from "../../StoreBroadcasts.ts"
import type { Gates } from "./gates.ts"
import { type Plan, reduce, type Scope, type Slices } from "./routing.ts"
import type { StoreCell } from "./StoreCell.ts"
import type { Work } from "./work.ts"

/** An action that the reducers have handled. */
interface Handled {
  readonly action: Action
  readonly before: Slices
  readonly after: Slices
  readonly scope: Scope
  /** `true` when it reached fewer reducers than it could: the rest is throttled or debounced. */
  readonly partly: boolean
}

interface Options {
  readonly kind: string
  readonly middleware: ReadonlyArray<Middleware<any, any>>
  readonly hasHistory: boolean
  readonly reach: (action: Action) => Plan
  readonly cellOf: (self: Session.Self) => StoreCell
  readonly gates: Gates
  readonly work: Work
  /** The date in milliseconds since 1970. */
  readonly date: () => number
  readonly run: (effect: Effect.Effect<void>) => unknown
  readonly events: SessionEvents["Service"] | undefined
  readonly broadcasts: StoreBroadcasts["Service"] | undefined
}

export const makeHandle = (
  { broadcasts, cellOf, date, events, gates, hasHistory, kind, middleware, reach, run, work }: Options
) => {
  const record = (
    self: Session.Self,
    { action, after, before, partly, scope: { observers, targets } }: Handled
  ): void => {
    const changed = after !== before
    const cell = cellOf(self)
    gates.handled(cell, targets)
    if (changed && !hasHistory) cell.state = after
    else if (changed) {
      const traceId = Fiber.getCurrent()?.cache.span?.traceId
      // A timer does not count as activity, so `lastActiveAt` may be older than the action that it fires.
      const at = Math.max(self.lastActiveAt, partly ? date() : 0)
      cell.record(action, after, at, traceId, partly ? { targets, observers } : undefined)
    }
    if (events?.active === true) {
      events.publish({ _tag: "Dispatch", kind, id: self.id, at: date(), type: action.type, changed })
    }
    if (broadcasts !== undefined) {
      try {
        broadcasts.publish({ kind, id: self.id, action, state: after })
      } catch (defect) {
        // The action has happened, whether it can be published or not.
        run(Effect.logError(`the broadcast of an action of store ${kind} failed`, defect))
      }
    }
  }

  const passThrough = (
    self: Session.Self,
    state: Slices,
    action: Action,
    scope: Scope,
    partly: boolean
  ): Effect.Effect<Slices, unknown, any> => {
    let next = state
    let isOver = false
    const handled: Array<Handled> = []
    const innermost: Next<Slices> = (given) =>
      Effect.sync(() => {
        if (isOver) {
          throw new TypeError(`a middleware of store ${kind} called next for ${action.type} when it was over`)
        }
        // An action with another payload reaches the same reducers.
        const isSame = given.type === action.type && given.meta === action.meta
        const reached = isSame ? scope : reach(given)
        const before = next
        next = reduce(reached.targets, reached.observers, before, given)
        handled.push({ action: given, before, after: next, scope: reached, partly: partly && isSame })
        return next
      })
    // The kind's fibers have the services that middlewares need.
    const through = middleware.reduceRight<Next<Slices>>(
      (inner, layer, index) => (given) => {
        const before = next
        const count = handled.length
        const run = layer({ action: given, state: next, self }, inner) as ReturnType<Next<Slices>>
        // A middleware further out may recover from the failure: undo what happened inside.
        return index === 0 ? run : Effect.onError(run, () =>
          Effect.sync(() => {
            next = before
            handled.length = count
          }))
      },
      innermost
    )
    return Effect.matchCauseEffect(Effect.suspend(() => through(action)), {
      onFailure: (cause) => {
        isOver = true
        return Effect.failCause(cause)
      },
      onSuccess: () => {
        isOver = true
        // First what may throw: until then nothing has happened.
        const jobs = handled.flatMap((one) => work.jobsOf(self, one.action, one.scope.targets))
        for (const one of handled) record(self, one)
        return Effect.as(work.start(self, jobs), next)
      }
    })
  }

  /** Handles an action and gives the state after it. A failure leaves state, history and throttles as they were. */
  return (
    self: Session.Self,
    state: Slices,
    action: Action,
    scope: Scope,
    { async, partly }: { readonly async: boolean; readonly partly: boolean }
  ): Slices | Effect.Effect<Slices, unknown, any> => {
    if (middleware.length > 0 || async) return passThrough(self, state, action, scope, partly)
    const after = reduce(scope.targets, scope.observers, state, action)
    record(self, { action, before: state, after, scope, partly })
    return after
  }
}
