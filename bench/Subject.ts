/**
 * What is measured?
 *
 * A subject opens a driver, which has the operations that the suites use. This library, a kind of your own and each baseline
 * are subjects, so all of them run the same suites. A driver leaves out operations that its subject does not have; their
 * cells in the tables stay empty.
 */
import type { Effect, Scope } from "effect"
import type { Operation } from "./measure.ts"

export interface Driver {
  /** Starts a session with a state of three fields. */
  readonly create: Operation
  /** Asks the session for its state. */
  readonly call: Operation
  /** Sets a field of the state without waiting, in the fastest way for the caller. */
  readonly cast: Operation
  /** The same inside an Effect, when that is another way. */
  readonly castEffect?: Operation | undefined
  /** The same two operations with handlers that are Effects. */
  readonly effectful?: { readonly call: Operation; readonly cast: Operation } | undefined
  /** Finds a session by its id, in the fastest way for the caller. */
  readonly lookup: Operation
  /** The same inside an Effect, when that is another way. */
  readonly lookupEffect?: Operation | undefined
  /** Ends a session. */
  readonly end: Operation
  /** Counts as activity. */
  readonly touch?: Operation | undefined
  /** Starts many at once. */
  readonly startAll?: ((ids: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>) | undefined
  /** Ends many at once. */
  readonly endAll?: ((ids: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>) | undefined
  /** Casts to all sessions. */
  readonly broadcast?: Effect.Effect<unknown, unknown> | undefined
  /** Calls a session that does not exist, and succeeds with the error. */
  readonly callMissing?: Operation | undefined
  /** Starts a session that is refused, and succeeds with the error. */
  readonly startRefused?: Operation | undefined
  /** Starts sessions that expire shortly after. */
  readonly startExpired?: ((ids: ReadonlyArray<string>) => Effect.Effect<unknown, unknown>) | undefined
  /** Ends the sessions that have expired and gives their number. */
  readonly sweep?: Effect.Effect<number, unknown> | undefined
  /** How many sessions there are. */
  readonly count: Effect.Effect<number>
}

export interface Subject {
  readonly name: string
  /** The share of the rounds that a slow subject does; rates stay comparable. Default: 1. */
  readonly effort?: number | undefined
  readonly open: Effect.Effect<Driver, unknown, Scope.Scope>
}

/** The results of a suite, by the name of the figure. */
export type Figures = Readonly<Record<string, number>>

/** The size of a run. */
export interface Plan {
  /** Sessions of the workload suite. */
  readonly sessions: number
  /** Sizes of the growth suite. */
  readonly sizes: ReadonlyArray<number>
  /** Sessions of the paths suite. */
  readonly batch: number
  /** The share of the rounds; 1 is what the comparison with OTP was defined with. */
  readonly effort: number
  /** How often the paths suite repeats a figure, to take the median. */
  readonly runs: number
}
