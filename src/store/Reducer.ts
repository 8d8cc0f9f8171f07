/**
 * Reducers: a named slice of a store's state, and how actions change it.
 *
 * A reducer is a plain value that several kinds of store can share. It declares its actions with the schemas of their
 * payloads, from which `Store.dispatch` is typed.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import type { Self } from "../contract/Session.ts"
import type { Action, Meta } from "./Action.ts"

/**
 * The actions of a reducer: the schema of each payload; `Schema.Void` for none.
 *
 * @since 0.1.0
 * @category models
 */
export type Actions = Readonly<Record<string, Schema.Top>>

/**
 * The argument of an asynchronous action.
 *
 * @since 0.1.0
 * @category models
 */
export interface Work<out State, out Payload> {
  readonly payload: Payload
  readonly meta: Meta
  /** The present slice, whenever it is run. */
  readonly state: Effect.Effect<State>
  /** Dispatches an action, by its full type, to the store. */
  readonly dispatch: (type: string, payload?: unknown, meta?: Meta) => Effect.Effect<void>
  readonly self: Self
}

/**
 * What happens when an asynchronous action is dispatched while its earlier work runs:
 *
 * - `"all"` (default): both run;
 * - `"latest"`: the earlier work is cancelled.
 *
 * @since 0.1.0
 * @category models
 */
export type Concurrency = "latest" | "all"

/**
 * A reducer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reducer<
  Name extends string,
  Prefix extends string,
  in out State extends Schema.Top,
  out A extends Actions,
  out R
> {
  readonly name: Name
  readonly prefix: Prefix
  readonly state: State
  readonly initial: State["Type"]
  readonly actions: A
  readonly on: Readonly<Record<string, (state: State["Type"], payload: any) => State["Type"]>>
  readonly catchAll: ((state: State["Type"], action: Action) => State["Type"]) | undefined
  readonly async: Readonly<Record<string, (work: Work<State["Type"], any>) => Effect.Effect<unknown, unknown, R>>>
  readonly concurrency: Concurrency
  /** In milliseconds, by action. */
  readonly throttle: Readonly<Record<string, number>>
  /** In milliseconds, by action. */
  readonly debounce: Readonly<Record<string, number>>
}

/**
 * Any reducer.
 *
 * @since 0.1.0
 * @category models
 */
export type Any = Reducer<string, string, any, any, any>

/**
 * How long to throttle or debounce: a duration, or a short form ("500ms", "1s", "5m", "1h").
 *
 * @since 0.1.0
 * @category models
 */
export type Pause = Duration.Input | `${number}${"ms" | "s" | "m" | "h"}`

/**
 * The full types of a reducer's actions and their payloads.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Dispatchable<R> = R extends Reducer<string, infer Prefix, any, infer A, any> ? {
    readonly [K in keyof A & string as Prefix extends "" ? K : `${Prefix}.${K}`]: A[K]["Type"]
  }
  : never

/**
 * The services that the work of a reducer needs.
 *
 * @since 0.1.0
 * @category utility types
 */
export type WorkServices<W> = {
  readonly [K in keyof W]: W[K] extends (work: any) => infer Out ? EffectServices<Out> : never
}[keyof W]

type EffectServices<Out> = Out extends Effect.Effect<any, any, infer R> ? R : never

const namePattern = /^[A-Za-z][A-Za-z0-9_-]*$/

/**
 * Makes a reducer.
 *
 * - `prefix`: with `"counter"`, the action `counter.set` reaches the reducer as `set`. Without a prefix, actions have their
 *   declared names, and `catchAll` gets every action of the store.
 * - `on`: pure functions from the slice and the payload to the next slice. To return `undefined`, unless the schema of the
 *   slice allows it, is a defect; the action has no effect.
 * - `async`: Effects that run beside the session. An action may be in both: `on` runs first. A function that throws
 *   instead of returning an Effect is a defect.
 * - `throttle`: an action is handled at most once in this time; later ones are dropped.
 * - `debounce`: an action is handled once no other of its type came for this time; earlier ones are dropped. In a kind with
 *   `snapshots` the pending action is stored, encoded with the schema of its payload. Otherwise an action that is pending
 *   when the session ends becomes a dead letter (`Fire`, with the action).
 *
 * Throws a `TypeError` for a malformed name or prefix, an action without a handler, a handler or pause of an undeclared
 * action, a pause that is not a duration, and `catchAll` with a prefix.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = <
  const Name extends string,
  State extends Schema.Top,
  const A extends Actions,
  const Prefix extends string = "",
  W = {}
>(name: Name, options: {
  readonly prefix?: Prefix | undefined
  readonly state: State
  readonly initial: NoInfer<State["Type"]>
  readonly actions: A
  readonly on?:
    | { readonly [K in keyof A]?: (state: State["Type"], payload: A[K]["Type"]) => State["Type"] }
    | undefined
  readonly catchAll?: ((state: State["Type"], action: Action) => State["Type"]) | undefined
  readonly async?:
    | (
      & W
      & { readonly [K in keyof A]?: (work: Work<State["Type"], A[K]["Type"]>) => Effect.Effect<unknown, unknown, any> }
      & { readonly [K in Exclude<keyof W, keyof A>]: never }
    )
    | undefined
  readonly concurrency?: Concurrency | undefined
  readonly throttle?: { readonly [K in keyof A]?: Pause } | undefined
  readonly debounce?: { readonly [K in keyof A]?: Pause } | undefined
}): Reducer<Name, Prefix, State, A, WorkServices<W>> => {
  const invalid = (text: string): never => {
    throw new TypeError(`reducer ${name}: ${text}`)
  }
  if (!namePattern.test(name)) {
    throw new TypeError(
      `"${name}" is not a name for a reducer: it starts with a letter and has letters, digits, _ or -`
    )
  }
  const prefix = options.prefix ?? ""
  if (prefix !== "" && !namePattern.test(prefix)) {
    invalid(`"${prefix}" is not a prefix: it starts with a letter and has letters, digits, _ or -`)
  }
  if (prefix !== "" && options.catchAll !== undefined) invalid("a reducer with a prefix cannot have catchAll")
  // oxlint-disable-next-line no-restricted-properties
  const { actions, async = {}, on = {} } = options
  for (const [what, map] of Object.entries({ on, async, throttle: options.throttle, debounce: options.debounce })) {
    for (const action of Object.keys(map ?? {})) {
      if (!Object.hasOwn(actions, action)) invalid(`${what} names ${action}, which is not among its actions`)
    }
  }
  for (const action of Object.keys(actions)) {
    if (!Object.hasOwn(on, action) && !Object.hasOwn(async, action)) invalid(`nothing handles its action ${action}`)
  }
  const pauses = (what: string, map: Readonly<Record<string, Pause | undefined>> | undefined) =>
    byAction(
      map ?? {},
      (pause: Pause, action) =>
        pauseMillis(pause) ?? invalid(`${what} of ${action} is not a duration: ${String(pause)}`)
    )
  return {
    name,
    prefix: prefix as Prefix,
    state: options.state,
    initial: options.initial,
    actions,
    on: byAction(on, (handler: any) => handler),
    catchAll: options.catchAll,
    async: byAction(async, (work: any) => work),
    concurrency: options.concurrency ?? "all",
    throttle: pauses("throttle", options.throttle as never),
    debounce: pauses("debounce", options.debounce as never)
  }
}

/** Maps the values by action. The result has no prototype: an action may have the name of an inherited property. */
const byAction = <A, B>(
  map: Readonly<Record<string, A | undefined>>,
  f: (value: A, action: string) => B
): Readonly<Record<string, B>> => {
  const out: Record<string, B> = Object.create(null)
  for (const [action, value] of Object.entries(map)) if (value !== undefined) out[action] = f(value, action)
  return out
}

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

const pauseMillis = (pause: Pause): number | undefined => {
  const short = typeof pause === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(pause) : null
  const millis = short !== null
    ? Number(short[1]) * units[short[2] as keyof typeof units]
    : Option.getOrUndefined(Option.map(Duration.fromInput(pause as Duration.Input), Duration.toMillis))
  return millis !== undefined && millis > 0 && Number.isFinite(millis) ? millis : undefined
}
