/** A program that counts, for tests that kill it: `tallyWriter.ts` runs it, and so does the test that continues after it. */
import { type Context, Effect, type Latch, Layer, Schema } from "effect"
import { type KindOptions, Session, Sessions } from "effect-sessions"
import { SnapshotStore } from "effect-sessions/snapshots"
import * as Rpc from "effect/rpc/Rpc"
import { storeAt } from "./storeAt.ts"

export class Tally extends Session.Service<Tally>()("Tally", {
  state: Schema.Int,
  protocol: [
    Rpc.make("Add", { success: Schema.Int }),
    /** Like `Add`, but takes until the latch opens. */
    Rpc.make("AddWhen", { payload: Schema.declare((u: unknown): u is Latch.Latch => typeof u === "object") })
  ]
}) {}

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
