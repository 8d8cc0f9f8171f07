/**
 * How a store handles its messages.
 *
 * An action is routed to the reducers that know it (`routing`), passes its throttles and debounces (`gates`), then the
 * middlewares and the reducers (`handling`), and starts its work (`work`). The rest of a session's data, such as its
 * history, is in its `StoreCell`.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type * as Session from "../../../contract/Session.ts"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import { SessionEvents } from "../../../runtime/SessionEvents.ts"
import type { Action } from "../../../store/Action.ts"
import { observed } from "../../../store/internal/observed.ts"
import type * as Reducer from "../../../store/Reducer.ts"
import { VersionGone } from "../../../store/StoreError.ts"
import type { BehaviorOptions } from "../../Store.ts"
import { StoreBroadcasts } from "../../StoreBroadcasts.ts"
import type { Fired } from "./actionSchema.ts"
import { makeGates } from "./gates.ts"
import { makeHandle } from "./handling.ts"
import { makeInitialState } from "./initialState.ts"
import { makeReach, type Slices } from "./routing.ts"
import { StoreCell } from "./StoreCell.ts"
import { makeWork } from "./work.ts"

type Turn<Payload> = Session.Turn<Slices, Payload, any>

type Answer<Reply> = readonly [state: Slices, reply: Reply]

const withoutReply = (state: Slices) => [state] as const

const withState = (state: Slices): Answer<Slices> => [state, state]

/** The answer of a handler to the state that its action leads to. */
const answer = <A>(
  state: Slices | Effect.Effect<Slices, unknown, any>,
  make: (state: Slices) => A
): A | Effect.Effect<A, unknown, any> => Effect.isEffect(state) ? Effect.map(state, make) : make(state)

export const makeBehavior = (
  { args, kind, reducers }: {
    readonly args: Schema.Top
    readonly kind: string
    readonly reducers: ReadonlyArray<Reducer.Any>
  },
  options: BehaviorOptions<any, any, any, any>
) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const broadcasts = Option.getOrUndefined(yield* Effect.serviceOption(StoreBroadcasts))
    const events = Option.getOrUndefined(yield* Effect.serviceOption(SessionEvents))
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const { history: limit = 0, middleware = [] } = options
    if (!Number.isSafeInteger(limit) || limit < 0) {
      return yield* Effect.die(new RangeError(`store ${kind}: history must be a whole number, got ${limit}`))
    }
    const date = () => clock.currentTimeMillisUnsafe()
    const time = new MonotonicClock(clock)
    const cells = new WeakMap<Session.Self, StoreCell>()
    const cellOf = (self: Session.Self) => cells.get(self)!
    const initial = makeInitialState(reducers, args, options.init)
    const reach = makeReach(reducers)
    const gates = makeGates(reducers, () => time.now())
    const work = makeWork(reducers, cellOf)
    const hasHistory = limit > 0
    const handle = makeHandle({
      kind,
      middleware,
      hasHistory,
      reach,
      cellOf,
      gates,
      work,
      date,
      run,
      events,
      broadcasts
    })

    const begin = (self: Session.Self, state: Slices, isInitial: boolean): Slices => {
      cells.set(self, new StoreCell(state, isInitial, limit, reach))
      return state
    }

    const warnOfUnknownNames = (action: Action): Effect.Effect<void> => {
      const unknown = action.meta.reducers?.filter((name) => !Object.hasOwn(initial.slices, name)) ?? []
      return unknown.length === 0
        ? Effect.void
        : Effect.logWarning(
          `action ${action.type} names reducers that store ${kind} does not have: ${unknown.join(", ")}`
        )
    }

    const unmatched = (action: Action, self: Session.Self): Effect.Effect<void, never, any> => {
      const policy = options.unmatched ?? "log"
      if (typeof policy === "function") return policy(action, self)
      if (policy === "silent") return Effect.void
      const text = `no reducer of store ${kind} knows the action ${action.type}`
      return policy === "warn" ? Effect.logWarning(text) : Effect.logDebug(text)
    }

    const dispatch = (
      { payload: action, self, state }: Turn<Action>
    ): Slices | Effect.Effect<Slices, unknown, any> => {
      if (work.isStale(self, action)) return state
      const plan = reach(action)
      const { async, observers, targets } = plan
      if (!plan.known) {
        return Effect.as(Effect.andThen(warnOfUnknownNames(action), unmatched(action, self)), state)
      }
      if (!plan.gated && action.meta.reducers === undefined) {
        return handle(self, state, action, plan, { async, partly: false })
      }
      const { later, open } = gates.split(cellOf(self), targets)
      return Effect.gen(function*() {
        yield* warnOfUnknownNames(action)
        const handled = open.length === 0 && observers.length === 0
          ? state
          : handle(self, state, action, { targets: open, observers }, { async, partly: open.length < targets.length })
        const next = Effect.isEffect(handled) ? yield* handled : handled
        yield* gates.postpone(self, action, later)
        return next
      })
    }

    const fire = (
      { payload: { action, reducer }, self, state }: Turn<Fired>
    ): Slices | Effect.Effect<Slices, unknown, any> => {
      const plan = reach(action)
      const targets = plan.targets.filter((target) => target.reducer.name === reducer)
      // The observers have seen the action when it was dispatched.
      return handle(self, state, action, { targets, observers: [] }, { async: plan.async, partly: true })
    }

    /** An exit, so that a selector that throws is a defect of its caller, not of the session. */
    const select = (self: Session.Self, selector: (state: Slices) => unknown, state: Slices): Exit.Exit<unknown> => {
      try {
        return Exit.succeed(
          events?.active === true
            ? observed(selector, state, (event) => events.publish({ ...event, kind, id: self.id, at: date() }))
            : selector(state)
        )
      } catch (defect) {
        return Exit.die(defect)
      }
    }

    const restart = (self: Session.Self, state: Slices): Effect.Effect<Answer<Slices>> =>
      Effect.map(gates.cancelPostponed(self), () => {
        cellOf(self).restart(state)
        return [state, state] as const
      })

    return {
      init: ({ args, id, self }: Session.Start<unknown, any>) =>
        answer(initial.make(id, args), (state) => begin(self, state, true)),
      // History is not stored: it starts again.
      restore: ({ self, state }: Session.Restore<Slices, any>) => begin(self, initial.over(state), false),
      handlers: {
        Dispatch: (turn: Turn<Action>) => answer(dispatch(turn), withoutReply),
        DispatchWait: (turn: Turn<Action>) => answer(dispatch(turn), withState),
        Fire: (turn: Turn<Fired>) => answer(fire(turn), withoutReply),
        Select: ({ payload, self, state }: Turn<(state: Slices) => unknown>) => [state, select(self, payload, state)],
        History: ({ self, state }: Turn<void>) => [state, cellOf(self).steps()],
        Travel: ({ payload: version, self }: Turn<number>) => {
          const state = cellOf(self).travel(version)
          return state === undefined ? Effect.fail(VersionGone.of(version)) : [state, state]
        },
        Look: ({ payload: version, self, state }: Turn<number>) => {
          const found = cellOf(self).look(version)
          return found === undefined ? Effect.fail(VersionGone.of(version)) : [state, found.state]
        },
        Reset: ({ self }: Turn<void>) => {
          const state = cellOf(self).initial ?? initial.makeAgain(self.id)
          return Effect.isEffect(state)
            ? Effect.flatMap(Effect.orDie(state), (state) => restart(self, state))
            : restart(self, state)
        },
        Restore: ({ payload, self }: Turn<Slices>) => restart(self, payload),
        Cancel: ({ payload: id, self, state }: Turn<string>) => [state, cellOf(self).cancel(id)]
      },
      end: options.end,
      // A timer holds a debounced action, which a caller sent.
      deferred: new Set(["Fire"])
    }
  })
