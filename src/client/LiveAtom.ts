/**
 * Clients of live sessions as atoms, for user interfaces that are built on `effect/reactivity`.
 *
 * ```ts
 * const cart = Atom.make(
 *   LiveClient.make(CartLive, { url: "wss://example.com/cart" }).pipe(Effect.provide(LiveClient.layerWebSocket))
 * )
 * const items = LiveAtom.view(cart, "items")
 * const add = LiveAtom.call(cart, "Add", (item) => ({ optimistic: { items: (items) => [...items, item] } }))
 * ```
 *
 * The client is open as long as its atom is in use, and a view is mounted as long as the atom of the view is in use.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AsyncResult from "effect/reactivity/AsyncResult"
import * as Atom from "effect/reactivity/Atom"
import type * as Rpc from "effect/rpc/Rpc"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type * as Live from "../contract/Live.ts"
import type { Message } from "../contract/SessionRef.ts"
import type { CallError, CallOptions, LiveClient, Tag, ViewFailure } from "./LiveClient.ts"
import type { Status } from "./Status.ts"

/**
 * A client as an atom. Make it with `Atom.make` from `LiveClient.make`, or with `runtime.atom` from a `LiveClient.Service`.
 *
 * @since 0.1.0
 * @category models
 */
export type ClientAtom<D extends Live.Any, E = never> = Atom.Atom<AsyncResult.AsyncResult<LiveClient<D>, E>>

const streamOf = <D extends Live.Any, E, A, EA>(
  client: ClientAtom<D, E>,
  select: (client: LiveClient<D>) => Stream.Stream<A, EA>
): Atom.Atom<AsyncResult.AsyncResult<A, E | EA | Cause.NoSuchElementError>> =>
  Atom.make((get) => Stream.unwrap(Effect.map(get.result(client), select)))

/**
 * The value of a view. It is `Initial` until the first value has come, and a `Failure` from the end of the session until
 * the client is connected again.
 *
 * @since 0.1.0
 * @category atoms
 */
export const view = <D extends Live.Any, const N extends Live.ViewName<D>, E = never>(
  client: ClientAtom<D, E>,
  name: N
): Atom.Atom<AsyncResult.AsyncResult<Live.View<D, N>, E | ViewFailure | Cause.NoSuchElementError>> =>
  Atom.map(
    streamOf(client, (client) => {
      let last = Option.none<AsyncResult.AsyncResult<Live.View<D, N>, ViewFailure>>()
      return Stream.map(client.exits(name), (exit) => {
        const result = AsyncResult.fromExitWithPrevious(exit, last)
        last = Option.some(result)
        return result
      })
    }),
    AsyncResult.flatMap((result, { waiting }) => waiting ? AsyncResult.waiting(result) : result)
  )

/**
 * The state of the client's connection.
 *
 * @since 0.1.0
 * @category atoms
 */
export const status = <D extends Live.Any, E = never>(
  client: ClientAtom<D, E>
): Atom.Atom<AsyncResult.AsyncResult<Status, E | Cause.NoSuchElementError>> =>
  streamOf(client, (client) => SubscriptionRef.changes(client.status))

/**
 * The number of actions that have no answer yet.
 *
 * @since 0.1.0
 * @category atoms
 */
export const pending = <D extends Live.Any, E = never>(
  client: ClientAtom<D, E>
): Atom.Atom<AsyncResult.AsyncResult<number, E | Cause.NoSuchElementError>> =>
  streamOf(client, (client) => SubscriptionRef.changes(client.pending))

/**
 * An action as an atom. Setting the atom to a payload sends the action, and the value of the atom is the answer to the
 * latest one. Earlier actions are not withdrawn by a later one. `options` gives the options of the call for a payload, such
 * as its optimistic change.
 *
 * @since 0.1.0
 * @category atoms
 */
export const call = <D extends Live.Any, const T extends Tag<D>, E = never>(
  client: ClientAtom<D, E>,
  tag: T,
  options?: (payload: Rpc.Payload<Message<Live.Command<D>, T>>) => CallOptions<D>
): Atom.AtomResultFn<
  Rpc.Payload<Message<Live.Command<D>, T>>,
  Rpc.Success<Message<Live.Command<D>, T>>,
  Rpc.Error<Message<Live.Command<D>, T>> | CallError | E
> =>
  Atom.fn(
    (payload: Rpc.Payload<Message<Live.Command<D>, T>>, get) =>
      Effect.flatMap(get.result(client), (client: any) => client.call(tag, payload, options?.(payload))),
    { concurrent: true }
  ) as never
