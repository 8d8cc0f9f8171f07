// An hour of session life in a millisecond: everything timed runs on Effect's Clock. A test with
// @effect/vitest reads the same, as `it.effect("…", () => program)`.
//   node --conditions=source examples/06-expiry-in-a-millisecond.ts
import { Effect, Layer } from "effect"
import { Bag } from "effect-sessions"
import { TestSessions } from "effect-sessions/testing"
import { TestClock } from "effect/testing"

const program = Effect.gen(function*() {
  const bags = yield* Bag
  const bag = yield* bags.start("ada")

  yield* TestSessions.elapse("59 minutes")
  yield* bag.call("Put", { key: "theme", value: "dark" })
  yield* TestSessions.elapse("59 minutes")
  console.log("every message counts as activity, live:", yield* bag.isLive)

  yield* TestSessions.elapse("1 minute")
  console.log("an hour without any, live:", yield* bag.isLive)

  const recorder = yield* TestSessions.Recorder
  const [stop] = yield* recorder.of("Stop")
  console.log("the reason of its end:", stop?.reason)
})

program.pipe(
  Effect.provide(Layer.provideMerge(TestSessions.layer(Bag.layer(), { idleTimeout: "1 hour" }), TestClock.layer())),
  Effect.runPromise
)
