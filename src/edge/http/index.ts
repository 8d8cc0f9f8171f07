/**
 * `effect-sessions/http`: whose session a request is.
 *
 * @since 0.1.0
 */
export * as ClientAddress from "./ClientAddress.ts"
export * from "./Connections.ts"
export * from "./CookieKeys.ts"
export * from "./CrossOrigin.ts"
export * as Devices from "./Devices.ts"
export * as HttpSession from "./HttpSession.ts"
