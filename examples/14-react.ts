// A React hook for live views: `useSubscriptionRef` gives the value of a view, of the status, or of any other ref.
//   node --conditions=source examples/14-react.ts
import { Effect, Fiber, Layer, Option, Schema, Stream, SubscriptionRef } from "effect"
import { Live, Session, Sessions } from "effect-sessions"
import type { LiveClient } from "effect-sessions/client"
import * as Rpc from "effect/rpc/Rpc"
import { createElement as h, useCallback, useSyncExternalStore } from "react"
import { renderToStaticMarkup } from "react-dom/server"

/** The value of a ref, rendered again when it changes. */
export const useSubscriptionRef = <A>(ref: SubscriptionRef.SubscriptionRef<A>): A => {
  const subscribe = useCallback((changed: () => void) => {
    const fiber = Effect.runFork(Stream.runForEach(SubscriptionRef.changes(ref), () => Effect.sync(changed)))
    return () => {
      Effect.runFork(Fiber.interrupt(fiber))
    }
  }, [ref])
  const value = () => SubscriptionRef.getUnsafe(ref)
  return useSyncExternalStore(subscribe, value, value)
}

export class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Add", { payload: Schema.String })]
}) {}

export class CartLive extends Live.Service<CartLive>()("CartLive", {
  kind: Cart,
  views: { items: Cart.state },
  messages: ["Add"]
}) {}

const List = ({ items }: { readonly items: ReadonlyArray<string> }) =>
  h("ul", null, items.map((item) => h("li", { key: item }, item)))

/** In the browser: a mounted view and the status. An added item shows at once, and disappears if it is refused. */
export const LiveCart = ({ client, items }: {
  readonly client: LiveClient.LiveClient<typeof CartLive>
  readonly items: LiveClient.LiveView<ReadonlyArray<string>>
}) => {
  const status = useSubscriptionRef(client.status)
  const shown = useSubscriptionRef(items.state)
  const add = () => Effect.runFork(client.cast("Add", "tea", { optimistic: { items: (items) => [...items, "tea"] } }))
  return h(
    "section",
    { "aria-busy": status._tag !== "Open" },
    h(List, { items: Option.getOrElse(shown, () => []) }),
    h("button", { onClick: add }, "Add tea")
  )
}

/** On the server: the session itself is such a ref. */
const Page = ({ cart }: { readonly cart: SubscriptionRef.SubscriptionRef<ReadonlyArray<string>> }) =>
  h(List, { items: useSubscriptionRef(cart) })

export const CartLayer = Cart.toLayer(
  Cart.behavior({ init: () => [], handlers: { Add: ({ payload, state }) => [[...state, payload]] } })
)

Effect.gen(function*() {
  const cart = yield* (yield* Cart).start("ada")
  yield* cart.call("Add", "milk")
  console.log(renderToStaticMarkup(h(Page, { cart: yield* cart.subscriptionRef })))
}).pipe(Effect.provide(Layer.provide(CartLayer, Sessions.layer())), Effect.runPromise)
