/**
 * Throttle and debounce: which reducers handle an action now, and which later.
 */
import * as Effect from "effect/Effect"
import type * as Session from "../../../contract/Session.ts"
import type { Action } from "../../../store/Action.ts"
import type * as Reducer from "../../../store/Reducer.ts"
import type { Fired } from "./actionSchema.ts"
import type { Target } from "./routing.ts"
import type { StoreCell } from "./StoreCell.ts"

/** A reducer that handles the action after a pause, in milliseconds. */
interface Later {
  readonly target: Target
  readonly pause: number
}

/** Names an action of a reducer: the key of its throttle, and of its debounce timer. */
const gateOf = ({ reducer, short }: Target): string => `${reducer.name} ${short}`

/** @param now the monotonic time in milliseconds */
export const makeGates = (reducers: ReadonlyArray<Reducer.Any>, now: () => number) => {
  const debounces = reducers.flatMap((reducer) =>
    Object.keys(reducer.debounce).map((short) => gateOf({ reducer, short }))
  )
  const hasThrottles = reducers.some(({ throttle }) => Object.keys(throttle).length > 0)
  return {
    /** Splits the targets into those that handle the action now and later. Throttled ones are in neither. */
    split: (cell: StoreCell, targets: ReadonlyArray<Target>) => {
      const later: Array<Later> = []
      const open = targets.filter((target) => {
        const { reducer, short } = target
        const pause = reducer.debounce[short]
        if (pause !== undefined) {
          later.push({ target, pause })
          return false
        }
        const throttle = reducer.throttle[short]
        if (throttle === undefined) return true
        const handledAt = cell.handledAt.get(gateOf(target))
        return handledAt === undefined || now() >= handledAt + throttle
      })
      return { later, open: open.length === targets.length ? targets : open }
    },

    /** Starts the throttles of the targets that have handled an action. */
    handled: (cell: StoreCell, targets: ReadonlyArray<Target>): void => {
      if (!hasThrottles) return
      for (const target of targets) {
        if (target.reducer.throttle[target.short] !== undefined) cell.handledAt.set(gateOf(target), now())
      }
    },

    /** Sets the debounce timers; each replaces the one that runs. */
    postpone: (self: Session.Self, action: Action, later: ReadonlyArray<Later>): Effect.Effect<void> =>
      Effect.forEach(later, ({ pause, target }) => {
        const fired: Fired = { action, reducer: target.reducer.name }
        return self.after(pause, "Fire", fired, { key: gateOf(target) })
      }, { discard: true }),

    /** Cancels all debounce timers. */
    cancelPostponed: (self: Session.Self): Effect.Effect<void> =>
      Effect.forEach(debounces, (key) => self.cancelTimer(key), { discard: true })
  }
}

export type Gates = ReturnType<typeof makeGates>
