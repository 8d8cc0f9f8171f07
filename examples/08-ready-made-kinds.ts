// Two kinds that ship with the library: a bag of values, and agents that are changed by functions.
//   node --conditions=source examples/08-ready-made-kinds.ts
import { Effect, Layer, Schema } from "effect"
import { Agent, Bag, Sessions } from "effect-sessions"

class Visits extends Agent.Service<Visits>()("Visits", { state: Schema.Int }) {}

const Kinds = Layer.mergeAll(Bag.layer(), Visits.toLayer(Agent.behavior(Visits, () => 0)))

Effect.gen(function*() {
  // The bag is the default kind, so a session needs no more than an id.
  const sessions = yield* Sessions
  yield* sessions.start("ada")
  const bag = (yield* Bag).ref("ada")
  yield* bag.call("Put", { key: "theme", value: "dark" })
  yield* bag.call("Merge", { language: "en", size: 12 })
  yield* bag.call("Delete", "size")
  console.log(yield* bag.call("All"))

  const visits = yield* (yield* Visits).start("home")
  yield* Effect.all([1, 2, 3].map(() => Agent.update(visits, (n) => n + 1)), { concurrency: "unbounded" })
  console.log("visits:", yield* Agent.get(visits, (n) => n))
}).pipe(Effect.provide(Layer.provideMerge(Kinds, Sessions.layer())), Effect.runPromise)
