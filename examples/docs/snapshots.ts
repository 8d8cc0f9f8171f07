// Sessions that outlive the process: a store in a file, encryption, a newer format of the state, and the quarantine.
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

const oldSessions = OldCartLayer.pipe(Layer.provideMerge(Sessions.layer()), Layer.provide(StoreLayer))
const newSessions = CartLayer.pipe(Layer.provideMerge(Sessions.layer()), Layer.provide(StoreLayer))

const release1 = Effect.gen(function*() {
  const cart = yield* (yield* OldCart).start("ada")
  yield* cart.call("Add", "tea")
}).pipe(Effect.provide(Layer.fresh(oldSessions)))

const release2 = Effect.gen(function*() {
  const cart = yield* (yield* Cart).start("ada")
  console.log("migrated:", yield* cart.state)
}).pipe(Effect.provide(Layer.fresh(newSessions)))

/** Release 1 again: it does not know the format of release 2. */
const rollback = Effect.gen(function*() {
  const error = yield* Effect.flip((yield* OldCart).get("ada"))
  console.log(error.message)

  const sessions = yield* Sessions
  for (const { reason, snapshot } of yield* sessions.quarantined) {
    console.log(`${snapshot.kind}/${snapshot.id}, format ${snapshot.format}: ${reason}`)
    yield* sessions.discardQuarantined(snapshot)
  }
}).pipe(Effect.provide(Layer.fresh(oldSessions)))

Effect.all([release1, release2, rollback]).pipe(
  Effect.ensuring(Effect.sync(() => rmSync(folder, { recursive: true }))),
  Effect.runPromise
)
