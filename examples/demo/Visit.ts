/**
 * A visit: the one kind of session in this shop, a store of slices.
 *
 * The class is the contract: its reducers say what a visit holds and the actions it takes. A visit handles one action at
 * a time, so there is nothing to lock: two tabs that add tea at the same moment are two actions in a row.
 */
import { Effect, Schema } from "effect"
import { Reducer, Store } from "effect-sessions"
import { cart, rules } from "./Cart.ts"
import * as Catalogue from "./Catalogue.ts"
import { Warehouse } from "./Warehouse.ts"

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
    /** The product whose stock is being checked, and how far that is, in percent. */
    checking: Schema.NullOr(Catalogue.Sku),
    progress: Schema.Int,
    stock: Schema.Record(Schema.String, Schema.Int)
  }),
  initial: { query: "", results: Catalogue.search(""), checking: null, progress: 0, stock: {} },
  actions: {
    search: Schema.String.check(Schema.isMaxLength(80)),
    check: Schema.Struct({ sku: Catalogue.Sku }),
    progress: Schema.Struct({ percent: Schema.Int }),
    checked: Schema.Struct({ sku: Catalogue.Sku, left: Schema.Int })
  },
  on: {
    search: (state, query) => ({ ...state, query, results: Catalogue.search(query) }),
    check: (state, { sku }) => ({ ...state, checking: sku, progress: 0 }),
    progress: (state, { percent }) => ({ ...state, progress: percent }),
    checked: (state, { left, sku }) => ({
      ...state,
      checking: null,
      progress: 100,
      stock: { ...state.stock, [sku]: left }
    })
  },
  // One search after the visitor stops typing, not one for each letter.
  debounce: { search: "300ms" },
  // The warehouse is slow. A newer check replaces the one before.
  concurrency: "latest",
  async: {
    check: Effect.fnUntraced(function*({ dispatch, payload: { sku } }) {
      const warehouse = yield* Warehouse
      for (let percent = 10; percent <= 100; percent += 10) {
        yield* Effect.sleep("80 millis")
        yield* dispatch("catalog.progress", { percent })
      }
      yield* dispatch("catalog.checked", { sku, left: yield* warehouse.left(sku) })
    })
  }
})

/** A crash on purpose, to show how the visit resumes. */
const drill = Reducer.make("drill", {
  prefix: "drill",
  state: Schema.Struct({}),
  initial: {},
  actions: { crash: Schema.Void },
  on: {
    crash: () => {
      throw new Error("this is only a drill")
    }
  }
})

export class Visit extends Store.Service<Visit>()("Visit", { reducers: [cart, user, catalog, drill] }) {}

export const VisitLayer = Visit.toLayer(Store.behavior(Visit, { history: 100, middleware: [rules] }), {
  hibernateAfter: "1 minute",
  // A crash of the shop loses a quarter of a second of changes at most.
  snapshots: { save: { debounce: "250 millis" } }
})
