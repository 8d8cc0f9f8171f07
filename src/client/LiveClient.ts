/**
 * A client of a live session: its views, kept up to date, and its actions, each handled once.
 *
 * ```ts
 * const program = Effect.gen(function*() {
 *   const client = yield* LiveClient.make(CartLive, { url: "wss://example.com/cart" })
 *   const items = yield* client.mount("items")
 *   yield* client.call("Add", { sku: "pen", count: 1 }, {
 *     optimistic: { items: (items) => [...items, { sku: "pen", count: 1 }] }
 *   })
 *   return yield* SubscriptionRef.get(items.state)
 * }).pipe(Effect.scoped, Effect.provide(LiveClient.layerWebSocket))
 * ```
 *
 * The client connects by itself, and again after a loss: `status` says how it stands. Meanwhile views keep their last
 * values and actions wait. After that, a view goes on from its position, and an action that may already have been
 * sent is sent again under the same number, so that it is handled once. If even the server cannot know whether it was
 * handled, the caller gets `ActionForgotten`: the client never guesses.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Scope from "effect/Scope"
import * as Socket from "effect/socket/Socket"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type * as Live from "../contract/Live.ts"
import type { ActionError, Busy, InvalidPayload, SessionGone, ViewError } from "../contract/LiveError.ts"
import type { Message, PayloadArg } from "../contract/SessionRef.ts"
import { listenTo, nobody } from "../internal/guard.ts"
import { AnswerTimeout, type ClientClosed, type ClientError, type QueueFull } from "./ClientError.ts"
import { Engine, type Rejection as AnyRejection } from "./internal/Engine.ts"
import { PendingAction } from "./internal/Outbox.ts"
import { noop, Scheduler } from "./internal/Scheduler.ts"
import type { Watcher } from "./internal/ViewReplica.ts"
import * as Status from "./Status.ts"

/**
 * Subprotocols that a client offers.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocols = string | ReadonlyArray<string>

/**
 * Options of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The address of the server's route, `ws://` or `wss://`; asked for anew for each connection if it is an Effect. */
  readonly url: string | Effect.Effect<string, unknown>
  /** Subprotocols, such as `["bearer", token]`; asked for anew for each connection if they are an Effect. */
  readonly protocols?: Protocols | Effect.Effect<Protocols, unknown> | undefined
  /**
   * The current token, asked for anew for each connection, which offers it as the subprotocols `["bearer", token]` unless
   * `protocols` says otherwise. It is asked for again a minute before the token of a connection expires, or after half of a
   * shorter life, and sent to the server, so that the connection goes on. While that fails it is tried again; if the token
   * expires nevertheless, the server closes the connection, and the client connects again.
   */
  readonly token?: Effect.Effect<string, unknown> | undefined
  /**
   * The longest pause before the first attempt to reconnect is `base`. It doubles with each attempt, up to `max`, and
   * starts again at `base` after a connection that lasted for 5 s and for as long as the pause before it. The pause
   * is a random part of that, so that clients do not all reconnect at once. Default: 250 ms and 30 s.
   */
  readonly reconnect?:
    | { readonly base?: Duration.Input | undefined; readonly max?: Duration.Input | undefined }
    | undefined
  /** How many actions may be without an answer. Default: 1,000. */
  readonly queueLimit?: number | undefined
  /**
   * After this time without a message, the client pings the server. If nothing comes for as long again, it gives the
   * connection up. It also gives up an address that is not known, and a connection that is not open, after this time.
   * Default: 20 s.
   */
  readonly heartbeat?: Duration.Input | undefined
}

/**
 * Optimistic updates: for each view, a function that gives its next value, shown until the reply comes. A function
 * that throws changes nothing, and the client logs it.
 *
 * @since 0.1.0
 * @category models
 */
export type Optimistic<D extends Live.Any> = {
  readonly [N in Live.ViewName<D>]?: ((value: Live.View<D, N>) => Live.View<D, N>) | undefined
}

/**
 * Options of `cast`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CastOptions<D extends Live.Any> {
  /** What is shown until the answer comes. */
  readonly optimistic?: Optimistic<D> | undefined
}

/**
 * Options of `call` and `dispatch`.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions<D extends Live.Any> extends CastOptions<D> {
  /**
   * How long to wait for the reply, including the time without a connection. After that the caller fails with
   * `AnswerTimeout`, and the action stays queued or sent. Default: no limit.
   */
  readonly timeout?: Duration.Input | undefined
}

/**
 * What an action can fail with, besides its own declared error.
 *
 * @since 0.1.0
 * @category models
 */
export type CallError = ActionError | ClientError

/**
 * The names of what clients may do.
 *
 * @since 0.1.0
 * @category utility types
 */
export type Tag<D extends Live.Any> = Live.Command<D>["_tag"]

/**
 * An action that failed while no caller waited for its reply: it was sent by `cast`, or its caller gave up.
 *
 * @since 0.1.0
 * @category models
 */
export type Rejection<D extends Live.Any> = RejectionOf<Live.Command<D>>

type RejectionOf<R extends Rpc.Any> = R extends Rpc.Any ? {
    readonly tag: R["_tag"]
    readonly payload: Rpc.Payload<R>
    readonly error: Rpc.Error<R> | CallError
  }
  : never

/**
 * What a view can fail with. `Busy` is not among it: the client mounts the view again when the session can be loaded.
 *
 * @since 0.1.0
 * @category models
 */
export type ViewFailure = Exclude<ViewError, Busy>

/**
 * A mounted view.
 *
 * @since 0.1.0
 * @category models
 */
export interface LiveView<A> {
  readonly name: string
  /**
   * The value to show: that of the server with the optimistic updates of unanswered actions, `none` until the first
   * value comes. It stays at the last value while there is no connection. Only the client writes it.
   */
  readonly state: SubscriptionRef.SubscriptionRef<Option.Option<A>>
  /**
   * The value to show: the present one, if any, then each later one. A slow reader skips to the newest. The stream
   * goes on over reconnects, fails when the session has ended or this client may not see the view, and ends with the
   * client.
   */
  readonly changes: Stream.Stream<A, ViewFailure>
}

/**
 * A client of a live session.
 *
 * @since 0.1.0
 * @category models
 */
export interface LiveClient<D extends Live.Any> {
  readonly definition: D
  /** How it is connected. The client is its only writer. */
  readonly status: SubscriptionRef.SubscriptionRef<Status.Status>
  /** How many actions have no answer. The client is its only writer. */
  readonly pending: SubscriptionRef.SubscriptionRef<number>
  /** The failures of actions for whose replies no caller waits, from now on. A slow reader gets the last 256. */
  readonly rejections: Stream.Stream<Rejection<D>>

  /**
   * Tries to connect at once, also after `Ended` and `Refused`; an open connection is pinged instead. Use it for the
   * button of a banner. In a browser, the client does the same by itself when the page becomes visible or the network
   * is back, but not after `Ended` and `Refused`.
   */
  readonly reconnect: Effect.Effect<void>

  /**
   * Milliseconds until the session expires without further activity; `none` if it does not expire. Waits for a
   * connection. Does not count as activity.
   */
  readonly lifetime: Effect.Effect<Option.Option<number>, SessionGone | ClientClosed>

  /** Mounts a view for as long as the Scope lives. The server has it once, however many Scopes there are. */
  mount<const N extends Live.ViewName<D>>(view: N): Effect.Effect<LiveView<Live.View<D, N>>, never, Scope.Scope>

  /** The values of a view, which is mounted while the stream runs: see `LiveView.changes`. */
  changes<const N extends Live.ViewName<D>>(view: N): Stream.Stream<Live.View<D, N>, ViewFailure>

  /**
   * Like `changes`, but goes on after a failure with what the next connection gives: values, or why there are none
   * now. Use it in user interfaces, where the view comes back when the user reconnects.
   */
  exits<const N extends Live.ViewName<D>>(view: N): Stream.Stream<Exit.Exit<Live.View<D, N>, ViewFailure>>

  /**
   * Sends an action and waits for its answer. Actions are handled in the order in which they were given to the client,
   * each once; without a connection they wait for one.
   *
   * Fails with the action's own error, with what any action can fail with, `QueueFull` when too many have no answer,
   * `AnswerTimeout` when a `timeout` is given and over, and `ClientClosed`. `Busy`, `Unanswered` and `ActionOutOfOrder`
   * are not seen: the client goes on trying. When its caller is interrupted, an action that was not sent is withdrawn.
   */
  call<const T extends Tag<D>>(
    tag: T,
    ...args: [...payload: PayloadArg<Message<Live.Command<D>, T>>, options?: CallOptions<D>]
  ): Effect.Effect<Rpc.Success<Message<Live.Command<D>, T>>, Rpc.Error<Message<Live.Command<D>, T>> | CallError>

  /** `call` for the actions of a store. */
  dispatch<const T extends Live.DispatchedAction<D>["_tag"]>(
    type: T,
    ...args: [...payload: PayloadArg<Message<Live.DispatchedAction<D>, T>>, options?: CallOptions<D>]
  ): Effect.Effect<
    Rpc.Success<Message<Live.DispatchedAction<D>, T>>,
    Rpc.Error<Message<Live.DispatchedAction<D>, T>> | CallError
  >

  /**
   * Sends an action and returns as soon as the client has queued it. If the action fails later, the failure goes to
   * `rejections`. Fails if the client does not take the action: `QueueFull`, `ClientClosed` or `InvalidPayload`.
   */
  cast<const T extends Tag<D>>(
    tag: T,
    ...args: [...payload: PayloadArg<Message<Live.Command<D>, T>>, options?: CastOptions<D>]
  ): Effect.Effect<void, QueueFull | ClientClosed | InvalidPayload>
}

/**
 * Makes a client, which is closed with the Scope: the socket is closed with 1000, and callers that wait fail with
 * `ClientClosed`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*<D extends Live.Any>(
  definition: D,
  options: Options
): Effect.fn.Return<LiveClient<D>, never, Scope.Scope | Socket.WebSocketConstructor> {
  const { heartbeat = "20 seconds", queueLimit = 1_000, reconnect, token, url } = options
  const bearer = token && Effect.map(token, (token): Protocols => ["bearer", token])
  const { protocols = bearer } = options
  const open = yield* Socket.WebSocketConstructor
  const random = yield* Random.Random
  const status = yield* SubscriptionRef.make(Status.connecting)
  const pending = yield* SubscriptionRef.make(0)
  const timers = new Scheduler(yield* Effect.context<never>())
  const isFixed = typeof url === "string" && !Effect.isEffect(protocols) && token === undefined
  const offered = Effect.map(
    Effect.isEffect(protocols) ? protocols : Effect.succeed(protocols),
    (protocols) => typeof protocols === "object" ? [...protocols] : protocols
  )
  const engine = new Engine({
    definition,
    queueLimit,
    status,
    pending,
    timers,
    token,
    address: Effect.flatMap(
      typeof url === "string" ? Effect.succeed(url) : url,
      (url) => Effect.map(offered, (protocols) => ({ url, protocols }))
    ),
    isFixed,
    open: ({ protocols, url }) => open(url, protocols),
    random: () => random.nextDoubleUnsafe(),
    base: Duration.toMillis(reconnect?.base ?? 250),
    max: Duration.toMillis(reconnect?.max ?? 30_000),
    heartbeat: Duration.toMillis(heartbeat)
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => engine.close()))
  yield* onWake(() => engine.wake())
  engine.connect()

  const acquire = (name: string) =>
    Effect.acquireRelease(
      Effect.map(SubscriptionRef.make<Option.Option<any>>(Option.none()), (ref) => engine.acquire(name, () => ref)),
      (replica) => Effect.sync(() => engine.release(replica))
    )

  const follow = <A, E>(
    name: string,
    watcher: (queue: Queue.Queue<A, E | Cause.Done>) => Watcher
  ): Stream.Stream<A, E> =>
    Stream.callback<A, E>(
      (queue) =>
        Effect.flatMap(acquire(name), (replica) => {
          const following = watcher(queue)
          return Effect.acquireRelease(
            Effect.sync(() => engine.watch(replica, following)),
            () => Effect.sync(() => replica.watchers.delete(following))
          )
        }),
      { bufferSize: 1, strategy: "sliding" }
    )

  const changes = (name: string) =>
    follow<any, ViewFailure>(name, (queue) => ({
      next: (value) => void Queue.offerUnsafe(queue, value),
      fail: (cause) => void Queue.failCauseUnsafe(queue, cause as Cause.Cause<ViewFailure>),
      end: () => void Queue.endUnsafe(queue)
    }))

  const exits = (name: string) =>
    follow<Exit.Exit<any, any>, never>(name, (queue) => ({
      next: (value) => void Queue.offerUnsafe(queue, Exit.succeed(value)),
      fail: (cause) => void Queue.offerUnsafe(queue, Exit.failCause(cause)),
      end: () => void Queue.endUnsafe(queue)
    }))

  const call = (tag: string, payload?: unknown, options?: CallOptions<any>): Effect.Effect<any, any> =>
    Effect.callback((resume) => {
      let cancel = noop
      const action = engine.submit(
        tag,
        payload,
        (options?.optimistic ?? {}) as PendingAction["optimistic"],
        (answer) => {
          cancel()
          resume(answer)
        }
      )
      if (!(action instanceof PendingAction)) return resume(Effect.fail(action))
      if (options?.timeout !== undefined) {
        const timeout = Duration.toMillis(options.timeout)
        cancel = timers.after(timeout, () => {
          action.settle = undefined
          resume(Effect.fail(AnswerTimeout.of(tag, timeout)))
        })
      }
      return Effect.sync(() => {
        cancel()
        engine.abandon(action)
      })
    })

  const client = {
    definition,
    status,
    pending,
    rejections: Stream.callback<AnyRejection>((queue) =>
      Effect.acquireRelease(
        Effect.sync(() =>
          engine.watchRejections({
            next: (rejection) => void Queue.offerUnsafe(queue, rejection),
            end: () => void Queue.endUnsafe(queue)
          })
        ),
        (cancel) => Effect.sync(cancel)
      ), { bufferSize: 256, strategy: "sliding" }),
    reconnect: Effect.sync(() => engine.connect()),
    lifetime: Effect.callback<Option.Option<number>, any>((resume) => {
      const cancel = engine.ask(resume)
      return Effect.sync(cancel)
    }),
    mount: (name: string) =>
      Effect.map(acquire(name), (replica): LiveView<any> => ({
        name,
        state: replica.ref,
        changes: changes(name)
      })),
    changes,
    exits,
    call,
    dispatch: call,
    cast: (tag: string, payload?: unknown, options?: CastOptions<any>) =>
      Effect.suspend(() => {
        const action = engine.submit(
          tag,
          payload,
          (options?.optimistic ?? {}) as PendingAction["optimistic"],
          undefined
        )
        return action instanceof PendingAction ? Effect.void : Effect.fail(action)
      })
  }
  return client as never
})

/** Calls back when the page is seen again, or its network is back, where there is a page. */
const onWake = (wake: () => void): Effect.Effect<void, never, Scope.Scope> =>
  Effect.asVoid(Effect.acquireRelease(
    Effect.sync(() => {
      const page = globalThis as unknown as Page
      const { document } = page
      const seen = () => {
        if (document?.visibilityState !== "hidden") wake()
      }
      const events = [[page, "online"], [page, "pageshow"], [document, "visibilitychange"]] as const
      const stops = events.map(([target, type]) =>
        isListening(target) ? listenTo<typeof nobody, string, void>(nobody, target, type, seen) : undefined
      )
      return () => {
        for (const stop of stops) stop?.()
      }
    }),
    (stop) => Effect.sync(stop)
  ))

interface Listening {
  readonly addEventListener: (type: string, listener: () => void) => void
  readonly removeEventListener: (type: string, listener: () => void) => void
}

const isListening = (target: Partial<Listening> | undefined): target is Listening =>
  target !== undefined && "addEventListener" in target && "removeEventListener" in target

/** What of a page's globals is looked at. */
interface Page extends Partial<Listening> {
  readonly document?: (Listening & { readonly visibilityState?: string }) | undefined
}

/**
 * The browser's own `WebSocket`, and that of Node since 22: what `make` needs.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWebSocket: Layer.Layer<Socket.WebSocketConstructor> = Socket.layerWebSocketConstructorGlobal

/**
 * A client as a service: the class that `Service` makes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServiceClass<in out Self, Name extends string, D extends Live.Any>
  extends Context.ServiceClass<Self, `effect-sessions/client/${Name}`, LiveClient<D>>
{
  readonly definition: D
  /** The client, closed with the Layer. Uses the browser's own `WebSocket`. */
  readonly layer: (options: Options) => Layer.Layer<Self>
  /** `layer` with another WebSocket. */
  readonly layerWith: (options: Options) => Layer.Layer<Self, never, Socket.WebSocketConstructor>
}

/**
 * A client as a service.
 *
 * ```ts
 * class CartClient extends LiveClient.Service<CartClient>()("CartClient", CartLive) {}
 * const CartClientLayer = CartClient.layer({ url: "wss://example.com/cart" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const Service = <Self>() =>
<const Name extends string, D extends Live.Any>(
  name: Name,
  definition: D
): ServiceClass<Self, Name, D> => {
  const service = Context.Service<Self, LiveClient<D>>()(`effect-sessions/client/${name}`)
  const layerWith = (options: Options) => Layer.effect(service, make(definition, options))
  const layer = (options: Options) => Layer.provide(layerWith(options), layerWebSocket)
  return Object.assign(service, { definition, layer, layerWith }) as never
}
