/**
 * The codes with which the server closes a WebSocket, and what a client should do. If the session has ended, the reason of
 * the close is the tag of its `EndReason`, in lower case.
 *
 * **When to use:** in a client that does not use `LiveClient`, which handles these codes itself:
 *
 * ```ts
 * socket.onclose = ({ code }) => {
 *   if (code === CloseCode.serviceRestart) connect()
 *   else if (code === CloseCode.tryAgainLater) setTimeout(connect, 10_000)
 * }
 * ```
 *
 * @since 0.1.0
 */
import type { EndReason } from "./EndReason.ts"

/**
 * The session has ended as it should. A new connection starts a new session.
 *
 * @since 0.1.0
 * @category codes
 */
export const normal = 1000

/**
 * The server is shutting down. Connect again after a pause.
 *
 * @since 0.1.0
 * @category codes
 */
export const goingAway = 1001

/**
 * The client sent a frame that is not text.
 *
 * @since 0.1.0
 * @category codes
 */
export const unsupportedData = 1003

/**
 * The client may not go on: it sent too many messages, what its credential gave access to is gone, or the user is unknown.
 * Do not connect again with the same credential at once.
 *
 * @since 0.1.0
 * @category codes
 */
export const policyViolation = 1008

/**
 * The client sent a frame that is larger than allowed.
 *
 * @since 0.1.0
 * @category codes
 */
export const tooBig = 1009

/**
 * The session crashed, or its connection did. A new connection may start a new session.
 *
 * @since 0.1.0
 * @category codes
 */
export const internalError = 1011

/**
 * The session has moved to another node. Connect again at once.
 *
 * @since 0.1.0
 * @category codes
 */
export const serviceRestart = 1012

/**
 * The server has no room for the connection, or the client reads too slowly. Connect again later.
 *
 * @since 0.1.0
 * @category codes
 */
export const tryAgainLater = 1013

/**
 * The credential is no longer valid: it has expired, or it was replaced, as a cookie is at login. Connect again with
 * the current one.
 *
 * @since 0.1.0
 * @category codes
 */
export const unauthorized = 3000

/**
 * The code to send in place of any code. Some numbers cannot be sent: those below 1000 and above 4999, undefined codes, and
 * codes that only describe the local side (1005, 1006, 1015). `1005` becomes `normal`, all others become `internalError`.
 *
 * @since 0.1.0
 * @category codes
 */
export const sendable = (code: number): number => {
  if (!Number.isInteger(code)) return internalError
  if ((code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006)) return code
  if (code >= 3000 && code <= 4999) return code
  return code === 1005 ? normal : internalError
}

/** The most bytes of a reason that a close frame can carry. */
const reasonBytes = new Uint8Array(123)

/**
 * Shortens the reason of a close to what a frame can carry: at most 123 bytes of UTF-8, never within a character.
 *
 * @since 0.1.0
 * @category codes
 */
export const sendableReason = (reason: string): string => {
  const text = String(reason)
  return text.length <= 41 ? text : text.slice(0, new TextEncoder().encodeInto(text, reasonBytes).read)
}

/**
 * The code for the end of a session. With `declared`, the session stopped with the declared error of its kind, such as an
 * unknown user, and the code is `policyViolation`.
 *
 * @since 0.1.0
 * @category codes
 */
export const ofEnd = (reason: EndReason, declared: boolean): number => {
  switch (reason._tag) {
    case "Stopped":
      return declared ? policyViolation : normal
    case "Expired":
    case "Disconnected":
      return normal
    case "Crashed":
      return internalError
    case "Evicted":
      return tryAgainLater
    case "Moved":
      return serviceRestart
    case "Shutdown":
      return goingAway
  }
}
