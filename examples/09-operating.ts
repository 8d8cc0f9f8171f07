// What operators need: limits, counts, health, a look into a live session, events and metrics.
//   node --conditions=source examples/09-operating.ts
import { Effect, Layer, Logger, References } from "effect"
import { Bag, SessionAlerts, SessionLogger, Sessions, SessionsConfig } from "effect-sessions"
import { PrometheusMetrics } from "effect/observability"

const Hosted = Layer.mergeAll(
  Bag.layer(),
  SessionLogger.layer({ Start: "Info" }),
  SessionAlerts.layer({ nearLimit: 0.5 })
)
  .pipe(
    Layer.provideMerge(Sessions.layer({ ...SessionsConfig.production, maxSessions: 3 })),
    Layer.provide(Layer.merge(Logger.layer([Logger.consoleLogFmt]), Layer.succeed(References.MinimumLogLevel, "Info")))
  )

Effect.gen(function*() {
  const sessions = yield* Sessions
  const bags = yield* Bag
  for (const id of ["ada", "bob", "eve"]) yield* bags.start(id, { user: id, metadata: { agent: "curl" } })
  const full = yield* Effect.flip(bags.start("mal"))
  console.log(full.message, `(HTTP ${full.httpStatus})`)
  yield* bags.start("ada") // a live session is found, whatever the limit

  yield* bags.ref("ada").call("Put", { key: "page", value: "cart" })
  console.log(yield* sessions.inspect({ kind: "Bag", id: "ada" }))
  console.log(yield* sessions.match("*e*"), yield* sessions.health)
  const { averageBytes: _, heapBytes: __, ...stats } = yield* sessions.stats
  console.log(stats.count, "of", stats.limit, "started:", stats.totals["Bag"]?.started)
  yield* sessions.end({ kind: "Bag", id: "eve" })

  const metrics = yield* PrometheusMetrics.format()
  console.log(metrics.split("\n").filter((line) => line.startsWith("effect_sessions_live")).join("\n"))
}).pipe(Effect.provide(Hosted), Effect.runPromise)
