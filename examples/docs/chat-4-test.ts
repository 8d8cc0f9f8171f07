// A test of the chat, in virtual time. Part of docs/getting-started.md.
//   node --conditions=source examples/docs/chat-4-test.ts
import { Effect, Layer } from "effect"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"
import { Room } from "./chat/Room.ts"
import { RoomLayer } from "./chat/RoomLayer.ts"

const test = Effect.gen(function*() {
  const rooms = yield* Room
  const lobby = yield* rooms.start("lobby")
  yield* TestSessions.elapse("29 minutes")
  yield* lobby.call("Say", { from: "ada", text: "is anybody here?" })
  yield* TestSessions.elapse("29 minutes")
  console.log("live after a message:", yield* rooms.has("lobby"))
  yield* TestSessions.elapse("1 minute")
  console.log("live after 30 quiet minutes:", yield* rooms.has("lobby"))
})

test.pipe(Effect.provide(Layer.provideMerge(TestSessions.layer(RoomLayer), TestClock.layer())), Effect.runPromise)
