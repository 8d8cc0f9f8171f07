/** What `fileWriter.ts` writes, for who checks it. */
import type { Snapshot } from "effect-sessions/snapshots"

export const keysOfWriter = Array.from({ length: 6 }, (_, i) => ({ kind: "Cart", id: `user:${i}@Shop` }))

/** The snapshots of a round: each says which it is, again and again, in up to some hundred kilobytes. */
export const roundOf = (epoch: number, round: number): Array<Snapshot> =>
  keysOfWriter.map((key, i) => ({
    ...key,
    epoch,
    version: round,
    format: 1,
    body: `${epoch}/${round}/é;`.repeat(1 + (((round * 7919 + i * 104_729) % 97) ** 2)),
    savedAt: round,
    expiresAt: 1e15 + round,
    alarmAt: epoch * 1_000_000 + round,
    user: null
  }))
