/** Nodes that run two versions of a program, as during a rolling upgrade. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Exit, Layer, type Redacted, Schema, Scope } from "effect"
import { Migration, Session, type SessionHost } from "effect-sessions"
import { SessionCluster } from "effect-sessions/cluster"
import { SqlStore } from "effect-sessions/snapshots"
import { Rpc } from "effect/rpc"
import * as PostgresServer from "../snapshots/PostgresServer.ts"
import { freePort } from "./ClusterNode.ts"

class Url extends Context.Service<Url, Redacted.Redacted>()("test/Url") {}

const Old = Schema.Struct({ text: Schema.String })

class Doc1 extends Session.Service<Doc1>()("Doc", {
  state: Old,
  protocol: [Rpc.make("Write", { payload: Schema.String })]
}) {}

class Doc2 extends Session.Service<Doc2>()("Doc", {
  state: Schema.Struct({ text: Schema.String, edits: Schema.Int }),
  protocol: [Rpc.make("Write", { payload: Schema.String }), Rpc.make("Edits", { success: Schema.Int })]
}) {}

const Doc1Layer = Doc1.toLayer(
  Doc1.behavior({ init: () => ({ text: "" }), handlers: { Write: ({ payload }) => [{ text: payload }] } }),
  { snapshots: { save: "everyChange" } }
)

const Doc2Layer = Doc2.toLayer(
  Doc2.behavior({
    init: () => ({ text: "", edits: 0 }),
    handlers: {
      Write: ({ payload, state }) => [{ text: payload, edits: state.edits + 1 }],
      Edits: ({ state }) => [state, state.edits]
    }
  }),
  { snapshots: { save: "everyChange", migrations: [Migration.make(Old, ({ text }) => ({ text, edits: 0 }))] } }
)

const startNode = Effect.fnUntraced(function*<A, E>(kind: Layer.Layer<A, E, SessionHost>) {
  const url = yield* Url
  const Client = PgClient.layer({ url, maxConnections: 4 })
  const Cluster = SessionCluster.layer({
    self: { host: "127.0.0.1", port: yield* freePort },
    prefix: "skew",
    shards: 20,
    expiration: "20 seconds",
    refresh: "1 second",
    assignments: "50 millis"
  })
  const Store = SqlStore.layer({ table: "skew_sessions" })
  const program = kind.pipe(Layer.provideMerge(Layer.mergeAll(Cluster, Store)), Layer.provide(Client))
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.buildWithScope(Layer.fresh(program), scope)
  return { context, cluster: Context.get(context, SessionCluster), stop: Scope.close(scope, Exit.void) }
})

/** Waits until this node owns that many places. */
const open = (cluster: SessionCluster["Service"], count: number) =>
  Effect.gen(function*() {
    while ((yield* cluster.places).open !== count || (yield* cluster.nodes).length !== 20 / count) {
      yield* Effect.sleep(10)
    }
  })

const idOn = Effect.fnUntraced(function*(cluster: SessionCluster["Service"]) {
  for (let i = 0;; i++) if ((yield* cluster.ownerOf(`d${i}`))?.key === cluster.self.key) return `d${i}`
})

layer(Layer.effect(Url, PostgresServer.start), { excludeTestServices: true })("A rolling upgrade", (it) => {
  it.effect("talks to both versions, migrates what moves up, and quarantines nothing that moves down", () =>
    Effect.gen(function*() {
      const one = yield* startNode(Doc1Layer)
      const two = yield* startNode(Doc2Layer)
      yield* Effect.all([open(one.cluster, 10), open(two.cluster, 10)])
      const docs1 = Context.get(one.context, Doc1)
      const docs2 = Context.get(two.context, Doc2)
      const [here, there] = [yield* idOn(one.cluster), yield* idOn(two.cluster)]
      // The old version reaches sessions of the new one, and the other way round.
      yield* (yield* docs1.start(there)).call("Write", "from one")
      const ref = yield* docs2.start(here)
      yield* ref.call("Write", "from two")
      // A message that only the new version knows is refused, and nothing is done.
      const refused = yield* Effect.flip(ref.call("Edits"))
      assert.strictEqual(refused._tag, "NodeUnavailable")
      assert.include(refused.message, "Edits")
      // What moves to the new version is migrated; what moves back waits for the upgrade of its owner.
      yield* one.stop
      yield* open(two.cluster, 20)
      yield* ref.call("Write", "again")
      assert.strictEqual(yield* ref.call("Edits"), 1)
      yield* Effect.forEach(
        Array.from({ length: 100 }),
        (_, i) => Effect.flatMap(docs2.start(`d${i}`), (doc) => doc.call("Write", "new")),
        { concurrency: 16 }
      )
      const back = yield* startNode(Doc1Layer)
      yield* Effect.all([open(back.cluster, 10), open(two.cluster, 10)])
      const moved = yield* idOn(back.cluster)
      const error = yield* Effect.flip(Context.get(back.context, Doc1).ref(moved).call("Write", "old"))
      assert.strictEqual(error._tag, "StoreUnavailable")
      assert.include(error.message, "newer version")
      yield* back.stop
      yield* open(two.cluster, 20)
      assert.isTrue((yield* docs2.ref(moved).state).edits > 0)
    }))
})
