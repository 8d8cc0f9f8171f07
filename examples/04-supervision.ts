// A crash affects no other session: supervision per session, dead letters, and calls that always get an answer.
//   node --conditions=source examples/04-supervision.ts
import { Effect, Layer, Schema } from "effect"
import { DeadLetters, Session, Sessions, Supervision } from "effect-sessions"
import { Rpc } from "effect/rpc"

class Parser extends Session.Service<Parser>()("Parser", {
  state: Schema.Array(Schema.Unknown),
  protocol: [Rpc.make("Parse", { payload: Schema.String, success: Schema.Int })]
}) {}

const ParserLayer = Parser.toLayer(
  Parser.behavior({
    init: (): ReadonlyArray<unknown> => [],
    // JSON.parse throws on bad input: that is a defect, not a declared error of the protocol.
    handlers: { Parse: ({ payload, state }) => [[...state, JSON.parse(payload)], state.length + 1] }
  }),
  { supervision: Supervision.resume({ maxCrashes: 2, within: "1 minute", backoff: () => "10 millis" }) }
)

Effect.gen(function*() {
  const parser = yield* (yield* Parser).start("a")
  yield* parser.call("Parse", "1")
  for (const bad of ["{", "[", "("]) {
    const error = yield* Effect.flip(parser.call("Parse", bad))
    console.log(`${error._tag}, safe to retry: ${error.retrySafe}`)
    if (yield* parser.isLive) console.log("  still there with", yield* parser.state)
  }
  console.log("after the third crash in a minute it is live:", yield* parser.isLive)

  const letters = yield* (yield* DeadLetters).recent
  console.log("dead letters:", letters.map(({ payload, tag }) => `${tag} ${payload}`))
}).pipe(Effect.provide(Layer.provideMerge(ParserLayer, Sessions.layer())), Effect.runPromise)
