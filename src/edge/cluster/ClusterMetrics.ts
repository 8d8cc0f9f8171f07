/**
 * Metrics of a node of a cluster.
 *
 * As `SessionMetrics`, they are plain numbers that are read when metrics are scraped. A node exposes its own.
 *
 * **When to use:** an exporter finds them by itself. Use these values to read a metric in a program or a test.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

const counter = (name: string, description: string): Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true })

/**
 * The places that this node serves. Over all nodes, the sum is the number of places of the cluster; it is lower while places move.
 *
 * @since 0.1.0
 * @category metrics
 */
export const places = Metric.gauge("effect_sessions_cluster_places", { description: "Places that this node serves" })

/**
 * The healthy members that this node knows, itself among them.
 *
 * @since 0.1.0
 * @category metrics
 */
export const nodes = Metric.gauge("effect_sessions_cluster_nodes", { description: "Healthy members of the cluster" })

/**
 * Requests between nodes, by `direction`: `sent` to the owner of a session, or `received` from another node. Each attempt counts.
 *
 * @since 0.1.0
 * @category metrics
 */
export const requests = counter("effect_sessions_cluster_requests_total", "Requests between nodes")

/**
 * Requests that looked again for the owner of their session, because its place moves or its node is lost.
 *
 * @since 0.1.0
 * @category metrics
 */
export const retries = counter("effect_sessions_cluster_retries_total", "Requests that looked again for an owner")

/**
 * Requests that failed because of the cluster, by `outcome`: `lost` (`NodeLost`) or `unavailable` (`NodeUnavailable`).
 *
 * @since 0.1.0
 * @category metrics
 */
export const failures = counter("effect_sessions_cluster_failures_total", "Requests that failed between nodes")
