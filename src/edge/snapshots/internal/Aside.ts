import type { Snapshot } from "../../../contract/SnapshotStore.ts"

/** What `SnapshotStore.aside` gives. */
export interface Aside {
  readonly snapshot: Snapshot
  readonly reason: string
}

/** By kind, id, epoch and version. */
export const inOrder = ({ snapshot: one }: Aside, { snapshot: other }: Aside): number =>
  one.kind !== other.kind
    ? one.kind < other.kind ? -1 : 1
    : one.id !== other.id
    ? one.id < other.id ? -1 : 1
    : one.epoch - other.epoch || one.version - other.version || one.savedAt - other.savedAt

/** What tells the snapshots apart that were set aside. */
export const identity = (snapshot: Snapshot): string =>
  JSON.stringify([snapshot.kind, snapshot.id, snapshot.epoch, snapshot.version, snapshot.savedAt])
