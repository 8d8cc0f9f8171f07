/**
 * Where sessions are kept that are to outlive the process.
 *
 * A store knows nothing of sessions: it keeps the last snapshot of each under its kind and id, and sees to it that only
 * its owner writes it. The owner is who has claimed it last. A claim gives an epoch, which is higher than any before;
 * what is written under a lower one is refused, so that a process that lost a session, and does not know it yet, can
 * never overwrite what its new owner wrote.
 *
 * Epochs outlive snapshots: the store remembers the epoch of a key of which nothing is kept any more for a while, an
 * hour unless it is told otherwise, since the last was removed, swept or set aside, or the key was claimed. When it has
 * forgotten it, a claim still gives a higher epoch than any before, so that owners never get in each other's way; but
 * somebody who slept all this time can write again under a key that nobody has claimed since.
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
 * What a store knows of a snapshot without reading its body.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head extends Key {
  /** The incarnation that wrote it: see `SnapshotStore`. */
  readonly epoch: number
  /** How often its state had changed in this incarnation: a whole number, as are `epoch` and `format`. */
  readonly version: number
  /** The version of the kind's state schema. */
  readonly format: number
  /** When it was written, in milliseconds since 1970. */
  readonly savedAt: number
  /** When the session expires without further activity, in milliseconds since 1970; `null`: never. */
  readonly expiresAt: number | null
  /** When its next alarm is due, in milliseconds since 1970; `null`: it has none. */
  readonly alarmAt: number | null
  /** The user to whom the session belongs: any text; `null`: nobody. */
  readonly user: string | null
}

/**
 * A session at a point in its life.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot extends Head {
  /** The state and what else belongs to it: any text, which comes back as it was. */
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
  /** Of what is kept, if there is anything. */
  readonly head: Option.Option<Head>
}

/**
 * Which snapshots to list: those that fit all that is given.
 *
 * @since 0.1.0
 * @category models
 */
export interface ListOptions {
  readonly kind: string
  /** What their ids begin with. */
  readonly prefix?: string | undefined
  /** To whom they belong. */
  readonly user?: string | undefined
  /** The id after which to go on: the last one of the page before. */
  readonly after?: string | undefined
  /** The size of a page. */
  readonly limit: number
}

/**
 * What a claim gives.
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
 * The store did not do what it was asked for. Trying again is safe: writes are not done twice.
 *
 * Its `scope` says what is wrong: the store, which fails for all, or what there is, or is to be, under one of the keys that
 * it was asked about, while it does for others what they ask. When an operation on several keys fails for one of them, it
 * may be done for the others; to try each by itself tells.
 *
 * @since 0.1.0
 * @category errors
 */
export class SnapshotStoreError extends taggedError<SnapshotStoreError>()("SnapshotStoreError", {
  operation: Schema.String,
  cause: Schema.Defect(),
  /** Default: the store. */
  scope: Schema.Literals(["store", "key"]).pipe(Schema.withConstructorDefault(Effect.succeed("store")))
}, { status: 503, retrySafe: true }) {}

/**
 * Keeps snapshots. All operations on one key take effect one after the other, and what has succeeded survives a crash of
 * this process (not of the machine, unless the store says so). Kinds and ids are any text that `SessionId` allows.
 * Operations on several keys take effect for each key by itself: when they fail, some may be done and others not, and
 * trying again is safe. To name a key twice in one call is a bug, and dies. Nothing in here looks at the time, but for
 * how long epochs are remembered: what has expired is kept, and given, until it is swept.
 *
 * @since 0.1.0
 * @category services
 */
export class SnapshotStore extends Context.Service<SnapshotStore, {
  /**
   * Makes the caller the owner, whoever it was before, and gives what is kept. The epoch is `atLeast` or higher, and
   * higher than any that was ever claimed, written or removed under this key. A claim that is tried again gives another.
   */
  readonly claim: (key: Key, atLeast: number) => Effect.Effect<Claimed, SnapshotStoreError>

  /**
   * Writes snapshots, each in place of the one before, and says of each, in their order, whether it was written: `false`
   * when the key was claimed, written or removed under a higher epoch, or removed under this one, or a snapshot of this
   * epoch and a higher version is there. The same version is written again. A higher epoch than was claimed is as good
   * as a claim.
   */
  readonly save: (snapshots: ReadonlyArray<Snapshot>) => Effect.Effect<ReadonlyArray<boolean>, SnapshotStoreError>

  /**
   * Forgets the snapshots of sessions that are over, and says of each, in their order, whether it is gone: `false` when
   * the key was claimed or written under a higher epoch; `true` also when nothing was kept. It ends the epoch: what is
   * written under it or a lower one afterwards, by a slow owner or a save that was on its way, is refused. Who wants to
   * begin anew claims.
   */
  readonly remove: (
    keys: ReadonlyArray<Key & { readonly epoch: number }>
  ) => Effect.Effect<ReadonlyArray<boolean>, SnapshotStoreError>

  /** What is kept under a key, without claiming it. */
  readonly peek: (key: Key) => Effect.Effect<Option.Option<Snapshot>, SnapshotStoreError>

  /**
   * What is known of a key, without claiming it and without reading the body; nothing when its epoch was forgotten and
   * nothing is kept. Whoever finds a higher epoch than the own is not the owner any more.
   */
  readonly stat: (key: Key) => Effect.Effect<Option.Option<Stat>, SnapshotStoreError>

  /**
   * Keeps a snapshot that cannot be read aside, with the reason: it is not given by a claim any more, and not overwritten,
   * until a person looks at it. What is kept under the key stays when it is another one by now, of another epoch or
   * version; the owner stays the owner. Several of one key are all kept; the same one (by its key, epoch, version and
   * `savedAt`) once, with the first reason.
   */
  readonly setAside: (snapshot: Snapshot, reason: string) => Effect.Effect<void, SnapshotStoreError>

  /** The snapshots that were set aside, by kind, id, epoch and version. */
  readonly aside: Effect.Effect<
    ReadonlyArray<{ readonly snapshot: Snapshot; readonly reason: string }>,
    SnapshotStoreError
  >

  /**
   * The keys of a kind that have an alarm due at this time or before, the earliest first, those of the same time by id.
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
   * The snapshots of a kind, a page at a time, in the order of the codes of their ids' characters. An empty page is the
   * end. A snapshot that comes or goes meanwhile may be in it or not; any other is in exactly one page.
   */
  readonly list: (options: ListOptions) => Effect.Effect<ReadonlyArray<Head>, SnapshotStoreError>

  /**
   * Forgets those that have expired before this time, of all kinds, and gives how many. It does not end their epochs: an
   * owner that still lives writes again. Forgets epochs, too, that have been remembered for long enough by this time.
   */
  readonly sweep: (now: number) => Effect.Effect<number, SnapshotStoreError>
}>()("effect-sessions/SnapshotStore") {}
