// A Redux-style session: slices by reducers, typed dispatch, work beside the session, history and time travel.
//   node --conditions=source examples/10-store.ts
import { Effect, Layer, Schema } from "effect"
import { Middleware, Reducer, Sessions, Store } from "effect-sessions"

const cart = Reducer.make("cart", {
  prefix: "cart",
  state: Schema.Struct({ items: Schema.Array(Schema.String), checked: Schema.Boolean }),
  initial: { items: [], checked: false },
  actions: { add: Schema.String, check: Schema.Void, checked: Schema.Boolean },
  on: {
    add: (state, sku) => ({ items: [...state.items, sku], checked: false }),
    checked: (state, checked) => ({ ...state, checked })
  },
  async: {
    check: ({ dispatch }) => Effect.andThen(Effect.sleep("10 millis"), dispatch("cart.checked", true))
  }
})

const search = Reducer.make("search", {
  prefix: "search",
  state: Schema.String,
  initial: "",
  actions: { type: Schema.String },
  on: { type: (_, text) => text },
  debounce: { type: "20ms" }
})

class Shop extends Store.Service<Shop>()("Shop", { reducers: [cart, search] }) {}

const ShopLayer = Shop.toLayer(Store.behavior(Shop, {
  history: 100,
  middleware: [Middleware.validation((action) => action.payload === "gold" ? "we do not sell gold" : undefined)]
}))

Effect.gen(function*() {
  const shop = yield* (yield* Shop).start("ada")
  yield* Store.dispatch(shop, "cart.add", "tea")
  console.log(yield* Store.dispatchWait(shop, "cart.add", "honey"))
  console.log((yield* Effect.flip(Store.dispatchWait(shop, "cart.add", "gold"))).message)

  for (const text of ["c", "co", "coffee"]) yield* Store.dispatch(shop, "search.type", text)
  yield* Store.dispatch(shop, "cart.check")
  yield* Effect.sleep("50 millis")
  console.log(yield* shop.state)

  console.log((yield* Store.history(shop)).map(({ type, version }) => `${version} ${type}`))
  console.log("back at version 1:", (yield* Store.travel(shop, 1)).cart.items)
}).pipe(Effect.provide(Layer.provide(ShopLayer, Sessions.layer())), Effect.runPromise)
