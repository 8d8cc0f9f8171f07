/**
 * The codes with which sockets are closed, and what a client should make of them. When a session has ended, the reason of
 * the close is the tag of its `EndReason`, in lower case.
 *
 * @since 0.1.0
 */
import type { EndReason } from "./EndReason.ts"

/**
 * The session ended as it should. Coming back starts a new one.
 *
 * @since 0.1.0
 * @category codes
 */
export const normal = 1000

/**
 * The server is closing. Come back in a while.
 *
 * @since 0.1.0
 * @category codes
 */
export const goingAway = 1001

/**
 * A frame is not text.
 *
 * @since 0.1.0
 * @category codes
 */
export const unsupportedData = 1003

/**
 * The client sends too much, or what it may not: what its credential was for is gone, the user is unknown, or there were
 * too many messages.
 *
 * @since 0.1.0
 * @category codes
 */
export const policyViolation = 1008

/**
 * A frame is larger than allowed.
 *
 * @since 0.1.0
 * @category codes
 */
export const tooBig = 1009

/**
 * The session crashed.
 *
 * @since 0.1.0
 * @category codes
 */
export const internalError = 1011

/**
 * The session lives elsewhere now. Come back at once.
 *
 * @since 0.1.0
 * @category codes
 */
export const serviceRestart = 1012

/**
 * There is no room, or the client reads too slowly. Come back later.
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
 * The code to send for this one. Some numbers cannot be sent: those below 1000 and above 4999, undefined ones, and
 * the codes that only describe the local side (1005, 1006, 1015). `1005` becomes `normal`, and all others become
 * `internalError`.
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

/** What a close frame has room for besides its code, in bytes. */
const reasonBytes = new Uint8Array(123)

/**
 * The reason of a close as it can be sent: at most 123 bytes of UTF-8, cut between two characters.
 *
 * @since 0.1.0
 * @category codes
 */
export const sendableReason = (reason: string): string => {
  const text = String(reason)
  return text.length <= 41 ? text : text.slice(0, new TextEncoder().encodeInto(text, reasonBytes).read)
}

/**
 * The code for the end of a session. One that stopped with an error of its kind (`declared`), such as an unknown user,
 * closes with `policyViolation`.
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
