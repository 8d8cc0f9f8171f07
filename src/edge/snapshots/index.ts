/**
 * `effect-sessions/snapshots`: where sessions are stored that outlive the process.
 *
 * @since 0.1.0
 */
export * from "../../contract/SnapshotStore.ts"
export * as Encrypted from "./Encrypted.ts"
export * as MemoryStore from "./MemoryStore.ts"
export * as RedisStore from "./RedisStore.ts"
export * as SqliteStore from "./SqliteStore.ts"
export * as SqlStore from "./SqlStore.ts"
