// What a handler can do with its own session: timers, work beside it, resources, and an end hook.
//   node --conditions=source examples/05-timers-and-work.ts
import { Effect, Layer, Schema } from "effect"
import { Session, Sessions } from "effect-sessions"
import { Rpc } from "effect/rpc"

class Quiz extends Session.Service<Quiz>()("Quiz", {
  state: Schema.Struct({ question: Schema.Int, hint: Schema.String }),
  protocol: [Rpc.make("Begin"), Rpc.make("TimeUp"), Rpc.make("Hint", { payload: Schema.String })]
}) {}

const say = (...words: Array<unknown>) => Effect.sync(() => console.log(...words))

const QuizLayer = Quiz.toLayer(Quiz.behavior({
  // Acquired in the session's Scope: released when the session ends.
  init: ({ id }) =>
    Effect.as(
      Effect.acquireRelease(say("table laid for", id), () => say("table cleared")),
      { question: 0, hint: "" }
    ),
  handlers: {
    Begin: ({ self, state }) =>
      Effect.gen(function*() {
        yield* self.after("50 millis", "TimeUp")
        // The session continues while this runs. It is interrupted if the session ends first.
        yield* self.fork(Effect.delay(Effect.orDie(self.cast("Hint", "it is 42")), "20 millis"))
        return [{ ...state, question: state.question + 1 }]
      }),
    Hint: ({ payload, state }) => Effect.as(say("hint:", payload), [{ ...state, hint: payload }] as const),
    TimeUp: ({ self, state }) => Effect.as(Effect.andThen(say("time is up"), self.end("time is up")), [state] as const)
  },
  end: ({ reason, state }) => say("ended after", state.question, "question:", reason)
}))

Effect.gen(function*() {
  const quiz = yield* (yield* Quiz).start("ada")
  yield* quiz.cast("Begin")
  yield* quiz.awaitEnd
}).pipe(Effect.provide(Layer.provide(QuizLayer, Sessions.layer())), Effect.runPromise)
