// Sessions that outlive the process: a store in a file, a newer format of the state, and encryption.
//   node --conditions=source examples/docs/snapshots.ts
import { Effect, Layer, Redacted, Schema } from "effect"
import { Migration, Session, Sessions } from "effect-sessions"
import { Encrypted, SqliteStore } from "effect-sessions/snapshots"
import { Rpc } from "effect/rpc"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

const CartV1 = Schema.Struct({ items: Schema.Array(Schema.String) })

class OldCart extends Session.Service<OldCart>()("Cart", {
  state: CartV1,
  protocol: [Rpc.make("Add", { payload: Schema.String })]
}) {}

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Struct({ items: Schema.Array(Schema.String), currency: Schema.String }),
  protocol: [Rpc.make("Add", { payload: Schema.String })]
}) {}

const OldCartLayer = OldCart.toLayer(
  OldCart.behavior({
    init: () => ({ items: [] }),
    handlers: { Add: ({ payload, state }) => [{ items: [...state.items, payload] }] }
  }),
  { snapshots: { save: "everyChange" } }
)

const CartLayer = Cart.toLayer(
  Cart.behavior({
    init: () => ({ items: [], currency: "EUR" }),
    handlers: { Add: ({ payload, state }) => [{ ...state, items: [...state.items, payload] }] }
  }),
  {
    hibernateAfter: "5 minutes",
    snapshots: {
      save: { debounce: "1 second" },
      passivateAfter: "1 hour",
      migrations: [Migration.make(CartV1, (cart) => ({ ...cart, currency: "EUR" }))]
    }
  }
)

const folder = mkdtempSync(join(tmpdir(), "carts-"))

const StoreLayer = Encrypted.layer(Redacted.make("b".repeat(64))).pipe(
  Layer.provide(SqliteStore.layer({ file: join(folder, "sessions.sqlite") }))
)

const oldProgram = Effect.gen(function*() {
  const cart = yield* (yield* OldCart).start("ada")
  yield* cart.call("Add", "tea")
}).pipe(Effect.provide(Layer.fresh(OldCartLayer.pipe(Layer.provide([StoreLayer, Sessions.layer()])))))

const newProgram = Effect.gen(function*() {
  const cart = yield* (yield* Cart).start("ada")
  console.log(yield* cart.state)
}).pipe(Effect.provide(Layer.fresh(CartLayer.pipe(Layer.provide([StoreLayer, Sessions.layer()])))))

Effect.andThen(oldProgram, newProgram).pipe(
  Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true }))),
  Effect.runPromise
)
