import type { Quarantined, QuarantineKey } from "../../../contract/SnapshotStore.ts"

/** The order of `SnapshotStore.quarantined`: by kind, id, epoch and version. */
export const inOrder = ({ snapshot: one }: Quarantined, { snapshot: other }: Quarantined): number =>
  one.kind !== other.kind
    ? one.kind < other.kind ? -1 : 1
    : one.id !== other.id
    ? one.id < other.id ? -1 : 1
    : one.epoch - other.epoch || one.version - other.version || one.savedAt - other.savedAt

/** Identifies an entry, as a text. */
export const identity = ({ epoch, id, kind, savedAt, version }: QuarantineKey): string =>
  JSON.stringify([kind, id, epoch, version, savedAt])
