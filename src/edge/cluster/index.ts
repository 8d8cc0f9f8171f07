/**
 * `effect-sessions/cluster`: the sessions of a program on several nodes, each of them on one at a time.
 *
 * @since 0.1.0
 */
export * as ClusterMetrics from "./ClusterMetrics.ts"
export * as Coverage from "./Coverage.ts"
export * from "./ListenFailed.ts"
export * from "./NodeAddress.ts"
export * from "./SessionCluster.ts"
