/**
 * What an action passes before it reaches the reducers, and on its way back.
 *
 * Middlewares run in the order in which they are given, each around the rest: it hands the action on with `next`, the
 * same one or another, or it stops the action by failing with `ActionStopped`. One that fails takes back what was done
 * further in. An action is handled as often as `next` is called, which must be while the middleware runs.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as LogLevel from "effect/LogLevel"
import type { Self } from "../contract/Session.ts"
import type { Action } from "./Action.ts"
import { ActionStopped } from "./StoreError.ts"

/**
 * What a middleware gets.
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
 * Hands the action on and gives the state after it.
 *
 * @since 0.1.0
 * @category models
 */
export type Next<State> = (action: Action) => Effect.Effect<State, ActionStopped>

/**
 * A middleware, for all stores whose state has what `State` has. What it gives is the state that the next one outside
 * sees; it is what `next` gave.
 *
 * @since 0.1.0
 * @category models
 */
export interface Middleware<in State = any, out R = never> {
  <S extends State>(passing: Passing<S>, next: Next<S>): Effect.Effect<S, ActionStopped, R>
}

/**
 * Logs every action with its type, and whether it changed the state. Default level: Debug.
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
 * Stops actions for which the check gives a reason.
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
