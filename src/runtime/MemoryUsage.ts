/**
 * The heap that the process uses, for the estimates of `Sessions.stats`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"

/**
 * Gives the heap in use in bytes, or `undefined` if the platform does not report it. Default: `process.memoryUsage`.
 *
 * @since 0.1.0
 * @category services
 */
export const MemoryUsage: Context.Reference<() => number | undefined> = Context.Reference<() => number | undefined>(
  "effect-sessions/MemoryUsage",
  {
    defaultValue: () => () => {
      const { process } = globalThis as { readonly process?: { readonly memoryUsage?: () => { heapUsed: number } } }
      return process?.memoryUsage?.().heapUsed
    }
  }
)
