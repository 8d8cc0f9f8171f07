// Ids, refs, lifetimes and the reasons of an end.
//   node --conditions=source examples/docs/concepts.ts
import { Effect, Layer } from "effect"
import { Bag, EndReason, SessionId, Sessions } from "effect-sessions"

Effect.gen(function*() {
  const bags = yield* Bag
  const ref = bags.ref("ada") // an address: nothing is started
  console.log("live:", yield* ref.isLive)

  yield* bags.start("ada") // finds the session, or starts it
  yield* ref.call("Put", { key: "theme", value: "dark" })
  console.log("state:", yield* ref.state)

  const { epoch, version } = yield* ref.info
  yield* ref.end({ reason: EndReason.stopped("logged out") })
  yield* bags.start("ada")
  console.log("the same ref, a later epoch:", (yield* ref.info).epoch > epoch, "version before:", version)

  const visitor = yield* bags.start(yield* SessionId.make, { idleTimeout: "5 minutes" })
  console.log("a random id has", visitor.id.length, "characters")
}).pipe(Effect.provide(Layer.provide(Bag.layer(), Sessions.layer())), Effect.runPromise)
