/**
 * How a store handles its messages.
 *
 * An action passes its gates (throttle, debounce), then the middlewares, then the reducers; what it made of the state is
 * noted, and the work of asynchronous actions starts. Where none of that needs an Effect, the handler is pure.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Action } from "../../../behaviour/Action.ts"
import { make as makeAction } from "../../../behaviour/Action.ts"
import type { Middleware, Next } from "../../../behaviour/Middleware.ts"
import type * as Reducer from "../../../behaviour/Reducer.ts"
import { VersionGone } from "../../../behaviour/StoreError.ts"
import { MonotonicClock } from "../../../contract/internal/MonotonicClock.ts"
import type * as Session from "../../../contract/Session.ts"
import { SessionEvents } from "../../../runtime/SessionEvents.ts"
import { StoreBroadcasts } from "../../StoreBroadcasts.ts"
import { isKnown, reduce, type Scope, type Slices, type Target, targetsOf } from "./routing.ts"
import { StoreCell } from "./StoreCell.ts"

/** A debounced action whose time has come, for one reducer. */
export interface Fired {
  readonly action: Action
  readonly reducer: string
}

interface Options {
  readonly init?: ((start: any) => unknown) | undefined
  readonly middleware?: ReadonlyArray<Middleware<any, any>> | undefined
  readonly unmatched?:
    | "silent"
    | "log"
    | "warn"
    | ((action: Action, self: Session.Self) => Effect.Effect<void, never, any>)
    | undefined
  readonly history?: number | undefined
  readonly end?: ((ending: any) => Effect.Effect<void, never, any>) | undefined
}

/** What becomes of an action. */
interface Plan extends Scope {
  readonly gated: boolean
  readonly async: boolean
  readonly known: boolean
}

/** An action that has reached the reducers. */
interface Passed {
  readonly action: Action
  readonly before: Slices
  readonly after: Slices
  readonly scope: Scope
  /** It did not reach all that it could reach. */
  readonly partly: boolean
}

type Reply = readonly [state: Slices, reply: Slices]

export const makeBehavior = (
  { kind, reducers }: { readonly kind: string; readonly reducers: ReadonlyArray<Reducer.Any> },
  options: Options
) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const broadcasts = yield* Effect.serviceOption(StoreBroadcasts)
    const events = Option.getOrUndefined(yield* Effect.serviceOption(SessionEvents))
    const middleware = options.middleware ?? []
    const historyLimit = options.history ?? 0
    if (!Number.isSafeInteger(historyLimit) || historyLimit < 0) {
      return yield* Effect.die(new RangeError(`store ${kind}: history must be a whole number, got ${historyLimit}`))
    }
    const cells = new WeakMap<Session.Self, StoreCell>()
    const cellOf = (self: Session.Self) => cells.get(self)!
    const date = () => clock.currentTimeMillisUnsafe()
    const time = new MonotonicClock(clock)
    const initial: Slices = Object.fromEntries(reducers.map((reducer) => [reducer.name, reducer.initial]))
    const observers = reducers.filter((reducer) => reducer.catchAll !== undefined)
    const planOf = (action: Action): Plan => {
      const targets = targetsOf(reducers, action)
      return {
        targets,
        observers,
        gated: targets.some(({ reducer, short }) =>
          reducer.debounce[short] !== undefined || reducer.throttle[short] !== undefined
        ),
        async: targets.some(({ reducer, short }) => reducer.async[short] !== undefined),
        known: isKnown(reducers, targets)
      }
    }
    // What an action without a meta reaches does not change, so it is looked up once.
    const plans = new Map<string, Plan>()
    const reach = (action: Action): Plan => {
      if (action.meta.reducers !== undefined || action.meta.prefix !== undefined) return planOf(action)
      let plan = plans.get(action.type)
      if (plan === undefined) {
        plan = planOf(action)
        // Types that nobody knows may be of any number.
        if (plan.targets.length > 0) plans.set(action.type, plan)
      }
      return plan
    }

    const start = (self: Session.Self, over: unknown): Slices => {
      const state = { ...initial, ...over as Slices }
      cells.set(self, new StoreCell(state, historyLimit, reach))
      return state
    }

    /** Leaves out what is throttled, and puts off what is debounced. */
    const gate = (cell: StoreCell, action: Action, targets: ReadonlyArray<Target>) => {
      const later: Array<{ readonly target: Target; readonly pause: number }> = []
      const open = targets.filter((target) => {
        const { reducer, short } = target
        const pause = reducer.debounce[short]
        if (pause !== undefined) {
          later.push({ target, pause })
          return false
        }
        const throttle = reducer.throttle[short]
        if (throttle === undefined) return true
        const key = `${reducer.name} ${action.type}`
        const now = time.now()
        const handledAt = cell.handledAt.get(key)
        if (handledAt !== undefined && now < handledAt + throttle) return false
        cell.handledAt.set(key, now)
        return true
      })
      return { later, open: open.length === targets.length ? targets : open }
    }

    /** Notes what an action made of the state, and tells of it. */
    const note = (
      self: Session.Self,
      { action, after, before, partly, scope: { observers, targets } }: Passed
    ): void => {
      const changed = after !== before
      const cell = cellOf(self)
      if (changed && historyLimit === 0) cell.state = after
      else if (changed) {
        const traceId = Fiber.getCurrent()?.cache.span?.traceId
        // What a timer fired was not noted as activity.
        const at = Math.max(self.lastActiveAt, partly ? date() : 0)
        cell.record(action, after, at, traceId, partly ? { targets, observers } : undefined)
      }
      if (events?.active === true) {
        events.publish({ _tag: "Dispatch", kind, id: self.id, at: date(), type: action.type, changed })
      }
      if (Option.isSome(broadcasts)) broadcasts.value.publish({ kind, id: self.id, action, state: after })
    }

    /** Starts the work of asynchronous actions. */
    const work = (self: Session.Self, action: Action, targets: ReadonlyArray<Target>): Effect.Effect<void> =>
      Effect.forEach(targets, ({ reducer, short }) => {
        const run = reducer.async[short]
        if (run === undefined) return Effect.void
        return Effect.suspend(() => {
          const cell = cellOf(self)
          const id = action.meta.id ?? action.type
          if (reducer.concurrency === "latest") cell.cancel(id)
          const effect = run({
            payload: action.payload,
            meta: action.meta,
            state: Effect.sync(() => cellOf(self).state[reducer.name]),
            // The session may have ended meanwhile: then there is nobody to tell.
            dispatch: (type, payload, meta) => Effect.ignore(self.cast("Dispatch", makeAction(type, payload, meta))),
            self
          })
          return Effect.map(self.fork(effect), (fiber) => cell.track(id, fiber)) as Effect.Effect<void>
        })
      }, { discard: true })

    const warnOfUnknownNames = (action: Action): Effect.Effect<void> => {
      const unknown = action.meta.reducers?.filter((name) => !Object.hasOwn(initial, name)) ?? []
      return unknown.length === 0
        ? Effect.void
        : Effect.logWarning(
          `action ${action.type} is meant for reducers that store ${kind} lacks: ${unknown.join(", ")}`
        )
    }

    const unmatched = (action: Action, self: Session.Self): Effect.Effect<void, never, any> => {
      const policy = options.unmatched ?? "log"
      if (typeof policy === "function") return policy(action, self)
      if (policy === "silent") return Effect.void
      const text = `no reducer of store ${kind} knows the action ${action.type}`
      return policy === "warn" ? Effect.logWarning(text) : Effect.logDebug(text)
    }

    const plain = middleware.length === 0

    /** What is left of an action's way when it has passed its gates. */
    const handle = (
      self: Session.Self,
      state: Slices,
      action: Action,
      scope: Scope,
      { async, partly }: { readonly async: boolean; readonly partly: boolean }
    ): Reply | Effect.Effect<Reply, unknown, any> => {
      if (plain && !async) {
        const after = reduce(scope.targets, scope.observers, state, action)
        note(self, { action, before: state, after, scope, partly })
        return [after, after]
      }
      let next = state
      const passed: Array<Passed> = []
      const innermost: Next<Slices> = (given) =>
        Effect.sync(() => {
          const rewritten = given !== action
          const reached = rewritten ? reach(given) : scope
          const before = next
          next = reduce(reached.targets, reached.observers, before, given)
          passed.push({ action: given, before, after: next, scope: reached, partly: partly && !rewritten })
          return next
        })
      // The services that middlewares need are those of the kind, which its fibers have.
      const through = middleware.reduceRight<Next<Slices>>(
        (inner, layer) => (given) => layer({ action: given, state: next, self }, inner) as ReturnType<Next<Slices>>,
        innermost
      )
      // Only when all middlewares are through has it happened: one that fails on the way back leaves all as it was.
      return Effect.flatMap(through(action), () => {
        for (const one of passed) note(self, one)
        return Effect.as(
          Effect.forEach(passed, (one) => work(self, one.action, one.scope.targets), { discard: true }),
          [next, next] as const
        )
      })
    }

    const dispatch = (
      { payload: action, self, state }: Session.Turn<Slices, Action, any>
    ): Reply | Effect.Effect<Reply, unknown, any> => {
      const plan = reach(action)
      if (!plan.known) {
        return Effect.as(Effect.andThen(warnOfUnknownNames(action), unmatched(action, self)), [state, state] as const)
      }
      if (!plan.gated && action.meta.reducers === undefined) {
        return handle(self, state, action, plan, { async: plan.async, partly: false })
      }
      const { later, open } = gate(cellOf(self), action, plan.targets)
      const handled = open.length === 0 && observers.length === 0
        ? [state, state] as const
        : handle(self, state, action, { targets: open, observers }, {
          async: plan.async,
          partly: open.length < plan.targets.length
        })
      return Effect.gen(function*() {
        yield* warnOfUnknownNames(action)
        for (const { pause, target: { reducer } } of later) {
          const fired: Fired = { action, reducer: reducer.name }
          const key = `debounce ${reducer.name} ${action.type}`
          cellOf(self).debounced.set(key, yield* self.after(pause, "Fire", fired, { key }))
        }
        return Effect.isEffect(handled) ? yield* handled : handled
      })
    }

    const restart = (self: Session.Self, state: Slices): Effect.Effect<Reply> =>
      Effect.map(cellOf(self).cancelAll, () => {
        cellOf(self).restart(state)
        return [state, state] as const
      })

    return {
      init: (begin: Session.Start<unknown, any>) => {
        const over = options.init?.({ id: begin.id, args: begin.args })
        return Effect.isEffect(over)
          ? Effect.map(over, (state) => start(begin.self, state))
          : start(begin.self, over)
      },
      // A store begins its history anew.
      restore: ({ self, state }: Session.Restore<Slices, any>) => start(self, state),
      handlers: {
        Dispatch: dispatch,
        Fire: ({ payload: { action, reducer }, self, state }: Session.Turn<Slices, Fired, any>) => {
          const plan = reach(action)
          const targets = plan.targets.filter((target) => target.reducer.name === reducer)
          // Those that see all actions have seen it when it was dispatched.
          const handled = handle(self, state, action, { targets, observers: [] }, { async: plan.async, partly: true })
          return Effect.isEffect(handled) ? Effect.map(handled, ([next]) => [next] as const) : [handled[0]] as const
        },
        Select: ({ payload, state }: Session.Turn<Slices, (state: Slices) => unknown, any>) => [state, payload(state)],
        History: ({ self, state }: Session.Turn<Slices, void, any>) => {
          const cell = cellOf(self)
          const steps = cell.history.list().map(({ action, at, from, traceId, version }) => ({
            version,
            from,
            type: action.type,
            at,
            traceId,
            current: version === cell.version
          }))
          return [state, steps]
        },
        Travel: ({ payload: version, self }: Session.Turn<Slices, number, any>) => {
          const state = cellOf(self).travel(version)
          return state === undefined ? Effect.fail(VersionGone.of(version)) : [state, state]
        },
        Look: ({ payload: version, self, state }: Session.Turn<Slices, number, any>) => {
          const found = cellOf(self).look(version)
          return found === undefined ? Effect.fail(VersionGone.of(version)) : [state, found.state]
        },
        Reset: ({ self }: Session.Turn<Slices, void, any>) => restart(self, cellOf(self).initial),
        Restore: ({ payload, self }: Session.Turn<Slices, Slices, any>) => restart(self, payload),
        Cancel: ({ payload: id, self, state }: Session.Turn<Slices, string, any>) => [state, cellOf(self).cancel(id)]
      },
      end: options.end
    }
  })
