/**
 * The kind of session that topics of presence are: its state, which readers see, and the messages of the trackers.
 */
import * as Rpc from "effect/rpc/Rpc"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Session from "../../../contract/Session.ts"
import type * as Presence from "../../Presence.ts"

/** Steps are of the moment: what is shown of a whole topic has none. */
const changesOf = (device: Schema.Struct.Fields) =>
  Schema.Null.pipe(
    Schema.decodeTo(
      Schema.Array(Schema.Union([
        Schema.TaggedStruct("Join", { key: Schema.String, ...device, first: Schema.Boolean }),
        Schema.TaggedStruct("Update", { key: Schema.String, ...device }),
        Schema.TaggedStruct("Leave", { key: Schema.String, ...device, last: Schema.Boolean })
      ])),
      SchemaTransformation.transform<ReadonlyArray<any>, null>({ decode: () => [], encode: () => null })
    )
  )

/** Defines the kind, and the schema of one who is present. */
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
  const kind = Session.Service<Topics>()(name, {
    state: Schema.Struct({
      present: Schema.HashMap(
        Schema.String,
        Schema.Union([Schema.Struct(device), Schema.HashMap(Schema.String, Schema.Struct(device))])
      ),
      changes: changesOf(device)
    }),
    protocol: [
      // Begins a tracking, or changes it, and answers since when the device is there.
      Rpc.make("Track", { payload: { owner, tracking }, success: Schema.Number }),
      // Ends one.
      Rpc.make("Untrack", { payload: { owner, id: Schema.Int, grace: Schema.Boolean } }),
      // Says that the owner is there, and answers whether the topic knows the same of its trackings as the owner.
      Rpc.make("Renew", { payload: { owner, count: Schema.Int, digest: Schema.Int }, success: Schema.Boolean }),
      // Says all trackings of an owner: those that it does not name end.
      Rpc.make("Sync", { payload: { owner, trackings: Schema.Array(tracking), grace: Schema.Boolean } }),
      // Something is due.
      Rpc.make("Tick")
    ]
  })
  return { kind, present }
}
