/**
 * `effect-sessions/socket`: live views and sessions over WebSockets. Needs `@effect/platform-node`.
 *
 * @since 0.1.0
 */
export * as CloseCode from "../../contract/CloseCode.ts"
export * as LiveSocket from "./LiveSocket.ts"
export * as SessionSocket from "./SessionSocket.ts"
