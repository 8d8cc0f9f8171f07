// Sessions on two nodes: the same program as on one, with another Layer. It starts a PostgreSQL of its own.
//   node --conditions=source examples/18-cluster.ts
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted, Schema, Scope } from "effect"
import { Session } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { SqlStore } from "effect-sessions/snapshots"
import * as Rpc from "effect/rpc/Rpc"
import * as PostgresServer from "../test/snapshots/PostgresServer.ts"

class Cart extends Session.Service<Cart>()("Cart", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Add", { payload: Schema.String, success: Schema.Int })]
}) {}

const CartLayer = Cart.toLayer(
  Cart.behavior({
    init: () => [],
    handlers: { Add: ({ payload, state }) => [[...state, payload], state.length + 1] }
  }),
  { snapshots: { save: "everyChange" } }
)

/** The program of each node. */
const node = (port: number, url: Redacted.Redacted) => {
  const Database = PgClient.layer({ url, maxConnections: 4, startupParameters: { TimeZone: "UTC" } })
  const Cluster = SessionCluster.layer({
    self: { host: "127.0.0.1", port },
    secret: Redacted.make("at least 32 bytes that only the nodes know")
  })
  return CartLayer.pipe(
    Layer.provideMerge(Layer.merge(Cluster, SqlStore.layer())),
    Layer.provide(Database)
  )
}

Effect.gen(function*() {
  const url = yield* PostgresServer.start
  const scope = yield* Effect.scope
  const leaving = yield* Scope.fork(scope)
  const one = yield* Layer.buildWithScope(Layer.fresh(node(47_101, url)), scope)
  const two = yield* Layer.buildWithScope(Layer.fresh(node(47_102, url)), leaving)
  const cluster = Context.get(two, SessionCluster)
  while (!(yield* cluster.isReady)) yield* Effect.sleep("50 millis")

  // Whichever node has the session, both reach it.
  yield* (yield* Context.get(one, Cart).start("ada")).call("Add", "tea")
  console.log("items:", yield* Context.get(two, Cart).ref("ada").call("Add", "honey"))

  // The sessions of a node that leaves move to the others.
  yield* cluster.leave
  console.log("items:", yield* Context.get(one, Cart).ref("ada").call("Add", "bread"))
  console.log("owner:", (yield* Context.get(one, SessionCluster).ownerOf("ada"))?.key)
}).pipe(Effect.scoped, Effect.runPromise)
