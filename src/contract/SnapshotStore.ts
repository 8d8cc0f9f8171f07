/**
 * Stores the snapshots of sessions that outlive the process.
 *
 * A store holds the last snapshot of each session under its kind and id, and makes sure that only the owner of a key
 * writes it. The owner is whoever claimed the key last. A claim gives an epoch that is higher than any before, and the
 * store refuses writes under a lower one. So a process that has lost a session without knowing it can never overwrite
 * what the new owner wrote.
 *
 * Epochs outlive snapshots. When a key has no snapshot any more, because it was removed, swept or quarantined, or has none
 * yet, because it was only claimed, the store remembers its epoch for a while (one hour by default). After that, a claim
 * still gives a higher epoch than any before, so that two owners never conflict. But a former owner that was suspended
 * for longer than that can write again under a key that nobody has claimed since.
 *
 * **Guarded claims.** Among processes that agree on who is in charge of a key, for example by locks, one that was suspended
 * can still believe that it is, and claim what is another's by now. If each period in charge has a number that is higher
 * than those before, a _term_, claim under it: the store refuses a claim under a lower term than the key was ever claimed
 * under. It remembers the term of a key for as long as its epoch.
 *
 * **When to use:** give a kind `snapshots` and provide one of the stores of `effect-sessions/snapshots`. Use the service
 * directly to inspect what is stored and to look after the quarantine; implement it to store sessions elsewhere (the
 * contract is tested by one suite that all stores share).
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { taggedError } from "./internal/taggedError.ts"

/**
 * The address of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface Key {
  readonly kind: string
  readonly id: string
}

/**
 * A snapshot without its body.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head extends Key {
  /** The epoch under which it was written: see the module's description. */
  readonly epoch: number
  /** The number of changes of the state in this epoch: a whole number, as are `epoch` and `format`. */
  readonly version: number
  /** The version of the kind's state schema. */
  readonly format: number
  /** When it was written, in milliseconds since 1970. */
  readonly savedAt: number
  /** When the session expires if it has no further activity, in milliseconds since 1970; `null`: never. */
  readonly expiresAt: number | null
  /** When its next alarm is due, in milliseconds since 1970; `null`: it has none. */
  readonly alarmAt: number | null
  /** The user to whom the session belongs, any text; `null`: none. */
  readonly user: string | null
}

/**
 * The state of a session at one point in time.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot extends Head {
  /** The state and the other data of the session: any text, which the store returns unchanged. */
  readonly body: string
}

/**
 * What a store knows of a key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stat {
  /** The highest epoch that was claimed, written or removed under the key. */
  readonly epoch: number
  /** The head of its snapshot, if there is one. */
  readonly head: Option.Option<Head>
}

/**
 * Which snapshots to list: those that match every given field.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListOptions {
  readonly kind: string
  /** The text with which their ids begin. */
  readonly prefix?: string | undefined
  /** The user to whom they belong. */
  readonly user?: string | undefined
  /** The id after which the page starts: the last id of the page before. */
  readonly after?: string | undefined
  /** The size of a page. */
  readonly limit: number
}

/**
 * The result of a claim.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claimed {
  /** The epoch under which the claimant writes from now on. */
  readonly epoch: number
  readonly snapshot: Option.Option<Snapshot>
}

/**
 * Identifies an entry of the quarantine. The `snapshot` of an entry fits.
 *
 * @since 0.1.0
 * @category models
 */
export interface QuarantineKey extends Pick<Head, "kind" | "id" | "epoch" | "version" | "savedAt"> {}

/**
 * An entry of the quarantine: a snapshot that the program could not read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Quarantined {
  readonly snapshot: Snapshot
  /** Why it could not be read. */
  readonly reason: string
  /** When it was quarantined, in milliseconds since 1970. */
  readonly at: number
}

/**
 * An operation of the store failed. Retrying is safe: a write that is repeated has no further effect.
 *
 * `scope` says what is wrong: `"store"`, the store itself, so that every operation fails; or `"key"`, the data stored, or
 * to be stored, under one of the keys of the operation, while the store works for others. An operation on several keys
 * that fails for one of them may have taken effect for the others; repeat it for each key alone to find out which.
 *
 * @since 0.1.0
 * @category errors
 */
export class SnapshotStoreError extends taggedError<SnapshotStoreError>()("SnapshotStoreError", {
  operation: Schema.String,
  cause: Schema.Defect(),
  /** Default: `"store"`. */
  scope: Schema.Literals(["store", "key"]).pipe(Schema.withConstructorDefault(Effect.succeed("store")))
}, { status: 503, retrySafe: true }) {}

/**
 * A guarded claim came too late: the key was claimed under a higher term. The claim has changed nothing, and whoever owned
 * the key still does. Under the same term, it is refused again.
 *
 * @since 0.1.0
 * @category errors
 */
export class ClaimRefused extends taggedError<ClaimRefused>()("ClaimRefused", {
  kind: Schema.String,
  id: Schema.String,
  /** The highest term under which the key was claimed. */
  term: Schema.Number
}, { status: 409, retrySafe: true }) {
  static of({ id, kind }: Key, term: number): ClaimRefused {
    return new ClaimRefused({ kind, id, term, message: `${kind}/${id} was claimed under the higher term ${term}` })
  }
}

/**
 * Stores snapshots. See the module's description for claims and epochs.
 *
 * **Details**
 *
 * - Operations on one key take effect one after the other. What has succeeded survives a crash of this process; whether it
 *   survives a crash of the machine depends on the store.
 * - Operations on several keys take effect for each key alone: when one fails, some keys may be done and others not.
 *   Naming a key twice in one call is a bug and dies.
 * - Kinds and ids are any text that `SessionId` allows.
 * - Expired snapshots stay, and claims give them, until they are swept. The store itself looks at the time only to date
 *   entries of the quarantine and to forget epochs.
 *
 * @since 0.1.0
 * @category services
 */
export class SnapshotStore extends Context.Service<SnapshotStore, {
  /**
   * Makes the caller the owner of a key, whoever owned it before, and gives its snapshot. The epoch is `atLeast` or
   * higher, and higher than any that was ever claimed, written or removed under this key. A claim that is repeated gives
   * another epoch.
   *
   * With a `term`, a whole number from 0, the claim is guarded: it fails with `ClaimRefused`, and changes nothing, when the
   * key was claimed under a higher one. A claim without a term is never refused, and leaves the term of the key as it is.
   */
  readonly claim: (
    key: Key,
    atLeast: number,
    term?: number | undefined
  ) => Effect.Effect<Claimed, SnapshotStoreError | ClaimRefused>

  /**
   * Writes snapshots, each in place of the one before, and says for each, in order, whether it was written. `false`: the
   * key was claimed, written or removed under a higher epoch, or removed under this one, or has a snapshot of this epoch
   * and a higher version. The same version is written again. A write under a higher epoch than was claimed counts as a
   * claim.
   */
  readonly save: (snapshots: ReadonlyArray<Snapshot>) => Effect.Effect<ReadonlyArray<boolean>, SnapshotStoreError>

  /**
   * Deletes the snapshots of sessions that have ended, and says for each, in order, whether it is gone. `true` also when
   * there was none; `false`: the key was claimed or written under a higher epoch. It ends the epoch: a write under it, or a
   * lower one, that arrives later is refused. To start again, claim.
   */
  readonly remove: (
    keys: ReadonlyArray<Key & { readonly epoch: number }>
  ) => Effect.Effect<ReadonlyArray<boolean>, SnapshotStoreError>

  /** The snapshot under a key, without claiming it. */
  readonly peek: (key: Key) => Effect.Effect<Option.Option<Snapshot>, SnapshotStoreError>

  /**
   * What the store knows of a key, without claiming it and without reading the body. Nothing when there is no snapshot and
   * the epoch was forgotten. A process that finds a higher epoch than its own is not the owner any more.
   */
  readonly stat: (key: Key) => Effect.Effect<Option.Option<Stat>, SnapshotStoreError>

  /**
   * Moves a snapshot that cannot be read into the quarantine, with the reason. Claims do not give it any more, nothing
   * overwrites it, and it stays until it is discarded. If another snapshot, of another epoch or version, is stored under
   * the key meanwhile, that one is left alone. The owner of the key does not change. Each snapshot (by key, epoch, version
   * and `savedAt`) is quarantined once, with the first reason and date.
   */
  readonly quarantine: (snapshot: Snapshot, reason: string) => Effect.Effect<void, SnapshotStoreError>

  /** All entries of the quarantine, in the order of kind, id, epoch and version. */
  readonly quarantined: Effect.Effect<ReadonlyArray<Quarantined>, SnapshotStoreError>

  /** Deletes one entry of the quarantine for good. `false`: there is no such entry. */
  readonly discardQuarantined: (entry: QuarantineKey) => Effect.Effect<boolean, SnapshotStoreError>

  /**
   * The keys of a kind with an alarm that is due at this time or before, the earliest first, those of the same time by id.
   * An alarm stays until a save or a remove changes it.
   */
  readonly alarms: (
    kind: string,
    until: number,
    limit: number
  ) => Effect.Effect<ReadonlyArray<Key & { readonly alarmAt: number }>, SnapshotStoreError>

  /** When the next alarm of a kind is due, in milliseconds since 1970. */
  readonly nextAlarm: (kind: string) => Effect.Effect<Option.Option<number>, SnapshotStoreError>

  /**
   * The heads of a kind's snapshots, a page at a time, in the order of their ids' character codes. An empty page is the
   * end. A snapshot that is written or deleted meanwhile may be listed or not; any other is in exactly one page.
   */
  readonly list: (options: ListOptions) => Effect.Effect<ReadonlyArray<Head>, SnapshotStoreError>

  /**
   * Deletes the snapshots of all kinds that have expired before this time, and gives their number. Their epochs go on: an
   * owner that is still alive can write again. Also forgets the epochs that were remembered for long enough by this time.
   */
  readonly sweep: (now: number) => Effect.Effect<number, SnapshotStoreError>
}>()("effect-sessions/SnapshotStore") {}
