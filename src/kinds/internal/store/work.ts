/**
 * The work of asynchronous actions: Effects that run beside the session and dispatch further actions to it.
 */
import * as Effect from "effect/Effect"
import type * as Session from "../../../contract/Session.ts"
import { type Action, make as makeAction, type Meta } from "../../../store/Action.ts"
import type * as Reducer from "../../../store/Reducer.ts"
import type { Target } from "./routing.ts"
import type { StoreCell } from "./StoreCell.ts"

/** Work that an action starts. */
export interface Job {
  readonly id: string
  /** Cancels the work that runs under the same id. */
  readonly isAlone: boolean
  readonly effect: Effect.Effect<unknown, unknown, any>
}

export const makeWork = (reducers: ReadonlyArray<Reducer.Any>, cellOf: (self: Session.Self) => StoreCell) => {
  /** The era in which work dispatched an action. */
  const eras = reducers.some(({ async }) => Object.keys(async).length > 0) ? new WeakMap<Action, object>() : undefined
  return {
    /** `true` for an action that work dispatched before a reset or restore cancelled that work. */
    isStale: (self: Session.Self, action: Action): boolean => {
      const era = eras?.get(action)
      return era !== undefined && era !== cellOf(self).era
    },

    /** The work of an action. A function that throws, or gives no Effect, is a defect of the action. */
    jobsOf: (self: Session.Self, { meta, payload, type }: Action, targets: ReadonlyArray<Target>): Array<Job> => {
      const jobs: Array<Job> = []
      for (const { reducer: { async, concurrency, name }, short } of targets) {
        const work = async[short]
        if (work === undefined) continue
        const { era } = cellOf(self)
        const effect = work({
          payload,
          meta,
          state: Effect.sync(() => cellOf(self).state[name]),
          dispatch: (type: string, payload?: unknown, meta?: Meta) =>
            Effect.suspend(() => {
              const action = makeAction(type, payload, meta)
              eras!.set(action, era)
              // Work may outlast its session: then nobody needs the action.
              return Effect.ignore(self.cast("Dispatch", action))
            }),
          self
        })
        if (!Effect.isEffect(effect)) throw new TypeError(`reducer ${name}: the work of ${short} is not an Effect`)
        jobs.push({ id: meta.id ?? type, isAlone: concurrency === "latest", effect })
      }
      return jobs
    },

    start: (self: Session.Self, jobs: ReadonlyArray<Job>): Effect.Effect<void> =>
      Effect.forEach(jobs, ({ effect, id, isAlone }) =>
        Effect.suspend(() => {
          const cell = cellOf(self)
          if (isAlone) cell.cancel(id)
          return Effect.map(self.fork(effect), (fiber) => cell.track(id, fiber)) as Effect.Effect<void>
        }), { discard: true })
  }
}

export type Work = ReturnType<typeof makeWork>
