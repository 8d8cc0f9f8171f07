/**
 * The idle timeout of one session, as a program gives it.
 */
import * as Duration from "effect/Duration"

/** Its milliseconds. One that is not longer than zero is a bug of the program, and dies as one. */
export const checkIdleTimeout = (timeout: Duration.Input): number => {
  const millis = Duration.toMillis(timeout)
  if (millis > 0) return millis
  throw new RangeError(`the idle timeout of a session must be longer than zero, got ${millis} ms`)
}
