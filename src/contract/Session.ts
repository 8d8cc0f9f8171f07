/**
 * The definition of a kind of session: its state, the messages it takes, and how it behaves.
 *
 * A definition is a class and a service. The class is the contract: schemas and types, safe to import in a browser.
 * `toLayer` adds the behavior and registers the kind with the sessions of the program. Yielding the class gives the
 * typed sessions of this kind.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Result from "effect/Result"
import type * as Rpc from "effect/rpc/Rpc"
import * as RpcSchema from "effect/rpc/RpcSchema"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { EndReason } from "./EndReason.ts"
import type { KindOptions } from "./KindOptions.ts"
import type { CastError, InvalidConfig, LoadError, ReachError, StartError } from "./SessionError.ts"
import { SessionHost } from "./SessionHost.ts"
import type { EndOptions, Message, PayloadArg, Reached, SessionRef, Tag } from "./SessionRef.ts"

/**
 * Options of starting a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface StartOptions {
  /** Replaces the kind's idle timeout for this session. */
  readonly idleTimeout?: Duration.Input | undefined
  /**
   * Anything worth knowing about the session, for operators and for its handlers. If the kind has `snapshots`, the
   * metadata must be JSON.
   */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  /** The user to whom the session belongs: see `Sessions.ofUser`. */
  readonly user?: string | undefined
  /** The client's address, for the limit of starts per address. */
  readonly address?: string | undefined
}

/**
 * The options argument of `start`: optional unless the kind needs arguments.
 *
 * @since 0.1.0
 * @category utility types
 */
export type StartArg<Args> = undefined extends Args ? [options?: StartOptions & { readonly args?: Args }]
  : [options: StartOptions & { readonly args: Args }]

/**
 * The sessions of one kind: what yielding a definition gives.
 *
 * @since 0.1.0
 * @category models
 */
export interface SessionKind<in out State, in out Protocol extends Rpc.Any, in out Args, out E> {
  readonly kind: string

  /**
   * Finds the session or starts it. A live one is found whatever the limits say, and finding it counts as
   * activity; `args` are used only when it really starts.
   */
  start(id: string, ...options: StartArg<Args>): Effect.Effect<SessionRef<State, Protocol>, E | StartError>

  /** Starts many at once and gives a result for each id. */
  startAll(
    ids: Iterable<string>,
    ...options: StartArg<Args>
  ): Effect.Effect<Map<string, Result.Result<SessionRef<State, Protocol>, E | StartError>>>

  /** The live session with this id, if any. */
  find(id: string): Effect.Effect<Option.Option<SessionRef<State, Protocol>>, LoadError>

  /**
   * `find` for a visitor from outside with a credential that the session must recognise; counts as activity. A kind with
   * `snapshots` asks the store whether this process still owns the session: if another process took it over, or ended it,
   * the copy in memory leaves with `Moved`, and what the other one wrote counts. In a cluster, it is one request to the node
   * that owns the session.
   *
   * A session that was never saved (`save: "atEnd"`, or nothing changed yet) exists in this process only. If another process
   * starts one under the same id, `reach` notices that for as long as the store remembers epochs, one hour by default.
   */
  reach(id: string): Effect.Effect<Option.Option<Reached<State, Protocol>>, LoadError>

  /** `find` for callers outside Effect. */
  findUnsafe(id: string): SessionRef<State, Protocol> | undefined

  /** The live session with this id, or `SessionNotFound`. */
  get(id: string): Effect.Effect<SessionRef<State, Protocol>, ReachError>

  /** The address of a session, live or not. */
  ref(id: string): SessionRef<State, Protocol>

  /** Is a session with this id live? */
  has(id: string): Effect.Effect<boolean, LoadError>

  /** All live sessions of this kind. */
  readonly list: Effect.Effect<Array<SessionRef<State, Protocol>>>

  /** How many sessions of this kind are live. */
  readonly count: Effect.Effect<number>

  /** The ids that match: a text in which `*` stands for any characters, or a regular expression. */
  match(pattern: string | RegExp): Effect.Effect<Array<string>>

  /** Ends the session, see `SessionRef.end`. `false` when there was none, which is fine. */
  end(id: string, options?: EndOptions): Effect.Effect<boolean, LoadError>

  /**
   * Ends many at once; for each id whether there was one. Without ids: all of this kind that are in memory. Fails with
   * the first error of a store when all have ended.
   */
  endAll(ids?: Iterable<string>, options?: EndOptions): Effect.Effect<Map<string, boolean>, LoadError>

  /** Casts to every live session of this kind and gives the number that accepted it. */
  broadcast<const T extends Tag<Protocol>>(
    tag: T,
    ...payload: PayloadArg<Message<Protocol, T>>
  ): Effect.Effect<number>
}

/**
 * A session as its own handlers see it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Self<in out Protocol extends Rpc.Any = any> {
  readonly kind: string
  readonly id: string
  readonly epoch: number
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** Milliseconds since 1970. */
  readonly lastActiveAt: number
  readonly user: string | undefined
  readonly metadata: Readonly<Record<string, unknown>>
  /** The session's Scope: what is acquired in it is released when the session ends or is reset. */
  readonly scope: Scope.Scope

  /** Sends a message to this session itself. It is handled after the messages that already wait. */
  cast<const T extends Tag<Protocol>>(
    tag: T,
    ...payload: PayloadArg<Message<Protocol, T>>
  ): Effect.Effect<void, CastError>

  /**
   * Runs work beside the session. It is interrupted when the session ends or is reset; a failure is an event
   * and a log, and does not touch the session.
   */
  fork<A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Fiber.Fiber<A, E>, never, R>

  /**
   * Sends a message to this session after a delay: at once if the delay is zero or negative, never if it is
   * `Infinity`. Timers end with the session and do not count as activity. A session that is ending sets none. A timer
   * with a `key` replaces the timer that had the key. The message of a timer that is cancelled or replaced before its
   * handler begins is not handled.
   *
   * The timers of a stored session are restored with it, before `restore` and `afterStart` run. If these set a timer
   * without a key again, with the same message and payload, the restored timer goes on and no second one is added. A
   * timer with a key replaces the restored one, whose message is still sent if it is due.
   */
  after<const T extends Tag<Protocol>>(
    delay: Duration.Input,
    tag: T,
    ...args: [...payload: PayloadArg<Message<Protocol, T>>, options?: { readonly key?: string | undefined }]
  ): Effect.Effect<Timer>

  /**
   * Sends a message to this session at an interval, counted from now. While one of its messages waits, no second one
   * is sent. Missed times are skipped, and the phase stays. A repeating timer that `restore` or `afterStart` sets
   * replaces the restored timer with the same message or key, and fires no later than that would have. Dies if the
   * interval is shorter than a millisecond.
   */
  every<const T extends Tag<Protocol>>(
    interval: Duration.Input,
    tag: T,
    ...args: [...payload: PayloadArg<Message<Protocol, T>>, options?: { readonly key?: string | undefined }]
  ): Effect.Effect<Timer>

  /**
   * Stops the timer with this key, also a restored one. Returns `false` if there is none, or if its message is being
   * handled.
   */
  cancelTimer(key: string): Effect.Effect<boolean>

  /**
   * Ends this session after the current message and the messages accepted before. Does not wait. If the session is
   * stored, the reply to the current message waits until the store has recorded the end.
   */
  end(detail?: unknown): Effect.Effect<void>

  /** Counts as activity. */
  readonly touch: Effect.Effect<void>

  /**
   * Sets the user to whom the session belongs; `undefined` for none. If the session is stored, the reply to the
   * current message waits until the user is written, whatever the kind's save policy.
   */
  setUser(user: string | undefined): Effect.Effect<void>

  /**
   * Adds to the metadata, which is written like the user of `setUser`. Dies of `InvalidMetadata` if the session is
   * stored and the metadata is not JSON.
   */
  setMetadata(metadata: Readonly<Record<string, unknown>>): Effect.Effect<void>
}

/**
 * A timer of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Timer {
  /** Stops the timer. Returns `false` if it was stopped before, or if its only message is being handled or was. */
  readonly cancel: Effect.Effect<boolean>
}

/**
 * The session whose handler is running. Helpers that handlers call can yield it instead of being passed
 * the session.
 *
 * @since 0.1.0
 * @category services
 */
export class CurrentSession extends Context.Service<CurrentSession, Self>()("effect-sessions/CurrentSession") {}

/**
 * The services that the runtime itself gives to `init`, handlers and hooks.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Provided = CurrentSession | Scope.Scope

/**
 * What a handler gets: the state, the payload, and the session itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Turn<out State, out Payload, in out Protocol extends Rpc.Any> {
  readonly state: State
  readonly payload: Payload
  readonly self: Self<Protocol>
}

/**
 * What a handler gives: the next state and the answer. The answer may be left out when it is void.
 *
 * @since 0.1.0
 * @category models
 */
export type Next<State, R extends Rpc.Any> = void extends Rpc.Success<R> ?
  readonly [state: State, reply?: Rpc.Success<R>]
  : readonly [state: State, reply: Rpc.Success<R>]

/**
 * The handlers of a protocol: pure functions, or functions to an Effect that fails only with the
 * message's declared error.
 *
 * @since 0.1.0
 * @category models
 */
export type Handlers<State, Protocol extends Rpc.Any> = {
  readonly [R in Protocol as R["_tag"]]: (
    turn: Turn<State, Rpc.Payload<R>, Protocol>
  ) => Next<State, R> | Effect.Effect<Next<State, R>, Rpc.Error<R>, any>
}

/**
 * The behavior of a kind. Make it with the definition's `behavior`, which infers all the types.
 *
 * @since 0.1.0
 * @category models
 */
export interface Behavior<in out State, in out Protocol extends Rpc.Any, in out Args, out E, out R> {
  readonly init: (start: Start<Args, Protocol>) => State | Effect.Effect<State, E, R>
  readonly handlers: {
    readonly [M in Protocol as M["_tag"]]: (
      turn: Turn<State, Rpc.Payload<M>, Protocol>
    ) => Next<State, M> | Effect.Effect<Next<State, M>, Rpc.Error<M>, R>
  }
  readonly restore?: ((start: Restore<State, Protocol>) => State | Effect.Effect<State, E, R>) | undefined
  readonly afterStart?: ((turn: Turn<State, void, Protocol>) => Effect.Effect<State | void, E, R>) | undefined
  readonly end?: ((turn: Ending<State, Protocol>) => Effect.Effect<void, never, R>) | undefined
  /**
   * The tags of messages that callers have sent and that a timer holds back, such as debounced actions. If the session ends
   * or is reset before such a timer fires, and the timer is not stored with it, the message becomes a dead letter. Default:
   * none; the messages of timers end with the session.
   */
  readonly deferred?: ReadonlySet<Protocol["_tag"]> | undefined
}

/**
 * What `init` gets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Start<out Args, in out Protocol extends Rpc.Any> {
  readonly id: string
  readonly args: Args
  readonly self: Self<Protocol>
}

/**
 * What the hook gets that takes a session from the store over.
 *
 * @since 0.1.0
 * @category models
 */
export interface Restore<out State, in out Protocol extends Rpc.Any> {
  readonly id: string
  readonly state: State
  readonly self: Self<Protocol>
}

/**
 * What the end hook gets.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ending<out State, in out Protocol extends Rpc.Any> {
  readonly state: State
  readonly reason: EndReason
  readonly self: Self<Protocol>
}

type EffectServices<Out> = Out extends Effect.Effect<any, any, infer R> ? R : never

type ServicesOf<F> = F extends (...args: any) => infer Out ? EffectServices<Out> : never

/**
 * The services that a map of handlers needs.
 *
 * @since 0.1.0
 * @category utility types
 */
export type HandlersServices<H> = { readonly [K in keyof H]: ServicesOf<H[K]> }[keyof H]

/**
 * A definition: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition<
  in out Self,
  Name extends string,
  State extends Schema.Top,
  Protocol extends Rpc.Any,
  Args extends Schema.Top,
  E extends Schema.Top
> extends
  Context.ServiceClass<
    Self,
    `effect-sessions/kind/${Name}`,
    SessionKind<State["Type"], Protocol, Args["Type"], E["Type"]>
  >
{
  readonly kind: Name
  readonly state: State
  readonly protocol: ReadonlyMap<string, Protocol>
  readonly args: Args
  readonly error: E

  /**
   * A behavior for this kind. Infers payloads, answers, errors and required services.
   *
   * - `init`: the first state, or an Effect that loads it; it may acquire resources in the session's Scope.
   * - `restore`: runs in place of `init` for a session that comes from the `SnapshotStore`, with its state; it may
   *   acquire resources, and gives the state to go on with. Default: the state as it is.
   * - `handlers`: one per message.
   * - `afterStart`: work that goes on after `start` returned and before the first message; what it gives is
   *   the next state, its failure ends the session with `Stopped` and the error as detail.
   * - `end`: runs once when the session ends, with the reason.
   */
  readonly behavior: <
    H extends Handlers<State["Type"], Protocol>,
    RInit = never,
    RAfter = never,
    REnd = never,
    RRestore = never
  >(behavior: {
    readonly init: (
      start: Start<Args["Type"], Protocol>
    ) => State["Type"] | Effect.Effect<State["Type"], E["Type"], RInit>
    readonly restore?:
      | ((
        start: Restore<State["Type"], Protocol>
      ) => State["Type"] | Effect.Effect<State["Type"], E["Type"], RRestore>)
      | undefined
    readonly handlers: H & { readonly [K in Exclude<keyof H, Tag<Protocol>>]: never }
    readonly afterStart?:
      | ((turn: Turn<State["Type"], void, Protocol>) => Effect.Effect<State["Type"] | void, E["Type"], RAfter>)
      | undefined
    readonly end?: ((ending: Ending<State["Type"], Protocol>) => Effect.Effect<void, never, REnd>) | undefined
  }) => Behavior<
    State["Type"],
    Protocol,
    Args["Type"],
    E["Type"],
    Exclude<HandlersServices<H> | RInit | RAfter | REnd | RRestore, Provided>
  >

  /**
   * The Layer that registers this kind with its behavior and provides its typed sessions. The options set the kind's
   * supervision, overflow policy, timeouts and limits.
   */
  readonly toLayer: <R, EX = never, RX = never>(
    build:
      | Behavior<State["Type"], Protocol, Args["Type"], E["Type"], R>
      | Effect.Effect<Behavior<State["Type"], Protocol, Args["Type"], E["Type"], R>, EX, RX>,
    options?: KindOptions<Tag<Protocol>>
  ) => Layer.Layer<Self, EX | InvalidConfig, SessionHost | R | Exclude<RX, Scope.Scope>>
}

/**
 * A definition of any kind.
 *
 * @since 0.1.0
 * @category models
 */
export interface Any {
  readonly key: string
  readonly kind: string
  readonly state: Schema.Top
  readonly protocol: ReadonlyMap<string, Rpc.Any>
  readonly args: Schema.Top
  readonly error: Schema.Top
}

/**
 * The state of a kind.
 *
 * @since 0.1.0
 * @category utility types
 */
export type State<D extends Any> = D["state"]["Type"]

/**
 * The messages of a kind.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Protocol<D extends Any> = D["protocol"] extends ReadonlyMap<string, infer R extends Rpc.Any> ? R : never

/**
 * The ref type of a kind.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Ref<D extends Any> = SessionRef<State<D>, Protocol<D>>

const kindPattern = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/

/**
 * Defines a kind of session.
 *
 * ```ts
 * class Cart extends Session.Service<Cart>()("Cart", {
 *   state: Schema.Struct({ items: Schema.Array(Item) }),
 *   protocol: [
 *     Rpc.make("Add", { payload: Item, success: Schema.Int, error: OutOfStock }),
 *     Rpc.make("Clear")
 *   ]
 * }) {}
 * ```
 *
 * `args` are what `start` needs, `error` is what `init` and `afterStart` may fail with. A malformed name,
 * a message defined twice or a streaming message is a defect of the program and throws at once.
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<
  const Name extends string,
  State extends Schema.Top,
  const Messages extends ReadonlyArray<Rpc.Any>,
  Args extends Schema.Top = Schema.Void,
  E extends Schema.Top = Schema.Never
>(name: Name, options: {
  readonly state: State
  readonly protocol: Messages
  readonly args?: Args | undefined
  readonly error?: E | undefined
}): Definition<Self, Name, State, Messages[number], Args, E> => {
  if (!kindPattern.test(name)) {
    throw new TypeError(
      `"${name}" is not a name for a kind of session: it starts with a letter and has at most 64 letters, digits, _ or -`
    )
  }
  const protocol = new Map<string, Rpc.Any>()
  for (const message of options.protocol) {
    if (protocol.has(message._tag)) {
      throw new TypeError(`session kind ${name}: the message ${message._tag} is defined twice`)
    }
    if (RpcSchema.isStreamSchema((message as Rpc.AnyWithProps).successSchema)) {
      throw new TypeError(`session kind ${name}: the message ${message._tag} streams; watch the state instead`)
    }
    protocol.set(message._tag, message)
  }
  const definition = Context.Service<Self, never>()(`effect-sessions/kind/${name}`)
  return Object.assign(definition, {
    kind: name,
    state: options.state,
    protocol,
    args: options.args ?? Schema.Void,
    error: options.error ?? Schema.Never,
    behavior: (behavior: unknown) => behavior,
    toLayer(
      this: Any & Context.Key<Self, never>,
      build: unknown,
      kindOptions?: KindOptions<string>
    ): Layer.Layer<Self, unknown, unknown> {
      return Layer.effect(
        this,
        Effect.gen({ self: this }, function*() {
          const host = yield* SessionHost
          const behavior = Effect.isEffect(build) ? yield* build : build
          const context = yield* Effect.context<never>()
          return (yield* host.register(
            this,
            behavior as Behavior<any, any, any, any, any>,
            kindOptions ?? {},
            context
          )) as never
        })
      )
    }
  }) as never
}
