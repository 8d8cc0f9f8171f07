/**
 * `effect-sessions/live`: the views of a session, as JSON patches over server-sent events, and its actions over `POST`. For
 * WebSockets see `LiveSocket` of `effect-sessions/socket`.
 *
 * @since 0.1.0
 */
export * as LiveHttp from "./LiveHttp.ts"
export * as LiveViews from "./LiveViews.ts"
