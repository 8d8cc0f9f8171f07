/**
 * Summaries of sessions: how long they lived, how active they were, and why they ended.
 *
 * When a session ends, its `SessionSummary` is published as an event (`Summary`), in metrics, and to the
 * `AnalyticsSink`, which stores it for analysis. The service listens to events. Without it nothing is counted; with
 * it every message costs a little more.
 *
 * Provide it to the kinds, so that it is still there when the server ends their sessions:
 *
 * ```ts
 * Kinds.pipe(
 *   Layer.provideMerge(SessionAnalytics.layer()),
 *   Layer.provideMerge(Layer.mergeAll(Sessions.layer(), MySink))
 * )
 * ```
 *
 * A session that leaves memory for the store and comes back has one life. The server's end is an end (`Shutdown`): a session
 * that goes on after a restart has another summary then, with the same `startedAt` and a later `observedAt`. One that
 * expires in the store has none.
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
 * Where summaries go. `record` gets them in batches, one at a time, in the order in which the sessions ended. When it fails
 * or dies it is tried again with the same batch, so that a summary may come twice.
 *
 * @since 0.1.0
 * @category services
 */
export class AnalyticsSink extends Context.Service<AnalyticsSink, {
  readonly record: (batch: ReadonlyArray<SessionSummary>) => Effect.Effect<void, unknown>
}>()("effect-sessions/AnalyticsSink") {
  /**
   * Keeps nothing: for those who want the events and the metrics only.
   *
   * @since 0.1.0
   */
  static readonly layerNone: Layer.Layer<AnalyticsSink> = Layer.succeed(AnalyticsSink, { record: () => Effect.void })
}

/**
 * How long sessions lived, in milliseconds, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lifetime = Metric.histogram("effect_sessions_summary_lifetime_ms", {
  description: "Milliseconds from the start of a session to its end",
  boundaries: [1_000, 10_000, 60_000, 600_000, 1_800_000, 3_600_000, 21_600_000, 86_400_000]
})

/**
 * How long sessions were active, in milliseconds, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const activeTime = Metric.histogram("effect_sessions_summary_active_ms", {
  description: "Milliseconds in which a session was active",
  boundaries: [1_000, 10_000, 60_000, 300_000, 600_000, 1_800_000, 3_600_000, 21_600_000]
})

/**
 * How many messages sessions handled, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const messages = Metric.histogram("effect_sessions_summary_messages", {
  description: "Messages that a session handled in its life",
  boundaries: [0, 1, 10, 100, 1_000, 10_000, 100_000]
})

/**
 * Sessions that ended, by `kind` and `pattern` of their activity.
 *
 * @since 0.1.0
 * @category metrics
 */
export const patterns = Metric.counter("effect_sessions_summary_patterns_total", {
  description: "Sessions ended, by the pattern of their activity",
  incremental: true
})

/**
 * Summaries that did not get to the sink: it failed, or took them too slowly.
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
  /** The names of the kinds that are watched. Default: all. */
  readonly kinds?: ReadonlyArray<string> | undefined
  /** From how long on a time without activity is a pause. Default: 1 minute. */
  readonly pause?: Duration.Input | undefined
  /** How many sessions that are in the store only it remembers. Default: 10,000. */
  readonly remembered?: number | undefined
  /** How many summaries the sink gets at once, at most. Default: 100. */
  readonly batchSize?: number | undefined
  /** How long a summary waits for a batch to become full. Default: 10 seconds. */
  readonly batchEvery?: Duration.Input | undefined
  /** How many summaries may wait for the sink; beyond it the oldest are dropped, counted and logged. Default: 10,000. */
  readonly bufferSize?: number | undefined
  /** How often a batch is tried again that the sink did not take. Default: 3. */
  readonly retries?: number | undefined
  /** The pause before the first of these; each is twice as long as the one before. Default: 1 second. */
  readonly retryPause?: Duration.Input | undefined
  /** How long what waits may take when the Layer closes. Default: 5 seconds. */
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

/** Updates metrics whose tags come with the values. */
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
 * Watches the sessions and tells of their lives. Fails with `InvalidConfig` when an option is not usable.
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

    // An event within an event would come to some listeners before it.
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
