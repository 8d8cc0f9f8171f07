/**
 * How fast is my own kind of session?
 *
 * Describe it in a module whose default export is a `benchKind(…)`, such as `bench/example-kind.ts`:
 *
 * ```ts
 * export default benchKind({
 *   name: "Cart",
 *   kind: Cart,
 *   layer: CartLayer,                                   // with everything but `Sessions.layer`, which the harness adds
 *   call: (cart) => cart.call("Total"),                 // a message with an answer
 *   cast: (cart) => cart.cast("Add", apple),            // a message without
 *   castUnsafe: (cart) => cart.castUnsafe("Add", apple) // optional: the same for callers outside Effect
 * })
 * ```
 *
 * and run it through all suites, beside the library's own reference kind and the naive baseline:
 *
 * ```sh
 * node --expose-gc --conditions=source bench/main.ts --module ./my-kind.ts
 * ```
 *
 * Limits, expiry and metrics are on, as in a program. `maxSessions` and `startRate` are raised so that the harness is not
 * refused; other settings are the defaults, or your own `settings`.
 */
import { type Context, Effect, Layer, Option, References } from "effect"
import { type Session, type SessionRef, Sessions, type SessionsConfig } from "effect-sessions"
import type * as Rpc from "effect/rpc/Rpc"
import type { Driver, Subject } from "./Subject.ts"

/** What `Sessions.layer` provides to the Layer of a kind. */
type Host = Layer.Success<ReturnType<typeof Sessions.layer>>

export interface KindBench<Self, State, Protocol extends Rpc.Any, Args, E, LE> {
  /** The name in the tables. Default: the name of the kind. */
  readonly name?: string | undefined
  /** The definition. */
  readonly kind: Context.Key<Self, Session.SessionKind<State, Protocol, Args, E>>
  /** The Layer of the kind, with everything it needs except the sessions. */
  readonly layer: Layer.Layer<Self, LE, Host>
  /** Settings of the sessions, over the raised limits. */
  readonly settings?: SessionsConfig.Options | undefined
  /** The arguments of `start`, for kinds that have some. */
  readonly start?: Session.StartOptions & { readonly args?: Args } | undefined
  /** A message with an answer. */
  readonly call: (ref: SessionRef.SessionRef<State, Protocol>) => Effect.Effect<unknown, unknown>
  /** Whether the answer is correct. Default: any answer is. */
  readonly isAnswer?: ((answer: unknown) => boolean) | undefined
  /** A message that is not waited for. */
  readonly cast: (ref: SessionRef.SessionRef<State, Protocol>) => Effect.Effect<void, unknown>
  /** The same from outside Effect. */
  readonly castUnsafe?: ((ref: SessionRef.SessionRef<State, Protocol>) => boolean) | undefined
  /** The same two messages with handlers that are Effects, if the others are pure. */
  readonly effectful?: {
    readonly call: (ref: SessionRef.SessionRef<State, Protocol>) => Effect.Effect<unknown, unknown>
    readonly castUnsafe: (ref: SessionRef.SessionRef<State, Protocol>) => boolean
  } | undefined
  /** The same to all. */
  readonly broadcast?:
    | ((kind: Session.SessionKind<State, Protocol, Args, E>) => Effect.Effect<unknown, unknown>)
    | undefined
}

/** Makes a subject from a kind of session. */
export const benchKind = <Self, State, Protocol extends Rpc.Any, Args, E, LE>(
  options: KindBench<Self, State, Protocol, Args, E, LE>
): Subject => ({
  name: options.name ?? options.kind.key.replace(/^.*\//, ""),
  open: Effect.gen(function*() {
    const settings: SessionsConfig.Options = {
      maxSessions: 2_000_000,
      startRate: { limit: 100_000_000, window: "1 minute" },
      ...options.settings
    }
    const context = yield* Layer.build(
      Layer.provideMerge(options.layer, Sessions.layer(settings)).pipe(
        Layer.provide(Layer.succeed(References.MinimumLogLevel, "Warn"))
      )
    )
    return yield* Effect.provide(makeDriver(options), context)
  })
})

const isTrue = (value: unknown) => value === true

const isFound = (value: unknown) => value !== undefined

const makeDriver = <Self, State, Protocol extends Rpc.Any, Args, E, LE>(
  { broadcast, call, cast, castUnsafe, effectful, isAnswer, kind, start }: KindBench<Self, State, Protocol, Args, E, LE>
): Effect.Effect<Driver, never, Self | Sessions> =>
  Effect.gen(function*() {
    const sessions = yield* kind
    const { sweep } = yield* Sessions
    const startArg = (start === undefined ? [] : [start]) as unknown as Session.StartArg<Args>
    const expiringArg = [{ ...start, idleTimeout: "1 millis" }] as unknown as Session.StartArg<Args>
    const castEffect = { type: "effect", run: (id: string) => cast(sessions.ref(id)) } as const
    return {
      create: { type: "effect", run: (id) => sessions.start(id, ...startArg), accept: isFound },
      call: { type: "effect", run: (id) => call(sessions.ref(id)), accept: isAnswer },
      cast: castUnsafe === undefined
        ? castEffect
        : { type: "function", run: (id) => castUnsafe(sessions.ref(id)), accept: isTrue },
      castEffect,
      effectful: effectful === undefined ? undefined : {
        call: { type: "effect", run: (id) => effectful.call(sessions.ref(id)), accept: isAnswer },
        cast: { type: "function", run: (id) => effectful.castUnsafe(sessions.ref(id)), accept: isTrue }
      },
      lookup: { type: "function", run: (id) => sessions.findUnsafe(id), accept: isFound },
      lookupEffect: { type: "effect", run: (id) => sessions.find(id), accept: Option.isSome },
      end: { type: "effect", run: (id) => sessions.end(id), accept: isTrue },
      touch: { type: "effect", run: (id) => sessions.ref(id).touch },
      startAll: (ids) => sessions.startAll(ids, ...startArg),
      endAll: (ids) => sessions.endAll(ids),
      broadcast: broadcast?.(sessions),
      callMissing: { type: "effect", run: (id) => Effect.flip(call(sessions.ref(id))) },
      startRefused: { type: "effect", run: (id) => Effect.flip(sessions.start(id, ...startArg)) },
      startExpired: (ids) => sessions.startAll(ids, ...expiringArg),
      sweep,
      count: sessions.count
    }
  })
