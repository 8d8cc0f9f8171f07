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
 * When a session is saved, besides when it ends with the server:
 *
 * - `"atEnd"`: not before; a crash of the process loses all;
 * - `"atHibernation"`: when it hibernates; a crash loses what happened since;
 * - `{ every: n }`: after every n-th change of the state; a crash loses less than n changes, or what came since a write
 *   began that was not done;
 * - `{ debounce }`: so long after a change; a crash loses at most that much time, or what came since a write began that was
 *   not done;
 * - `"everyChange"`: before the message is answered; a crash loses nothing that a message was answered, and nothing
 *   that a watcher has seen, who is told of a change when it is written, right before its answer. What `state` gives, and who
 *   begins to watch, may not be written yet.
 *
 * Under `{ debounce }`, a writer that has so much to write that it takes longer than a sixth of that time rests six times as
 * long as it wrote. A session that hibernates is written too, under all but `"atEnd"`, and one that leaves memory always.
 * Whatever the policy, changes of a session's user and metadata are written before they are confirmed, and a session that is
 * in the store is written again before it would expire there.
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
   * How long `init`, `restore` or `afterStart` may take before it is interrupted: the session ends, and whoever starts it
   * gets `StartTimeout`. Default: the configured `startTimeout` (30 seconds).
   */
  readonly startTimeout?: Duration.Input | undefined
  /**
   * Keeps sessions in the `SnapshotStore`, which must be provided to `toLayer`: their state, user, metadata, timers and
   * what they remember of `callOnce`. A session that the server ends with it (`Shutdown`), or that crashed or was evicted,
   * is there again, under its id, at its next start or message. One that was ended otherwise is forgotten. Default: they
   * live in memory only.
   */
  readonly snapshots?: SnapshotOptions | undefined
  /**
   * What a session remembers of `SessionRef.callOnce`: how many answers of each client (default: 64), and of how many
   * clients (default: 1,024); the one that sent nothing for longest is forgotten first. A client is a connected program, such
   * as a tab of a browser, from when it first sent something until it is closed: many, for a room that is open for long. Of
   * all clients together the session has the last answer of each, and 16 times `answers` older ones.
   */
  readonly remember?: { readonly answers?: number | undefined; readonly clients?: number | undefined } | undefined
  /**
   * Are starts counted by the `StartLimiter`? `false` for kinds that the program starts by itself, such as topics and
   * inboxes, where no stranger decides how many there are. Default: `true`.
   */
  readonly limitStarts?: boolean | undefined
  /** Messages that one session may get. Default: the configured `messageRate` (no limit). */
  readonly messageRate?: Rate | undefined
}
