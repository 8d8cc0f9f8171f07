/**
 * How a store handles its messages.
 *
 * An action passes its gates (throttle, debounce), then the middlewares, then the reducers; what it made of the state is
 * noted, and the work of asynchronous actions starts. Where none of that needs an Effect, the handler is pure.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Session from "../../../contract/Session.ts"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import { SessionEvents } from "../../../runtime/SessionEvents.ts"
import type { Action } from "../../../store/Action.ts"
import { make as makeAction } from "../../../store/Action.ts"
import { observed } from "../../../store/internal/observed.ts"
import type { Middleware, Next } from "../../../store/Middleware.ts"
import type * as Reducer from "../../../store/Reducer.ts"
import { VersionGone } from "../../../store/StoreError.ts"
import { StoreBroadcasts } from "../../StoreBroadcasts.ts"
import type { Fired } from "./actionSchema.ts"
import { allowsUndefined, isKnown, reduce, type Scope, type Slices, type Target, targetsOf } from "./routing.ts"
import { StoreCell } from "./StoreCell.ts"

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

/** Work that an asynchronous action starts. */
interface Job {
  readonly id: string
  readonly isAlone: boolean
  readonly effect: Effect.Effect<unknown, unknown, any>
}

type Reply = readonly [state: Slices, reply: Slices]

/** Names an action of a reducer: where throttles are noted, and as the key of its debounce. */
const gateOf = (reducer: string, short: string): string => `${reducer} ${short}`

export const makeBehavior = (
  { args, kind, reducers }: {
    readonly args: Schema.Top
    readonly kind: string
    readonly reducers: ReadonlyArray<Reducer.Any>
  },
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
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const initial: Slices = Object.fromEntries(reducers.map((reducer) => [reducer.name, reducer.initial]))
    const debounces = reducers.flatMap(({ debounce, name }) =>
      Object.keys(debounce).map((short) => gateOf(name, short))
    )
    const throttles = reducers.some(({ throttle }) => Object.keys(throttle).length > 0)
    /** To which era of its session an action belongs that work has dispatched. */
    const eras = reducers.some(({ async }) => Object.keys(async).length > 0) ? new WeakMap<Action, object>() : undefined
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

    /** Slices over the initial ones. What is `undefined` is not given, unless its reducer knows that as a state. */
    const slicesOf = (over: unknown): Slices => {
      const given = (over ?? {}) as Slices
      const state: Record<string, unknown> = { ...initial }
      for (const reducer of reducers) {
        const { name } = reducer
        if (Object.hasOwn(given, name) && (given[name] !== undefined || allowsUndefined(reducer))) {
          state[name] = given[name]
        }
      }
      return state
    }

    const begin = (self: Session.Self, state: Slices, isInitial: boolean): Slices => {
      cells.set(self, new StoreCell(state, isInitial, historyLimit, reach))
      return state
    }

    const first = (id: string, args: unknown): Slices | Effect.Effect<Slices, unknown, any> => {
      const over = options.init?.({ id, args })
      return Effect.isEffect(over) ? Effect.map(over, slicesOf) : slicesOf(over)
    }

    /** What a reset goes back to. With what the session was started is not known when it came from the store. */
    const firstAgain = (self: Session.Self): Slices | Effect.Effect<Slices, unknown, any> =>
      cellOf(self).initial ?? (Schema.is(args)(undefined) ? first(self.id, undefined) : initial)

    /** Leaves out what is throttled, and what is debounced, which is put off. */
    const gate = (cell: StoreCell, targets: ReadonlyArray<Target>) => {
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
        const handledAt = cell.handledAt.get(gateOf(reducer.name, short))
        return handledAt === undefined || time.now() >= handledAt + throttle
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
      if (throttles) {
        for (const { reducer, short } of targets) {
          if (reducer.throttle[short] !== undefined) cell.handledAt.set(gateOf(reducer.name, short), time.now())
        }
      }
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
      if (Option.isSome(broadcasts)) {
        try {
          broadcasts.value.publish({ kind, id: self.id, action, state: after })
        } catch (defect) {
          // It has happened, whoever cannot be told.
          run(Effect.logError(`the broadcast of an action of store ${kind} failed`, defect))
        }
      }
    }

    /** The work that an action starts. A function that throws, or gives no Effect, is a defect of the action. */
    const jobsOf = (self: Session.Self, { action, scope: { targets } }: Passed): ReadonlyArray<Job> => {
      const { meta, payload, type } = action
      const jobs: Array<Job> = []
      for (const { reducer: { async, concurrency, name }, short } of targets) {
        const work = async[short]
        if (work === undefined) continue
        const { era } = cellOf(self)
        const effect = work({
          payload,
          meta,
          state: Effect.sync(() => cellOf(self).state[name]),
          dispatch: (type, payload, meta) =>
            Effect.suspend(() => {
              const action = makeAction(type, payload, meta)
              eras!.set(action, era)
              // The session may have ended meanwhile: then there is nobody to tell.
              return Effect.ignore(self.cast("Dispatch", action))
            }),
          self
        })
        if (!Effect.isEffect(effect)) {
          throw new TypeError(`reducer ${name}: the work of ${short} is not an Effect`)
        }
        jobs.push({ id: meta.id ?? type, isAlone: concurrency === "latest", effect })
      }
      return jobs
    }

    const startJobs = (self: Session.Self, jobs: ReadonlyArray<Job>): Effect.Effect<void> =>
      Effect.forEach(jobs, ({ effect, id, isAlone }) =>
        Effect.suspend(() => {
          const cell = cellOf(self)
          if (isAlone) cell.cancel(id)
          return Effect.map(self.fork(effect), (fiber) => cell.track(id, fiber)) as Effect.Effect<void>
        }), { discard: true })

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
      let isOver = false
      const passed: Array<Passed> = []
      const innermost: Next<Slices> = (given) =>
        Effect.sync(() => {
          if (isOver) {
            throw new TypeError(`a middleware of store ${kind} called next for ${action.type} when it was over`)
          }
          // What is only said in other words goes the same way.
          const isSame = given.type === action.type && given.meta === action.meta
          const reached = isSame ? scope : reach(given)
          const before = next
          next = reduce(reached.targets, reached.observers, before, given)
          passed.push({ action: given, before, after: next, scope: reached, partly: partly && isSame })
          return next
        })
      // The services that middlewares need are those of the kind, which its fibers have.
      const through = middleware.reduceRight<Next<Slices>>(
        (inner, layer, index) => (given) => {
          const before = next
          const count = passed.length
          const run = layer({ action: given, state: next, self }, inner) as ReturnType<Next<Slices>>
          // One further out may go on all the same.
          return index === 0 ? run : Effect.onError(run, () =>
            Effect.sync(() => {
              next = before
              passed.length = count
            }))
        },
        innermost
      )
      // Only when all middlewares are through has it happened: one that fails on the way back leaves all as it was.
      return Effect.matchCauseEffect(Effect.suspend(() => through(action)), {
        onFailure: (cause) => {
          isOver = true
          return Effect.failCause(cause)
        },
        onSuccess: () => {
          isOver = true
          // What may throw comes first.
          const jobs = passed.flatMap((one) => jobsOf(self, one))
          for (const one of passed) note(self, one)
          return Effect.as(startJobs(self, jobs), [next, next] as const)
        }
      })
    }

    /** Was it dispatched by work that was cancelled with the state that it was for? */
    const isStale = (self: Session.Self, action: Action): boolean => {
      const era = eras?.get(action)
      return era !== undefined && era !== cellOf(self).era
    }

    const dispatch = (
      { payload: action, self, state }: Session.Turn<Slices, Action, any>
    ): Reply | Effect.Effect<Reply, unknown, any> => {
      if (isStale(self, action)) return [state, state]
      const plan = reach(action)
      if (!plan.known) {
        return Effect.as(Effect.andThen(warnOfUnknownNames(action), unmatched(action, self)), [state, state] as const)
      }
      if (!plan.gated && action.meta.reducers === undefined) {
        return handle(self, state, action, plan, { async: plan.async, partly: false })
      }
      const { later, open } = gate(cellOf(self), plan.targets)
      return Effect.gen(function*() {
        yield* warnOfUnknownNames(action)
        const handled = open.length === 0 && observers.length === 0
          ? [state, state] as const
          : handle(self, state, action, { targets: open, observers }, {
            async: plan.async,
            partly: open.length < plan.targets.length
          })
        const reply = Effect.isEffect(handled) ? yield* handled : handled
        for (const { pause, target: { reducer, short } } of later) {
          const fired: Fired = { action, reducer: reducer.name }
          yield* self.after(pause, "Fire", fired, { key: gateOf(reducer.name, short) })
        }
        return reply
      })
    }

    /** What throws in there is a defect of who asked, and none of the session. */
    const selected = (self: Session.Self, select: (state: Slices) => unknown, state: Slices): Exit.Exit<unknown> => {
      try {
        return Exit.succeed(
          events?.active === true
            ? observed(select, state, (event) => events.publish({ ...event, kind, id: self.id, at: date() }))
            : select(state)
        )
      } catch (defect) {
        return Exit.die(defect)
      }
    }

    const restart = (self: Session.Self, state: Slices): Effect.Effect<Reply> =>
      Effect.map(Effect.forEach(debounces, (key) => self.cancelTimer(key), { discard: true }), () => {
        cellOf(self).restart(state)
        return [state, state] as const
      })

    return {
      init: ({ args, id, self }: Session.Start<unknown, any>) => {
        const state = first(id, args)
        return Effect.isEffect(state)
          ? Effect.map(state, (state) => begin(self, state, true))
          : begin(self, state, true)
      },
      // A store begins its history anew.
      restore: ({ self, state }: Session.Restore<Slices, any>) => begin(self, slicesOf(state), false),
      handlers: {
        Dispatch: dispatch,
        Fire: ({ payload: { action, reducer }, self, state }: Session.Turn<Slices, Fired, any>) => {
          const plan = reach(action)
          const targets = plan.targets.filter((target) => target.reducer.name === reducer)
          // Those that see all actions have seen it when it was dispatched.
          const handled = handle(self, state, action, { targets, observers: [] }, { async: plan.async, partly: true })
          return Effect.isEffect(handled) ? Effect.map(handled, ([next]) => [next] as const) : [handled[0]] as const
        },
        Select: ({ payload, self, state }: Session.Turn<Slices, (state: Slices) => unknown, any>) => [
          state,
          selected(self, payload, state)
        ],
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
        Reset: ({ self }: Session.Turn<Slices, void, any>) => {
          const state = firstAgain(self)
          return Effect.isEffect(state)
            ? Effect.flatMap(Effect.orDie(state), (state) => restart(self, state))
            : restart(self, state)
        },
        Restore: ({ payload, self }: Session.Turn<Slices, Slices, any>) => restart(self, payload),
        Cancel: ({ payload: id, self, state }: Session.Turn<Slices, string, any>) => [state, cellOf(self).cancel(id)]
      },
      end: options.end,
      // What is put off was accepted from somebody.
      owed: new Set(["Fire"])
    }
  })
