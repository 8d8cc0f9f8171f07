/**
 * `effect-sessions/live`: views of a session in every tab, as patches, over WebSockets and server-sent events. Needs
 * `@effect/platform-node` and `jose`.
 *
 * @since 0.1.0
 */
export * as Admission from "../auth/Admission.ts"
export * as LiveHttp from "./LiveHttp.ts"
export * as LiveSocket from "../socket/LiveSocket.ts"
export * as LiveViews from "./LiveViews.ts"
