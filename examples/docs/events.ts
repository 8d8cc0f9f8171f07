// What happens to sessions: events, durations as metrics, dead letters, and a summary of each life.
//   node --conditions=source examples/docs/events.ts
import { Effect, Layer, Stream } from "effect"
import { Bag, DeadLetters, SessionAnalytics, SessionEvents, SessionMetrics, Sessions } from "effect-sessions"
import { PrometheusMetrics } from "effect/observability"

const Sink = Layer.succeed(SessionAnalytics.AnalyticsSink, {
  record: (batch) =>
    Effect.sync(() => console.log("summaries:", batch.map(({ messages, pattern }) => [messages, pattern])))
})

const Kinds = Layer.mergeAll(Bag.layer(), SessionMetrics.layerDurations).pipe(
  Layer.provideMerge(SessionAnalytics.layer()),
  Layer.provideMerge(Layer.mergeAll(Sessions.layer(), Sink))
)

Effect.gen(function*() {
  const events = yield* SessionEvents
  yield* events.stream().pipe(
    Stream.runForEach((event) => Effect.sync(() => console.log(event._tag, `${event.kind}/${event.id}`))),
    Effect.forkScoped({ startImmediately: true })
  )

  const bag = yield* (yield* Bag).start("ada")
  yield* bag.call("Put", { key: "theme", value: "dark" })
  yield* bag.end()
  yield* Effect.sleep("10 millis")

  console.log("dead letters:", yield* (yield* DeadLetters).count)
  const scraped = yield* PrometheusMetrics.format()
  console.log(scraped.split("\n").filter((line) => line.startsWith("effect_sessions_messages_total")).join("\n"))
}).pipe(Effect.scoped, Effect.provide(Kinds), Effect.runPromise)
