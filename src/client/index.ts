/**
 * `effect-sessions/client`: the client of live sessions, for browsers and whatever else has a `WebSocket`.
 *
 * @since 0.1.0
 */
export * as CloseCode from "../contract/CloseCode.ts"
export * as Live from "../contract/Live.ts"
export * as LiveError from "../contract/LiveError.ts"
export * as ClientError from "./ClientError.ts"
export * as LiveAtom from "./LiveAtom.ts"
export * as LiveClient from "./LiveClient.ts"
export * as Status from "./Status.ts"
