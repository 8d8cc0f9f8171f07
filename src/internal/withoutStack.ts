/**
 * Makes an error without a stack. These errors are values that tell what to do; the stack would show the inside of
 * a fiber's loop, at five times the cost, which counts when somebody floods a server with requests that fail.
 */
export const withoutStack = <E>(make: () => E): E => {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return make()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}
