// A mailbox is bounded. Each message has a policy for a full one.
//   node --conditions=source examples/07-overload.ts
import { Effect, Latch, Layer, Schema } from "effect"
import { Retry, Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"

class Canvas extends Session.Service<Canvas>()("Canvas", {
  state: Schema.Array(Schema.String),
  protocol: [
    Rpc.make("Draw", { payload: Schema.String }),
    Rpc.make("Cursor", { payload: Schema.String }),
    Rpc.make("Undo", { payload: Schema.String })
  ]
}) {}

const open = Latch.makeUnsafe()

const CanvasLayer = Canvas.toLayer(
  Canvas.behavior({
    init: (): ReadonlyArray<string> => [],
    handlers: {
      Draw: ({ payload, state }) => Effect.as(open.await, [[...state, payload]] as const),
      Cursor: ({ payload, state }) => [[...state, payload]],
      Undo: ({ payload, state }) => [[...state, payload]]
    }
  }),
  { mailboxCapacity: 2, overflow: { Cursor: "dropOldest", Undo: "reject" } }
)

Effect.gen(function*() {
  const canvas = yield* (yield* Canvas).start("a")
  yield* canvas.cast("Draw", "line") // keeps the session busy until the latch opens
  for (const at of ["1,1", "2,2", "3,3", "4,4"]) yield* canvas.cast("Cursor", at) // only the last two stay
  const refused = yield* Effect.flip(canvas.cast("Undo", "undo"))
  console.log(refused._tag, "- safe to retry:", refused.retrySafe)

  // Retries, with pauses, while the error says that this is safe.
  yield* Effect.forkChild(Effect.delay(open.open, "20 millis"))
  yield* canvas.cast("Undo", "undo").pipe(Retry.whenSafe())
  console.log(yield* canvas.state)
}).pipe(Effect.provide(Layer.provide(CanvasLayer, Sessions.layer())), Effect.runPromise)
