// Groups: sessions join rooms. A message to a room, a user or everybody reaches each member in order.
//   node --conditions=source examples/17-groups.ts
import { Effect, Layer, Schema } from "effect"
import { Groups, Session, Sessions } from "effect-sessions"
import * as Rpc from "effect/rpc/Rpc"

class Visit extends Session.Service<Visit>()("Visit", {
  state: Schema.Array(Schema.String),
  protocol: [Rpc.make("Say", { payload: Schema.String }), Rpc.make("Cursor", { payload: Schema.Int })]
}) {}

const VisitLayer = Visit.toLayer(
  Visit.behavior({
    init: (): ReadonlyArray<string> => [],
    handlers: {
      Say: ({ payload, state }) => [[...state, payload]],
      Cursor: ({ payload, state }) => [[...state, `cursor at ${payload}`]]
    }
  }),
  // With a full mailbox, a new cursor replaces an old one, and `Say` waits for room.
  { overflow: { Say: "wait", Cursor: "dropOldest" } }
)

class Rooms extends Groups.Service<Rooms>()("Rooms", { members: Visit }) {}

const RoomsLayer = Groups.layer(Rooms, { idleTimeout: "5 minutes" })

Effect.gen(function*() {
  const visits = yield* Visit
  const rooms = yield* Rooms
  yield* visits.start("ada-phone", { user: "ada" })
  yield* visits.start("ada-desk", { user: "ada" })
  yield* visits.start("bob", { user: "bob" })

  yield* rooms.join("lobby", "ada-phone")
  // A member until the Scope closes, which may be that of a socket.
  yield* Effect.scoped(Effect.gen(function*() {
    yield* rooms.joinScoped("lobby", "bob")
    console.log("in the lobby:", [...yield* rooms.members("lobby")].sort().join(", "))
    console.log("lobby:", yield* rooms.broadcast("lobby", "Say", "hello", { except: ["bob"] }))
    console.log("lobby:", yield* rooms.broadcast("lobby", "Cursor", 7))
  }))
  console.log("lobby:", yield* rooms.broadcast("lobby", "Say", "bob has left"))
  console.log("ada, everywhere:", yield* rooms.broadcastToUser("ada", "Say", "your order is on its way"))
  console.log("everybody:", yield* rooms.broadcastToAll("Say", "we close at nine"))

  for (const visit of yield* visits.list) console.log(`${visit.id}:`, yield* visit.state)
}).pipe(
  Effect.provide(RoomsLayer.pipe(Layer.provideMerge(VisitLayer), Layer.provideMerge(Sessions.layer()))),
  Effect.runPromise
)
