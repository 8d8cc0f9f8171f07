// A room of a chat: messages, typed errors, and somebody who watches it. Part of docs/getting-started.md.
//   node --conditions=source examples/docs/chat-1-rooms.ts
import { Effect, Fiber, Layer, Stream } from "effect"
import { Sessions } from "effect-sessions"
import { Room } from "./chat/Room.ts"
import { RoomLayer } from "./chat/RoomLayer.ts"

const program = Effect.gen(function*() {
  const rooms = yield* Room
  const lobby = yield* rooms.start("lobby")

  const watching = yield* lobby.changes((room) => room.messages.at(-1)).pipe(
    Stream.runForEach((last) => Effect.sync(() => console.log("last message:", last?.text ?? "none"))),
    Effect.catchTag("SessionEnded", ({ reason }) => Effect.sync(() => console.log("the room ended:", reason._tag))),
    Effect.forkChild({ startImmediately: true })
  )

  const id = yield* lobby.call("Say", { from: "ada", text: "hello" })
  console.log("ada's message is number", id)

  yield* lobby.cast("Mute", "bob")
  const error = yield* Effect.flip(lobby.call("Say", { from: "bob", text: "hi" }))
  console.log("bob is refused:", error._tag)

  yield* lobby.end()
  yield* Fiber.join(watching)
})

program.pipe(
  Effect.provide(Layer.provide(RoomLayer, Sessions.layer())),
  Effect.runPromise
)
