/**
 * Summaries of sessions: how long they lived, how active they were, and why they ended.
 *
 * When a session ends, its `SessionSummary` is published as an event (`Summary`), counted in metrics, and sent to the
 * `AnalyticsSink`, which stores it for analysis.
 *
 * Provide `layer` to the kinds, so that it is still open when the server ends their sessions:
 *
 * ```ts
 * Kinds.pipe(
 *   Layer.provideMerge(SessionAnalytics.layer()),
 *   Layer.provideMerge(Layer.mergeAll(Sessions.layer(), MySink))
 * )
 * ```
 *
 * **Details:** a session that leaves memory for the store and is loaded again has one summary. The shutdown of the server
 * counts as an end (`Shutdown`): a session that goes on after a restart gets a second summary, with the same `startedAt`
 * and a later `observedAt`. A session that expires in the store has no summary.
 *
 * **Gotchas:** the Layer listens to the events of all sessions, so every message costs a little more.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import type { InvalidConfig } from "../contract/SessionError.ts"
import type { SessionSummary } from "../contract/SessionSummary.ts"
import { MonotonicClock } from "../internal/MonotonicClock.ts"
import * as SessionsConfig from "../policy/SessionsConfig.ts"
import { Lives } from "./internal/analytics/Lives.ts"
import { SummaryOutbox } from "./internal/analytics/SummaryOutbox.ts"
import { SessionEvents } from "./SessionEvents.ts"

/**
 * Where summaries are stored. `record` gets them in batches, one batch at a time, in the order in which the sessions
 * ended. A `record` that fails or dies is retried with the same batch, so the sink may receive a summary twice.
 *
 * ```ts
 * const LogSink = Layer.succeed(AnalyticsSink, {
 *   record: (batch) => Effect.logInfo(`${batch.length} sessions ended`)
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class AnalyticsSink extends Context.Service<AnalyticsSink, {
  readonly record: (batch: ReadonlyArray<SessionSummary>) => Effect.Effect<void, unknown>
}>()("effect-sessions/AnalyticsSink") {
  /**
   * Stores nothing. Use it for the events and metrics only.
   *
   * @since 0.1.0
   */
  static readonly layerNone: Layer.Layer<AnalyticsSink> = Layer.succeed(AnalyticsSink, { record: () => Effect.void })
}

/**
 * The time from the start of a session to its end, in milliseconds, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lifetime = Metric.histogram("effect_sessions_summary_lifetime_ms", {
  description: "Milliseconds from the start of a session to its end",
  boundaries: [1_000, 10_000, 60_000, 600_000, 1_800_000, 3_600_000, 21_600_000, 86_400_000]
})

/**
 * The time in which a session was active, in milliseconds, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const activeTime = Metric.histogram("effect_sessions_summary_active_ms", {
  description: "Milliseconds in which a session was active",
  boundaries: [1_000, 10_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000, 21_600_000]
})

/**
 * The number of messages that a session handled, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const messages = Metric.histogram("effect_sessions_summary_messages", {
  description: "Messages that a session handled in its life",
  boundaries: [0, 1, 10, 100, 1_000, 10_000, 100_000]
})

/**
 * Sessions ended, by `kind` and by the `pattern` of their activity.
 *
 * @since 0.1.0
 * @category metrics
 */
export const patterns = Metric.counter("effect_sessions_summary_patterns_total", {
  description: "Sessions ended, by the pattern of their activity",
  incremental: true
})

/**
 * Summaries that did not reach the sink, because it failed or was too slow.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lost = Metric.counter("effect_sessions_summaries_lost_total", {
  description: "Session summaries that did not get to the sink",
  incremental: true
})

/**
 * Options of the analytics.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The names of the kinds to summarize. Default: all. */
  readonly kinds?: ReadonlyArray<string> | undefined
  /** The shortest time without activity that counts as a pause. Default: 1 minute. */
  readonly pause?: Duration.Input | undefined
  /** For how many sessions that left memory for the store the counts are remembered. Default: 10,000. */
  readonly remembered?: number | undefined
  /** The most summaries in one batch. Default: 100. */
  readonly batchSize?: number | undefined
  /** How long a summary waits for its batch to fill. Default: 10 seconds. */
  readonly batchEvery?: Duration.Input | undefined
  /**
   * How many summaries may wait for the sink. Beyond that, the oldest are dropped, counted (`lost`) and logged. Default:
   * 10,000.
   */
  readonly bufferSize?: number | undefined
  /** How often a batch that the sink did not accept is retried. Default: 3. */
  readonly retries?: number | undefined
  /** The pause before the first retry; each further pause is twice as long. Default: 1 second. */
  readonly retryPause?: Duration.Input | undefined
  /** How long the Layer, when it closes, may take to send the summaries that wait. Default: 5 seconds. */
  readonly shutdownGrace?: Duration.Input | undefined
}

const settings = (options: Options) =>
  Effect.all({
    pause: SessionsConfig.duration("analytics.pause", options.pause ?? "1 minute"),
    remembered: SessionsConfig.wholeNumber("analytics.remembered", options.remembered ?? 10_000, 0),
    batchSize: SessionsConfig.wholeNumber("analytics.batchSize", options.batchSize ?? 100, 1),
    every: SessionsConfig.duration("analytics.batchEvery", options.batchEvery ?? "10 seconds"),
    capacity: SessionsConfig.wholeNumber("analytics.bufferSize", options.bufferSize ?? 10_000, 1),
    retries: SessionsConfig.wholeNumber("analytics.retries", options.retries ?? 3, 0),
    retryPause: SessionsConfig.duration("analytics.retryPause", options.retryPause ?? "1 second"),
    grace: SessionsConfig.duration("analytics.shutdownGrace", options.shutdownGrace ?? "5 seconds")
  })

/** Updates a metric whose tags are given with each value. */
const tagged = <Input>(metric: Metric.Metric<Input, unknown>, context: Context.Context<never>) => {
  const known = new Map<string, Metric.Metric<Input, unknown>>()
  return (value: Input, attributes: Record<string, string>) => {
    const key = Object.values(attributes).join(" ")
    let series = known.get(key)
    if (series === undefined) known.set(key, series = Metric.withAttributes(metric, attributes))
    series.updateUnsafe(value, context)
  }
}

const meter = (context: Context.Context<never>) => {
  const [life, active, work, pattern] = [
    tagged(lifetime, context),
    tagged(activeTime, context),
    tagged(messages, context),
    tagged(patterns, context)
  ]
  return (summary: SessionSummary) => {
    const attributes = { kind: summary.kind, reason: summary.reason._tag.toLowerCase() }
    life(summary.duration, attributes)
    active(summary.activeTime, attributes)
    work(summary.messages, attributes)
    pattern(1, { kind: summary.kind, pattern: summary.pattern })
  }
}

/**
 * Publishes a summary of each session that ends. Fails with `InvalidConfig` if an option is not valid.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<never, InvalidConfig, SessionEvents | AnalyticsSink> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const { grace, pause, remembered, ...batches } = yield* settings(options)
    const events = yield* SessionEvents
    const { record } = yield* AnalyticsSink
    const clock = yield* Clock.Clock
    const time = new MonotonicClock(clock)
    const context = yield* Effect.context<never>()
    const run = Effect.runForkWith(context)
    const kinds = options.kinds === undefined ? undefined : new Set(options.kinds)
    const lives = new Lives(pause, remembered)
    const measure = meter(context)
    const outbox = new SummaryOutbox({ ...batches, record, lost: (count) => lost.updateUnsafe(count, context) })

    // A summary published from within a listener would reach some listeners before the `Stop` event itself.
    let unsent: Array<SessionSummary> = []
    const send = () => {
      const summaries = unsent
      unsent = []
      for (const summary of summaries) {
        events.publish({ _tag: "Summary", at: clock.currentTimeMillisUnsafe(), ...summary })
      }
    }

    yield* Effect.acquireRelease(
      Effect.sync(() => run(outbox.work)),
      (worker) => outbox.close(worker, grace)
    )
    yield* Effect.addFinalizer(() => Effect.sync(send))
    yield* events.listen((event) => {
      if (kinds?.has(event.kind) === false) return
      const summary = lives.note(event, time.now())
      if (summary === undefined) return
      measure(summary)
      outbox.add(summary)
      if (unsent.push(summary) === 1) run(Effect.andThen(Effect.yieldNow, Effect.sync(send)))
    })
  }))
