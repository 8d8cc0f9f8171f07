/** The messages between the store and its thread. */
import type { Database } from "./Database.ts"
import type { Synchronous, Unusable } from "./openDatabase.ts"

export type Operation = Exclude<keyof Database, "close">

export interface Settings {
  readonly file: string
  readonly synchronous: Synchronous
  /** How long the thread waits while another process writes, in milliseconds. */
  readonly busyTimeout: number
}

export interface Request {
  readonly number: number
  readonly operation: Operation | "open" | "close"
  readonly parameters: ReadonlyArray<unknown>
}

export interface Failure {
  readonly message: string
  readonly isBusy: boolean
  /** Does it concern one snapshot, and not the file? */
  readonly isOfKey: boolean
  /** Why the file cannot be used at all. */
  readonly unusable: Unusable["reason"] | undefined
}

export interface Answer {
  readonly number: number
  readonly result: unknown
  readonly failure: Failure | undefined
}
