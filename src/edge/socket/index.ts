/**
 * `effect-sessions/socket`: WebSocket sessions of users, let in by their tokens. Needs `@effect/platform-node` and
 * `jose`.
 *
 * @since 0.1.0
 */
export * as CloseCode from "./CloseCode.ts"
export * from "./Jwt.ts"
export * as SessionSocket from "./SessionSocket.ts"
