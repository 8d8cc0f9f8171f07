/**
 * `effect-sessions/socket`: a session per user over WebSockets, for clients with tokens. Needs `jose`, and
 * `@effect/platform-node` when a route is served.
 *
 * @since 0.1.0
 */
export * as CloseCode from "../../contract/CloseCode.ts"
// An entry point may name what its users look for here; a file of this folder may not depend on it.
// oxlint-disable-next-line no-restricted-imports
export * from "../jwt/index.ts"
export * as SessionSocket from "./SessionSocket.ts"
