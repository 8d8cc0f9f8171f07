/**
 * How the runtime treats a store that fails again and again.
 */
import { backoff } from "../../../internal/backoff.ts"

const firstPause = 100
const longestPause = 30_000

/** The number of failures in a row after which the store counts as down: callers hear that at once. */
export const downAfter = 5

/** The pause after so many failures in a row, in milliseconds. */
export const pauseAfter = (failures: number): number => backoff(failures, firstPause, longestPause)
