/**
 * Snapshots in the memory of this process.
 *
 * What is kept in here does not outlive the process: it is for tests, and the shortest way to read what a
 * `SnapshotStore` does.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import { type Snapshot, SnapshotStore } from "../../contract/SnapshotStore.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { type Aside, identity, inOrder } from "./internal/Aside.ts"
import { eachOnce, headOf } from "./internal/operations.ts"
import { SnapshotIndex } from "./internal/SnapshotIndex.ts"

const make = (epochRetention: number): SnapshotStore["Service"] => {
  const index = new SnapshotIndex<Snapshot>()
  const asides = new Map<string, Aside>()
  return {
    claim: (key, atLeast) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const epoch = index.nextEpoch(key, atLeast)
        const snapshot = index.get(key)?.snapshot
        index.set(key, epoch, false, snapshot, now)
        return { epoch, snapshot: Option.fromUndefinedOr(snapshot) }
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

    setAside: (snapshot, reason) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const name = identity(snapshot)
        if (!asides.has(name)) asides.set(name, { snapshot: { ...snapshot }, reason })
        const entry = index.get(snapshot)
        const kept = entry?.snapshot
        if (entry !== undefined && kept?.epoch === snapshot.epoch && kept.version === snapshot.version) {
          index.set(entry, entry.epoch, entry.ended, undefined, now)
        }
      }),

    aside: Effect.sync(() => Array.from(asides.values()).sort(inOrder)),

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
 * Keeps snapshots in memory, and remembers epochs for an hour.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<SnapshotStore> = Layer.sync(SnapshotStore, () => make(3_600_000))

/**
 * Keeps snapshots in memory. Fails with `InvalidConfig` when an option is out of range.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: {
  /** How long the epoch of a key is remembered of which nothing is kept any more. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
}): Layer.Layer<SnapshotStore, InvalidConfig> =>
  Layer.effect(SnapshotStore, Effect.map(duration("epochRetention", options.epochRetention ?? "1 hour"), make))
