/**
 * `effect-sessions/socket`: WebSocket sessions of users, let in by their tokens. Needs `@effect/platform-node` and
 * `jose`.
 *
 * @since 0.1.0
 */
export * as CloseCode from "../../contract/CloseCode.ts"
export * from "../auth/JwtAlgorithm.ts"
export * from "../auth/JwtKeys.ts"
export * from "../auth/JwtSigner.ts"
export * from "../auth/JwtVerifier.ts"
export * as SessionSocket from "./SessionSocket.ts"
