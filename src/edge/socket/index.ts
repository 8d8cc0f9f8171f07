/**
 * `effect-sessions/socket`: WebSocket sessions of users, let in by their tokens. Needs `@effect/platform-node` and
 * `jose`.
 *
 * @since 0.1.0
 */
export * as CloseCode from "../../contract/CloseCode.ts"
export * from "./JwtAlgorithm.ts"
export * from "./JwtKeys.ts"
export * from "./JwtSigner.ts"
export * from "./JwtVerifier.ts"
export * as SessionSocket from "./SessionSocket.ts"
