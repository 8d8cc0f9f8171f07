/**
 * Registers the counters of kinds as metrics. A metric reads its counter when it is scraped.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import * as EndReason from "../../../contract/EndReason.ts"
import * as SessionMetrics from "../../SessionMetrics.ts"
import type { HostContext } from "./HostContext.ts"
import type { Kind } from "./Kind.ts"

type Show = <Input, State>(
  metric: Metric.Metric<Input, State>,
  attributes: Metric.Metric.AttributeSet,
  get: () => State
) => void

/** Registers metrics that read plain numbers, until `remove` is called. */
export const registrar = (context: Context.Context<never>) => {
  const registrations: Array<Metric.Registration> = []
  const show: Show = (metric, attributes, get) => {
    const tagged = Context.add(context, Metric.CurrentMetricAttributes, {
      ...Context.get(context, Metric.CurrentMetricAttributes),
      ...attributes
    })
    registrations.push(Metric.registerUnsafe(metric, tagged, { get, update() {}, modify() {} }))
  }
  const remove = () => registrations.forEach((registration) => registration.remove())
  return { show, remove }
}

/** Registers the metrics of the host. Returns the function that removes them. */
export const showHub = (context: Context.Context<never>, host: HostContext): () => void => {
  const { remove, show } = registrar(context)
  show(SessionMetrics.limit, {}, () => ({ value: host.config.maxSessions }))
  return remove
}

/** Registers the metrics of one kind. Returns the function that removes them. */
export const showKind = (context: Context.Context<never>, shown: Kind): () => void => {
  const { counters, name: kind } = shown
  const { remove, show } = registrar(context)
  const total = (metric: Metric.Counter<number>, attributes: Metric.Metric.AttributeSet, get: () => number) =>
    show(metric, { kind, ...attributes }, () => ({ count: get(), incremental: true }))
  show(SessionMetrics.live, { kind }, () => ({ value: shown.count }))
  total(SessionMetrics.started, {}, () => counters.started)
  total(SessionMetrics.startFailures, {}, () => counters.startFailures)
  total(SessionMetrics.crashes, {}, () => counters.crashes)
  total(SessionMetrics.messages, { type: "call" }, () => counters.calls)
  total(SessionMetrics.messages, { type: "cast" }, () => counters.casts)
  total(SessionMetrics.failures, { outcome: "timeout" }, () => counters.timeouts)
  total(SessionMetrics.failures, { outcome: "rejected" }, () => counters.rejected)
  total(SessionMetrics.failures, { outcome: "dropped" }, () => counters.dropped)
  total(SessionMetrics.failures, { outcome: "dead_letter" }, () => counters.deadLetters)
  show(SessionMetrics.connections, { kind }, () => ({ value: counters.connections }))
  show(SessionMetrics.hibernating, { kind }, () => ({ value: shown.hibernation?.count ?? 0 }))
  total(SessionMetrics.connected, {}, () => counters.connected)
  for (const reason of EndReason.tags) {
    total(SessionMetrics.ended, { reason: reason.toLowerCase() }, () => counters.ended[reason])
  }
  return remove
}
