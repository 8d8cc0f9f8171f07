/**
 * The kind of session that a topic is: its state, which readers see, and the messages that trackers send.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Session from "../../../contract/Session.ts"
import { setIncrements } from "../../../runtime/internal/messages/increments.ts"
import type * as Presence from "../../Presence.ts"
import { PresenceDraft } from "./PresenceDraft.ts"

const changeOf = (device: Schema.Struct.Fields) =>
  Schema.Union([
    Schema.TaggedStruct("Join", { key: Schema.String, ...device, first: Schema.Boolean }),
    Schema.TaggedStruct("Update", { key: Schema.String, ...device }),
    Schema.TaggedStruct("Leave", { key: Schema.String, ...device, last: Schema.Boolean })
  ])

/** Changes belong to one moment: the encoded state has none. */
const momentary = (change: ReturnType<typeof changeOf>) =>
  Schema.Null.pipe(
    Schema.decodeTo(
      Schema.Array(change),
      SchemaTransformation.transform<ReadonlyArray<any>, null>({ decode: () => [], encode: () => null })
    )
  )

/** Defines the kind, and the schema of a key that is present. */
export const makeKind = <Topics>() => <const Name extends string, Meta extends Schema.Top>(name: Name, meta: Meta) => {
  const device = { device: Schema.String, since: Schema.Number, meta }
  const present: Presence.PresentSchema<Meta> = Schema.Struct({
    key: Schema.String,
    devices: Schema.Array(Schema.Struct(device))
  })
  const tracking = Schema.Struct({
    id: Schema.Int,
    key: Schema.String,
    device: Schema.String,
    meta,
    revision: Schema.Int,
    since: Schema.NullOr(Schema.Number)
  })
  const owner = Schema.String
  const change = changeOf(device)
  const kind = Session.Service<Topics>()(name, {
    state: Schema.Struct({
      present: Schema.HashMap(
        Schema.String,
        Schema.Union([Schema.Struct(device), Schema.HashMap(Schema.String, Schema.Struct(device))])
      ),
      changes: momentary(change)
    }),
    protocol: [
      // Adds or updates a tracking; the reply is the `since` of its device.
      Rpc.make("Track", { payload: { owner, tracking }, success: Schema.Number }),
      // Removes a tracking.
      Rpc.make("Untrack", { payload: { owner, id: Schema.Int, grace: Schema.Boolean } }),
      // Extends the owner's lease; the reply is whether the topic and the owner agree on the owner's trackings.
      Rpc.make("Renew", { payload: { owner, count: Schema.Int, digest: Schema.Int }, success: Schema.Boolean }),
      // Replaces all trackings of an owner.
      Rpc.make("Sync", { payload: { owner, trackings: Schema.Array(tracking), grace: Schema.Boolean } }),
      // The timer of the next grace or lease that ends.
      Rpc.make("Tick")
    ]
  })
  setIncrements(kind, {
    change,
    of: ({ changes }: Presence.State<unknown>) => changes,
    apply: PresenceDraft.apply
  })
  return { kind, present }
}
