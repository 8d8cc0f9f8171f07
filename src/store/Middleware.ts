/**
 * Middlewares: functions around the reducers of a store, to log, validate or change actions.
 *
 * Middlewares run in the given order, each around the rest. A middleware passes an action on with `next`, the same or another
 * one, or stops it by failing with `ActionStopped`. A failure undoes what `next` did. Each call of `next` handles the action
 * once; a call after the middleware has returned is a defect.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"
import type { Self } from "../contract/Session.ts"
import type { Action } from "./Action.ts"
import { ActionStopped } from "./StoreError.ts"

/**
 * The argument of a middleware.
 *
 * @since 0.1.0
 * @category models
 */
export interface Passing<out State> {
  readonly action: Action
  /** The state before the action. */
  readonly state: State
  readonly self: Self
}

/**
 * Passes the action on and gives the state after it.
 *
 * @since 0.1.0
 * @category models
 */
export type Next<State> = (action: Action) => Effect.Effect<State, ActionStopped>

/**
 * A middleware, for all stores whose state extends `State`. Returns the state that `next` gave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Middleware<in State = any, out R = never> {
  <S extends State>(passing: Passing<S>, next: Next<S>): Effect.Effect<S, ActionStopped, R>
}

/**
 * Logs the type of every action, and whether it changed the state. Default level: Debug.
 *
 * @since 0.1.0
 * @category middlewares
 */
export const logging = (level: LogLevel.Severity = "Debug"): Middleware => ({ action, state }, next) =>
  Effect.tap(
    next(action),
    (after) => Effect.logWithLevel(level)(`action ${action.type}${after === state ? " changed nothing" : ""}`)
  )

/**
 * Stops the actions for which the check returns a reason: it is the message of `ActionStopped`.
 *
 * @since 0.1.0
 * @category middlewares
 */
export const validation = <State = any>(
  check: (action: Action, state: State) => string | undefined
): Middleware<State> =>
(passing, next) => {
  const reason = check(passing.action, passing.state)
  return reason === undefined
    ? next(passing.action)
    : Effect.fail(new ActionStopped({ type: passing.action.type, message: reason }))
}

/**
 * Runs an Effect after each action, with the state before and after it.
 *
 * @since 0.1.0
 * @category middlewares
 */
export const after = <State = any, R = never>(
  effect: (action: Action, state: State, before: State) => Effect.Effect<unknown, never, R>
): Middleware<State, R> =>
({ action, state: before }, next) => Effect.tap(next(action), (state) => effect(action, state, before))
