/**
 * What a node counts, and how it becomes metrics.
 */
import type * as Context from "effect/Context"
import { registrar } from "../../../runtime/internal/host/kindMetrics.ts"
import * as ClusterMetrics from "../ClusterMetrics.ts"
import type { Places } from "./Places.ts"

/** Plain numbers, because they are counted for each request. */
export class ClusterCounters {
  sent = 0
  received = 0
  retries = 0
  lost = 0
  unavailable = 0
}

/** Registers the metrics of a node. Returns the function that removes them. */
export const showCluster = (
  context: Context.Context<never>,
  places: Places,
  counters: ClusterCounters
): () => void => {
  const { remove, show } = registrar(context)
  const total = (get: () => number) => () => ({ count: get(), incremental: true })
  show(ClusterMetrics.places, {}, () => ({ value: places.open }))
  show(ClusterMetrics.nodes, {}, () => ({ value: places.nodes.length }))
  show(ClusterMetrics.requests, { direction: "sent" }, total(() => counters.sent))
  show(ClusterMetrics.requests, { direction: "received" }, total(() => counters.received))
  show(ClusterMetrics.retries, {}, total(() => counters.retries))
  show(ClusterMetrics.failures, { outcome: "lost" }, total(() => counters.lost))
  show(ClusterMetrics.failures, { outcome: "unavailable" }, total(() => counters.unavailable))
  return remove
}
