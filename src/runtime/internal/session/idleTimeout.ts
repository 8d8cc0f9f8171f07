/**
 * Checks the idle timeout that a program gives to one session.
 */
import * as Duration from "effect/Duration"

/** The timeout in milliseconds. A timeout that is not longer than zero is a bug of the program: it throws. */
export const checkIdleTimeout = (timeout: Duration.Input): number => {
  const millis = Duration.toMillis(timeout)
  if (millis > 0) return millis
  throw new RangeError(`the idle timeout of a session must be longer than zero, got ${millis} ms`)
}
