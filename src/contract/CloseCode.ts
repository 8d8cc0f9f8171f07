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
 * The client sends too much, or what it may not: its credential is worth nothing any more, the user is unknown, or
 * there were too many messages.
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
