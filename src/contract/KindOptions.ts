/**
 * The options of a kind: how its sessions are supervised, bounded and timed.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type { Migration } from "./Migration.ts"

/**
 * What a full mailbox does with a message:
 *
 * - `"wait"`: its sender waits for room;
 * - `"reject"`: its sender gets `MailboxFull`;
 * - `"dropOldest"`: the oldest waiting message with the same tag is dropped for it, which suits samples such
 *   as cursor moves. When none of them waits, its sender gets `MailboxFull`.
 *
 * @since 0.1.0
 * @category models
 */
export type Overflow = "wait" | "reject" | "dropOldest"

/**
 * What happens to a session whose handler died of a defect. Make one with `Supervision.resume`,
 * `Supervision.reset` or `Supervision.stop`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Supervision {
  /**
   * - `"resume"`: goes on with the last good state;
   * - `"reset"`: closes the session's Scope and runs `init` again;
   * - `"stop"`: ends with `Crashed`.
   */
  readonly onCrash: "resume" | "reset" | "stop"
  /** More crashes than this within `within` end the session with `Crashed`. */
  readonly maxCrashes: number
  readonly within: Duration.Input
  /**
   * The pause after the n-th crash within the window (n = 1, 2, …), before the next message.
   */
  readonly backoff: (crash: number) => Duration.Input
}

/**
 * A rate: at most `limit` within any `window`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rate {
  readonly limit: number
  readonly window: Duration.Input
}

/**
 * When a session is written to the store, besides when it ends with the server:
 *
 * - `"atEnd"`: not before. A crash of the process loses everything.
 * - `"atHibernation"`: when it hibernates. A crash loses what happened since.
 * - `{ every: n }`: after every n-th change of the state. A crash loses less than n changes, or the changes since the last
 *   write that was not finished began.
 * - `{ debounce }`: that long after a change. A crash loses at most the changes of that time, or the changes since the last
 *   write that was not finished began.
 * - `"everyChange"`: before the message is answered. A crash loses nothing that was answered, and nothing that a watcher has
 *   seen: watchers are notified once the change is written, right before the reply. What `state` and the first value of a
 *   watcher show may not be written yet.
 *
 * Under `{ debounce }`, a writer whose batch takes longer than a sixth of the debounce pauses for six times as long as the
 * batch took. Under all policies but `"atEnd"`, a session that hibernates is written too; a session that leaves memory is
 * always written. Under every policy, changes of a session's user and metadata are written before they are confirmed, and a
 * stored session is written again before it would expire in the store.
 *
 * @since 0.1.0
 * @category models
 */
export type SavePolicy =
  | "atEnd"
  | "atHibernation"
  | "everyChange"
  | { readonly every: number }
  | { readonly debounce: Duration.Input }

/**
 * How sessions outlive the process: see `KindOptions.snapshots`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SnapshotOptions {
  /** Default: `{ debounce: "1 second" }`. */
  readonly save?: SavePolicy | undefined
  /**
   * From the first format of the state to the present one, in order: the first reads what was written before there was
   * any. They run when an older snapshot is loaded. Default: none.
   */
  readonly migrations?: ReadonlyArray<Migration> | undefined
  /**
   * How long a session that hibernates stays in memory before it is there in the store only. Needs `hibernateAfter`.
   * Default: it stays.
   */
  readonly passivateAfter?: Duration.Input | undefined
}

/**
 * Options of a kind; what is left out comes from the configuration of the sessions.
 *
 * @since 0.1.0
 * @category models
 */
export interface KindOptions<in out Tag extends string = string> {
  /** Default: `Supervision.resume()`. */
  readonly supervision?: Supervision | undefined
  /** For all messages, or for each tag. Default: `"wait"`. */
  readonly overflow?: Overflow | { readonly [T in Tag]?: Overflow } | undefined
  /** How many messages may wait. Default: the configured `mailboxCapacity` (1,000). */
  readonly mailboxCapacity?: number | undefined
  /** Messages handled in a row before other fibers get a turn. Default: 128. */
  readonly batch?: number | undefined
  /** Ends sessions that had no activity for so long. Default: the configured `idleTimeout` (1 hour). */
  readonly idleTimeout?: Duration.Input | undefined
  /** Ends sessions this long after their start, active or not. Default: the configured one (none). */
  readonly absoluteTimeout?: Duration.Input | undefined
  /**
   * How long a session outlives its last connected client (see `SessionRef.attach`) before it ends with
   * `Disconnected`. Default: it does not end for that.
   */
  readonly reconnectWindow?: Duration.Input | undefined
  /**
   * How long a session has nothing to do before it gives up its fiber and its mailbox, which takes it down to a few hundred
   * bytes beyond its state. The next message, timer or alarm wakes it; nobody sees a difference. Default: never.
   */
  readonly hibernateAfter?: Duration.Input | undefined
  /** How long `call` waits for an answer. Default: the configured `callTimeout` (5 seconds). */
  readonly callTimeout?: Duration.Input | undefined
  /**
   * How long `init`, `restore` or `afterStart` may take. After that it is interrupted, the session ends, and the
   * caller of `start` gets `StartTimeout`. Default: the configured `startTimeout` (30 seconds).
   */
  readonly startTimeout?: Duration.Input | undefined
  /**
   * Stores sessions in the `SnapshotStore`, which must be provided to `toLayer`: their state, user, metadata, timers
   * and the replies of `callOnce` that they remember. A session that ended with the server (`Shutdown`), crashed or
   * was evicted is restored under its id by the next start or message. A session that ended otherwise is removed.
   * Default: sessions live in memory only.
   */
  readonly snapshots?: SnapshotOptions | undefined
  /**
   * What a session remembers of `SessionRef.callOnce`: how many replies per client (default: 64), and for how many
   * clients (default: 1,024). The client that has been silent for longest is forgotten first. A client is a connected
   * program, such as a browser tab, from its first message until it is closed; a room that is open for long has many.
   * In total, a session remembers the last reply of each client and 16 times `answers` older replies.
   */
  readonly remember?: { readonly answers?: number | undefined; readonly clients?: number | undefined } | undefined
  /**
   * Whether the `StartLimiter` counts the starts of this kind. Use `false` for kinds that the program starts by
   * itself, such as topics and inboxes, where no stranger decides how many there are. Default: `true`.
   */
  readonly limitStarts?: boolean | undefined
  /** Messages that one session may get. Default: the configured `messageRate` (no limit). */
  readonly messageRate?: Rate | undefined
}
