/**
 * What only some sessions need; made when a session first needs any of it.
 */
import type * as Context from "effect/Context"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type { EndReason } from "../../../contract/EndReason.ts"
import type { ReplyCache } from "../messages/ReplyCache.ts"
import type { Deadline } from "../time/Deadlines.ts"
import type { SelfTimers } from "../time/SelfTimers.ts"
import type { SessionConnections } from "./SessionConnections.ts"
import type { Watchers } from "./Watchers.ts"

export const noMetadata: Readonly<Record<string, unknown>> = Object.freeze({})

export class SessionExtras {
  /** The arguments of the start, kept for a reset. */
  args: unknown = undefined
  /** Replaces the kind's, in milliseconds. */
  idleTimeout: number | undefined = undefined
  metadata: Readonly<Record<string, unknown>> = noMetadata
  user: string | undefined = undefined
  /** What the session has acquired. */
  scope: Scope.Closeable | undefined = undefined
  /** The services that the Effects of its handlers get. */
  context: Context.Context<never> | undefined = undefined
  watchers: Watchers | undefined = undefined
  connections: SessionConnections | undefined = undefined
  replies: ReplyCache | undefined = undefined
  timers: SelfTimers | undefined = undefined
  /** Timers that the store has and this program cannot read. */
  quarantine: ReadonlyArray<unknown> | undefined = undefined
  /** The times of the crashes that still count. */
  recentCrashes: Array<number> | undefined = undefined
  /** All crashes. */
  crashes = 0
  /** `true` while it pauses after a crash. */
  recovering = false
  /** Those who wait for `init`. */
  startWaiters: Set<(exit: Exit.Exit<any, any>) => void> | undefined = undefined
  /** What `init` failed with. */
  startFailure: Exit.Failure<any, unknown> | undefined = undefined
  /** Those who wait for the end. */
  endWaiters: Set<(reason: EndReason) => void> | undefined = undefined
  endDeadline: Deadline | undefined = undefined
  /** While it is saved to leave memory; whatever happens to it takes that back. */
  leaving: object | undefined = undefined
  /** The epoch under which it is written, once a reset gave it another. */
  claimed: number | undefined = undefined
  /** The versions of its incarnations before the last reset. */
  versionsBefore = 0
  /** Does the answer to the message that is handled wait until it is written, whatever the policy? */
  writesAhead = false
  /** `true` once the store was told of its end. */
  storeNotified = false
  /** `true` once its messages are over: the end hook may run, and what it has acquired is released. */
  cleansUp = false
  /** How many messages in the mailbox are settled already. */
  withdrawn = 0
  /** Ends a start that takes too long. */
  startDeadline: Deadline | undefined = undefined
  /** `true` once what runs was interrupted to end the session. */
  killed = false
}
