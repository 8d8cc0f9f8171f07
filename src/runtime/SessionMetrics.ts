/**
 * Metrics of all sessions.
 *
 * The runtime counts in plain numbers, which `Sessions.layer` exposes as Effect metrics. They are read when metrics are
 * scraped (`effect/observability/PrometheusMetrics`, OTLP) and cost nothing between two scrapes. Metrics are tagged by
 * kind and outcome, never by id.
 *
 * **When to use:** an exporter finds the metrics by itself. Use these values to read a metric in a program or a test:
 *
 * ```ts
 * const liveCarts = Metric.value(Metric.withAttributes(SessionMetrics.live, { kind: "Cart" }))
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { SessionEvents } from "./SessionEvents.ts"

const counter = (name: string, description: string): Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

/**
 * Live sessions, by `kind`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const live = Metric.gauge("effect_sessions_live", { description: "Live sessions" })

/**
 * The configured `maxSessions`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const limit = Metric.gauge("effect_sessions_limit", { description: "The most live sessions allowed" })

/**
 * Sessions started, by `kind`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const started = counter("effect_sessions_started_total", "Sessions started")

/**
 * Starts whose `init` failed, by `kind`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const startFailures = counter("effect_sessions_start_failures_total", "Starts whose init failed")

/**
 * Sessions ended, by `kind` and `reason`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const ended = counter("effect_sessions_ended_total", "Sessions ended")

/**
 * Messages accepted, by `kind` and `type` (`call` or `cast`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const messages = counter("effect_sessions_messages_total", "Messages accepted")

/**
 * Messages that were not handled as they should have been, by `kind` and `outcome`: `timeout`, `rejected` (a full mailbox
 * or the message rate), `dropped` (replaced by a newer message), `dead_letter`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const failures = counter("effect_sessions_message_failures_total", "Messages not handled as they should")

/**
 * Handlers that died of a defect, by `kind`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const crashes = counter("effect_sessions_crashes_total", "Handlers that died")

/**
 * The time from sending a message to its answer, in milliseconds, by `kind`, `tag` and `outcome`. Measured only with
 * `layerDurations`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const duration = Metric.histogram("effect_sessions_message_duration_ms", {
  description: "Milliseconds from sending a message to its answer",
  boundaries: [0.1, 0.5, 1, 5, 10, 50, 100, 500, 1_000, 5_000]
})

/**
 * Connected clients, by `kind`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const connections = Metric.gauge("effect_sessions_connections", { description: "Connected clients" })

/**
 * Hibernating sessions, by `kind`: live sessions that have released their fiber and mailbox until the next message.
 *
 * @since 0.1.0
 * @category metrics
 */
export const hibernating = Metric.gauge("effect_sessions_hibernating", { description: "Sessions that hibernate" })

/**
 * Connections made by clients so far, by `kind`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const connected = counter("effect_sessions_connections_total", "Clients that connected")

/**
 * The time from the start of a session to its end, in milliseconds, by `kind` and `reason`. Measured only with
 * `layerDurations`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lifetime = Metric.histogram("effect_sessions_lifetime_ms", {
  description: "Milliseconds from the start of a session to its end",
  boundaries: [1_000, 10_000, 60_000, 600_000, 1_800_000, 3_600_000, 21_600_000, 86_400_000]
})

/**
 * The number of messages that a session handled from its start to its end, by `kind` and `reason`. Measured only with
 * `layerDurations`.
 *
 * @since 0.1.0
 * @category metrics
 */
export const handled = Metric.histogram("effect_sessions_lifetime_messages", {
  description: "Messages that a session handled in its life",
  boundaries: [0, 1, 10, 100, 1_000, 10_000, 100_000]
})

/**
 * Measures how long messages take (`duration`), how long sessions live (`lifetime`), and how many messages they handle
 * (`handled`).
 *
 * **Gotchas:** the Layer listens to the events of all sessions, so every message costs a little more.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerDurations: Layer.Layer<never, never, SessionEvents> = Layer.effectDiscard(
  Effect.gen(function*() {
    const events = yield* SessionEvents
    const context = yield* Effect.context<never>()
    const tagged = (metric: Metric.Histogram<number>) => {
      const known = new Map<string, Metric.Histogram<number>>()
      return (value: number, attributes: Record<string, string>) => {
        const key = Object.values(attributes).join(" ")
        let histogram = known.get(key)
        if (histogram === undefined) known.set(key, histogram = Metric.withAttributes(metric, attributes))
        histogram.updateUnsafe(value, context)
      }
    }
    const [message, life, work] = [tagged(duration), tagged(lifetime), tagged(handled)]
    yield* events.listen((event) => {
      if (event._tag === "Call" || event._tag === "Cast") {
        message(event.duration, { kind: event.kind, tag: event.tag, outcome: event.outcome })
      } else if (event._tag === "Stop") {
        const attributes = { kind: event.kind, reason: event.reason._tag.toLowerCase() }
        life(event.duration, attributes)
        work(event.messages, attributes)
      }
    })
  })
)
