// Watching a session: a selection as a stream, and the state as a SubscriptionRef.
//   node --conditions=source examples/03-watching.ts
import { Effect, Fiber, Layer, Schema, Stream, SubscriptionRef } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"

class Game extends Session.Service<Game>()("Game", {
  state: Schema.Struct({ score: Schema.Int, lives: Schema.Int }),
  protocol: [Rpc.make("Hit"), Rpc.make("Score", { payload: Schema.Int })]
}) {}

const GameLayer = Game.toLayer(Game.behavior({
  init: () => ({ score: 0, lives: 3 }),
  handlers: {
    Hit: ({ state }) => [{ ...state, lives: state.lives - 1 }],
    Score: ({ payload, state }) => [{ ...state, score: state.score + payload }]
  }
}))

Effect.gen(function*() {
  const game = yield* (yield* Game).start("table-1")

  // The stream gives the selection only: it has scores, no lives. It fails with the reason of the session's end.
  const watching = yield* game.changes((state) => state.score).pipe(
    Stream.runForEach((score) => Effect.sync(() => console.log("score", score))),
    Effect.catchTag("SessionEnded", ({ reason }) => Effect.sync(() => console.log("the game", reason._tag))),
    Effect.forkChild
  )
  for (const points of [10, 0, 20]) {
    yield* game.call("Score", points)
    yield* game.cast("Hit")
    yield* Effect.sleep("10 millis")
  }

  const ref = yield* game.subscriptionRef
  console.log("state", yield* SubscriptionRef.get(ref))
  yield* game.end()
  yield* Fiber.join(watching)
}).pipe(Effect.provide(Layer.provide(GameLayer, Sessions.layer())), Effect.runPromise)
