// What server and browser of the chat share: see docs/getting-started.md.
import { Schema } from "effect"
import { Live, Session } from "effect-sessions"
import { Rpc } from "effect/rpc"

export const Message = Schema.Struct({ id: Schema.Int, from: Schema.String, text: Schema.String })

export class Muted extends Schema.TaggedError<Muted>()("Muted", { user: Schema.String }) {}

export class Room extends Session.Service<Room>()("Room", {
  state: Schema.Struct({
    messages: Schema.Array(Message),
    muted: Schema.Array(Schema.String)
  }),
  protocol: [
    Rpc.make("Say", {
      payload: Schema.Struct({ from: Schema.String, text: Schema.String }),
      success: Schema.Int,
      error: Muted
    }),
    Rpc.make("Mute", { payload: Schema.String })
  ]
}) {}

export class RoomLive extends Live.Service<RoomLive>()("RoomLive", {
  kind: Room,
  views: { messages: Schema.Array(Message) },
  messages: ["Say"]
}) {}
