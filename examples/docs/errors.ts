// Errors are values: by their tag, by whether a retry is safe, and by their HTTP status.
//   node --conditions=source examples/docs/errors.ts
import { Effect, Layer } from "effect"
import { Bag, Retry, SessionError, Sessions } from "effect-sessions"

Effect.gen(function*() {
  const bags = yield* Bag
  const bag = bags.ref("ada")

  const theme = yield* bag.call("Get", "theme").pipe(
    Effect.catchTag("SessionNotFound", () => Effect.succeed("no session, so no theme"))
  )
  console.log(theme)

  yield* bags.start("ada").pipe(Retry.whenSafe({ times: 5, delay: "10 millis" }))

  const error = yield* Effect.flip(bags.start("an id with spaces"))
  console.log(error.httpStatus, error.retrySafe, error.message)
  console.log("shown to visitors:", SessionError.isStartError(error) ? "please try again later" : error.message)
}).pipe(Effect.provide(Layer.provide(Bag.layer(), Sessions.layer())), Effect.runPromise)
