/**
 * A named part of a store's state, and what actions do to it.
 *
 * A reducer is a value without a runtime: the same one serves several kinds of store. It declares its actions with
 * the schemas of their payloads; types of dispatchers are derived from them.
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
 * What the Effect of an asynchronous action gets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Work<out State, out Payload> {
  readonly payload: Payload
  readonly meta: Meta
  /** The slice as it is now, also later. */
  readonly state: Effect.Effect<State>
  /** Dispatches an action, by its full type, to the store. */
  readonly dispatch: (type: string, payload?: unknown, meta?: Meta) => Effect.Effect<void>
  readonly self: Self
}

/**
 * When an asynchronous action is dispatched while its work of before still runs:
 *
 * - `"all"` (default): both run;
 * - `"latest"`: the one before is cancelled.
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
  /** Milliseconds by action. */
  readonly throttle: Readonly<Record<string, number>>
  /** Milliseconds by action. */
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
 * How long to throttle or debounce: a duration, or one in short ("500ms", "1s", "5m", "1h").
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
 * - `prefix`: with `"counter"`, the action `counter.set` reaches it as `set`. Without one its actions have their full
 *   types, and `catchAll` sees every action of the store.
 * - `on`: pure functions, from the slice and the payload to the next slice. One that gives `undefined`, where that is no
 *   state of the slice, is a defect: the action has not happened.
 * - `async`: Effects that run beside the session. An action may have both: `on` runs first. A function that throws
 *   instead of giving an Effect is a defect, too.
 * - `throttle`: an action is handled at most once in that time, the first one that is handled counts.
 * - `debounce`: an action is handled when none of its type came for that time, the last one counts. In a kind with
 *   `snapshots` it is kept until then, by the schema of its payload; otherwise one that is put off when the session ends is
 *   a dead letter (`Fire`, with the action).
 *
 * What cannot work throws at once, with a clear text: a bad name or prefix, an action that nothing handles, a handler
 * or a pause for an action that is not declared, a pause that is not a duration.
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
  if (prefix !== "" && options.catchAll !== undefined) invalid("one with a prefix does not see all actions")
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

/** What is given for some actions. It has no prototype: an action may be named as what objects inherit. */
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
