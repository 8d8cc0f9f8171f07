/** A program that counts, for tests that kill it: `tallyWriter.ts` runs it, and so does the test that goes on after it. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import { type Context, Effect, type Latch, Layer, Redacted, Schema } from "effect"
import { type KindOptions, Session, Sessions } from "effect-sessions"
import { FileStore, RedisStore, SnapshotStore, SqlStore } from "effect-sessions/snapshots"
import * as Rpc from "effect/rpc/Rpc"
import { fileURLToPath } from "node:url"

export class Tally extends Session.Service<Tally>()("Tally", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Add", { success: Schema.Int }),
    /** Like `Add`, but takes until the latch opens. */
    Rpc.make("AddWhen", { payload: Schema.declare((u: unknown): u is Latch.Latch => typeof u === "object") })
  ]
}) {}

/** The prefix of keys in Redis comes after a `#`. Drivers are loaded where they are needed: most processes of the tests need none, and are to start soon. */
const storeAt = (url: string): Layer.Layer<SnapshotStore, unknown> => {
  switch (new URL(url).protocol) {
    case "postgres:":
      return Layer.unwrap(Effect.map(
        Effect.promise(() => import("@effect/sql-pg/PgClient")),
        (PgClient) => SqlStore.layer().pipe(Layer.provide(PgClient.layer({ url: Redacted.make(url) })))
      ))
    case "redis:":
      return Layer.unwrap(Effect.map(
        Effect.promise(() => import("@effect/platform-node/NodeRedis")),
        (NodeRedis) => {
          const [address = "", prefix] = url.split("#")
          return RedisStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url: address })))
        }
      ))
    default:
      return FileStore.layer({ directory: fileURLToPath(url) }).pipe(
        Layer.provide([NodeFileSystem.layer, NodePath.layer])
      )
  }
}

type Service = Context.Service.Shape<typeof SnapshotStore>

/** The program on the store of a URL; `spy` may see, and hold up, what it does with that. */
export const layer = (
  url: string,
  save: KindOptions.SavePolicy,
  spy: (store: Service) => Service = (store) => store
) =>
  Tally.toLayer(
    Tally.behavior({
      init: () => 0,
      handlers: {
        Add: ({ state }) => [state + 1, state + 1],
        AddWhen: ({ payload, state }) => Effect.as(payload.await, [state + 1] as const)
      }
    }),
    // It is saved when it hibernates, whatever the policy: only one is to be tested at a time.
    { hibernateAfter: save === "atHibernation" ? "20 millis" : undefined, snapshots: { save } }
  ).pipe(
    Layer.provide(Sessions.layer()),
    Layer.provide(Layer.effect(SnapshotStore, Effect.map(SnapshotStore, spy)).pipe(Layer.provide(storeAt(url))))
  )

/** Who counts: its n-th action makes the state n. */
export const nth = (sequence: number) => ({ client: "ada", sequence })
