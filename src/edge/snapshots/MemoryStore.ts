/**
 * Snapshots in the memory of this process.
 *
 * **When to use:** for tests. What it stores does not outlive the process. It is also the shortest implementation of
 * `SnapshotStore` to read.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { ClaimRefused, type Quarantined, type Snapshot, SnapshotStore } from "../../contract/SnapshotStore.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { eachOnce, headOf } from "./internal/operations.ts"
import { identity, inOrder } from "./internal/quarantine.ts"
import { SnapshotIndex } from "./internal/SnapshotIndex.ts"

const make = (epochRetention: number): SnapshotStore["Service"] => {
  const index = new SnapshotIndex<Snapshot>()
  const quarantined = new Map<string, Quarantined>()
  return {
    claim: (key, atLeast, term) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const entry = index.get(key)
        if (entry !== undefined && term !== undefined && term < entry.term) {
          return Effect.fail(ClaimRefused.of(key, entry.term))
        }
        const epoch = index.nextEpoch(key, atLeast)
        const snapshot = entry?.snapshot
        index.set(key, epoch, false, snapshot, now, term)
        return Effect.succeed({ epoch, snapshot: Option.fromUndefinedOr(snapshot) })
      }),

    save: (snapshots) =>
      eachOnce("save", snapshots, () =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          snapshots.map((snapshot) => {
            const accepted = index.accepts(snapshot)
            if (accepted) index.set(snapshot, snapshot.epoch, false, { ...snapshot }, now)
            return accepted
          }))),

    remove: (keys) =>
      eachOnce("remove", keys, () =>
        Effect.map(Clock.currentTimeMillis, (now) =>
          keys.map((key) => {
            const accepted = index.acceptsRemove(key)
            if (accepted) index.set(key, key.epoch, true, undefined, now)
            return accepted
          }))),

    peek: (key) => Effect.sync(() => Option.fromUndefinedOr(index.get(key)?.snapshot)),

    stat: (key) =>
      Effect.sync(() =>
        Option.map(Option.fromUndefinedOr(index.get(key)), ({ epoch, snapshot }) => ({
          epoch,
          head: Option.map(Option.fromUndefinedOr(snapshot), headOf)
        }))
      ),

    quarantine: (snapshot, reason) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const name = identity(snapshot)
        if (!quarantined.has(name)) quarantined.set(name, { snapshot: { ...snapshot }, reason, at: now })
        const entry = index.get(snapshot)
        const stored = entry?.snapshot
        if (entry !== undefined && stored?.epoch === snapshot.epoch && stored.version === snapshot.version) {
          index.set(entry, entry.epoch, entry.ended, undefined, now)
        }
      }),

    quarantined: Effect.sync(() => Array.from(quarantined.values()).sort(inOrder)),

    discardQuarantined: (entry) => Effect.sync(() => quarantined.delete(identity(entry))),

    alarms: (kind, until, limit) =>
      Effect.sync(() =>
        index.alarms(kind, until, limit).map(({ id, snapshot }) => ({ kind, id, alarmAt: snapshot!.alarmAt! }))
      ),

    nextAlarm: (kind) => Effect.sync(() => Option.fromNullishOr(index.alarms(kind, Infinity, 1)[0]?.snapshot?.alarmAt)),

    list: (options) => Effect.sync(() => index.list(options).map(headOf)),

    sweep: (now) =>
      Effect.sync(() => {
        const expired = index.expired(now, Infinity)
        for (const entry of expired) index.set(entry, entry.epoch, entry.ended, undefined, now)
        for (const entry of index.untouchedSince(now - epochRetention)) index.forget(entry)
        return expired.length
      })
  }
}

/**
 * Stores snapshots in memory, and remembers epochs for one hour.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<SnapshotStore> = Layer.sync(SnapshotStore, () => make(3_600_000))

/**
 * Stores snapshots in memory. Fails with `InvalidConfig` when an option is out of range.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: {
  /** How long the epoch of a key is remembered after its snapshot is gone. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
}): Layer.Layer<SnapshotStore, InvalidConfig> =>
  Layer.effect(SnapshotStore, Effect.map(duration("epochRetention", options.epochRetention ?? "1 hour"), make))
