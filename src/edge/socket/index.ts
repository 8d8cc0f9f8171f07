/**
 * `effect-sessions/socket`: WebSocket sessions of users, let in by their tokens. Needs `@effect/platform-node` and
 * `jose`.
 *
 * @since 0.1.0
 */
export * as CloseCode from "../../contract/CloseCode.ts"
export * from "../jwt/JwtAlgorithm.ts"
export * from "../jwt/JwtKeys.ts"
export * from "../jwt/JwtSigner.ts"
export * from "../jwt/JwtVerifier.ts"
export * as SessionSocket from "./SessionSocket.ts"
