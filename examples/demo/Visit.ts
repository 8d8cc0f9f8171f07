/**
 * A visit: the one kind of session in this shop, a store of three slices.
 *
 * The class is the contract: its reducers say what a visit holds and the actions it takes. A visit handles one action at
 * a time, so there is nothing to lock: two tabs that add tea at the same moment are two actions in a row.
 */
import { Effect, Schema } from "effect"
import { Reducer, Store } from "effect-sessions"
import { cart, rules } from "./Cart.ts"
import * as Catalogue from "./Catalogue.ts"

const user = Reducer.make("user", {
  prefix: "user",
  state: Schema.Struct({ name: Schema.String }),
  initial: { name: "" },
  actions: { rename: Schema.String.check(Schema.isMaxLength(80)) },
  on: { rename: (_, name) => ({ name }) }
})

const catalog = Reducer.make("catalog", {
  prefix: "catalog",
  state: Schema.Struct({
    query: Schema.String,
    results: Schema.Array(Catalogue.Sku),
    /** The product whose stock is being checked. */
    checking: Schema.NullOr(Catalogue.Sku),
    stock: Schema.Record(Schema.String, Schema.Int)
  }),
  initial: { query: "", results: Catalogue.search(""), checking: null, stock: {} },
  actions: {
    search: Schema.String.check(Schema.isMaxLength(80)),
    check: Schema.Struct({ sku: Catalogue.Sku }),
    checked: Schema.Struct({ sku: Catalogue.Sku, left: Schema.Int })
  },
  on: {
    search: (state, query) => ({ ...state, query, results: Catalogue.search(query) }),
    check: (state, { sku }) => ({ ...state, checking: sku }),
    checked: (state, { left, sku }) => ({ ...state, checking: null, stock: { ...state.stock, [sku]: left } })
  },
  // Whoever types does not want an answer to each letter.
  debounce: { search: "300ms" },
  // The warehouse takes its time; a newer question makes the one before pointless.
  concurrency: "latest",
  async: {
    check: ({ dispatch, payload: { sku } }) =>
      Effect.andThen(Effect.sleep("200 millis"), dispatch("catalog.checked", { sku, left: Catalogue.get(sku).stock }))
  }
})

export class Visit extends Store.Service<Visit>()("Visit", { reducers: [cart, user, catalog] }) {}

export const VisitLayer = Visit.toLayer(Store.behavior(Visit, { history: 100, middleware: [rules] }))
