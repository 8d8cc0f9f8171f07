/**
 * The fields that only some sessions need. The object is made when a session first needs one of them.
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
  /** The arguments of the start, for a reset. */
  args: unknown = undefined
  /** Replaces the idle timeout of the kind, in milliseconds. */
  idleTimeout: number | undefined = undefined
  metadata: Readonly<Record<string, unknown>> = noMetadata
  user: string | undefined = undefined
  /** Closed when the session ends or is reset. */
  scope: Scope.Closeable | undefined = undefined
  /** The services for the Effects of its handlers. */
  context: Context.Context<never> | undefined = undefined
  watchers: Watchers | undefined = undefined
  connections: SessionConnections | undefined = undefined
  replies: ReplyCache | undefined = undefined
  timers: SelfTimers | undefined = undefined
  /** Stored timers that this program cannot decode. They go back into the next snapshot. */
  quarantine: ReadonlyArray<unknown> | undefined = undefined
  /** The times of the crashes within the window of its supervision. */
  recentCrashes: Array<number> | undefined = undefined
  /** All crashes since the start. */
  crashes = 0
  /** `true` while it pauses after a crash. */
  recovering = false
  /** Callers that wait for `init`. */
  startWaiters: Set<(exit: Exit.Exit<any, any>) => void> | undefined = undefined
  /** The failure of `init`. */
  startFailure: Exit.Failure<any, unknown> | undefined = undefined
  /** Callers that wait for the end. */
  endWaiters: Set<(reason: EndReason) => void> | undefined = undefined
  endDeadline: Deadline | undefined = undefined
  /** Defined while it is saved before it leaves memory. Any change or message resets it, and the session stays. */
  leaving: object | undefined = undefined
  /** The epoch of the claim, once a reset has given the session another epoch. */
  claimed: number | undefined = undefined
  /** How many versions it had since the claim and before the last reset. */
  versionsBefore = 0
  /** `true` when the reply to the current message waits for the store, whatever the save policy. */
  writesAhead = false
  /** `true` once the store was notified of its end. */
  storeNotified = false
  /** `true` while the end hook and the finalizers run: no message is handled any more. */
  cleansUp = false
  /** How many messages in the mailbox are settled already, and will be skipped. */
  withdrawn = 0
  /** Interrupts a start that takes too long. */
  startDeadline: Deadline | undefined = undefined
  /** `true` once the running handler was interrupted to end the session. */
  killed = false
  /** `true` when it ends here to go on in another process. */
  handedOver = false
}
