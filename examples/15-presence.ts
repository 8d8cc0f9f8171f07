// Presence: several devices of a user, a reload that others do not see, and a stream of joins and leaves.
//   node --conditions=source examples/15-presence.ts
import { Effect, Exit, Layer, Schema, Scope, Stream } from "effect"
import { Presence, Sessions } from "effect-sessions"

class Shoppers extends Presence.Service<Shoppers>()("Shoppers", {
  meta: Schema.Struct({ name: Schema.String })
}) {}

/** An open page: it is present for as long as the Scope lives. */
const open = (user: string, name: string, device: string) =>
  Effect.gen(function*() {
    const shoppers = yield* Shoppers
    const scope = yield* Scope.make()
    const tracked = yield* Scope.provide(shoppers.track("shop", user, { name }, { device }), scope)
    return { tracked, close: Scope.close(scope, Exit.void) }
  })

const say = (event: Presence.Event<{ readonly name: string }>) => {
  switch (event._tag) {
    case "List":
      return console.log("here:", event.present.map(({ key }) => key).join(", ") || "nobody")
    case "Join":
      return console.log(`${event.meta.name} came (${event.device})`)
    case "Update":
      return console.log(`${event.key} is now ${event.meta.name}`)
    case "Leave":
      return console.log(`${event.meta.name} left (${event.device})${event.last ? ", for good" : ""}`)
  }
}

const pause = Effect.sleep("50 millis")

Effect.gen(function*() {
  const shoppers = yield* Shoppers
  yield* Effect.forkChild(Stream.runForEach(shoppers.changes("shop"), (event) => Effect.sync(() => say(event))))
  yield* pause
  const phone = yield* open("ada", "Ada", "phone")
  const desk = yield* open("ada", "Ada", "desk")
  yield* desk.tracked.update({ name: "Ada L." })
  yield* desk.tracked.leave
  yield* phone.close
  const reloaded = yield* open("ada", "Ada", "phone")
  yield* pause
  console.log(`${yield* shoppers.count("shop")} present:`, JSON.stringify((yield* shoppers.list("shop"))[0]?.key))
  yield* reloaded.close
  yield* Effect.sleep("300 millis")
}).pipe(
  Effect.provide(Layer.provide(Presence.layer(Shoppers, { grace: "100 millis" }), Sessions.layer())),
  Effect.runPromise
)
