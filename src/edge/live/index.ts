/**
 * `effect-sessions/live`: the views of a session in every tab, as JSON patches, and its actions. `LiveSocket` loads
 * `@effect/platform-node` when its Layer is built; nothing else needs a driver.
 *
 * @since 0.1.0
 */
export * as Admission from "../auth/Admission.ts"
// An entry point may name what its users look for here; a file of this folder may not depend on it.
// oxlint-disable-next-line no-restricted-imports
export * as LiveSocket from "../socket/LiveSocket.ts"
export * as LiveHttp from "./LiveHttp.ts"
export * as LiveViews from "./LiveViews.ts"
