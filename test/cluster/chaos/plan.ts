/** The faults of a run. The same seed gives the same ones, in the same order. */
import { Random } from "./Random.ts"
import type { Cut } from "./Relay.ts"

/** A fault begins so many milliseconds after the one before it is over. Machines have numbers. */
export type Fault =
  & { readonly after: number }
  & (
    /** A node is told to stop, or is killed, and starts again. */
    | {
      readonly tag: "SIGTERM" | "SIGKILL"
      readonly machine: number
      readonly away: number
      readonly leavesFirst: boolean
    }
    /** A node stands still, and goes on. */
    | { readonly tag: "SIGSTOP"; readonly machine: number; readonly for: number }
    /** The database crashes, and starts again. */
    | { readonly tag: "database restart"; readonly away: number }
    /** A node does not reach the database. */
    | { readonly tag: "database cut"; readonly machine: number; readonly cut: Cut; readonly for: number }
    /** Two nodes do not reach each other; or the first one does not reach the second. */
    | {
      readonly tag: "peers cut"
      readonly machine: number
      readonly other: number
      readonly isOneWay: boolean
      readonly cut: Cut
      readonly for: number
    }
  )

export interface PlanOptions {
  readonly seed: number
  readonly machines: number
  /** After how many milliseconds others take the places of a node. */
  readonly expiration: number
  /** Only faults that lose nothing whatever the save policy: nodes are told to stop, and peers do not reach each other. */
  readonly isGentle: boolean
}

/** Faults of processes, and faults of what is between them: both go on at the same time, without an end. */
export const plan = (
  { expiration, isGentle, machines, seed }: PlanOptions
): { readonly processes: () => Fault; readonly between: () => Fault } => {
  const [first, second] = [new Random(seed), new Random(~seed)]
  const machine = (random: Random) => random.between(0, machines - 1)
  /** Shorter or longer than leases. */
  const duration = (random: Random) => random.between(200, random.next() < 0.5 ? expiration / 2 : 2 * expiration)
  return {
    processes: () => {
      const after = first.between(200, 3_000)
      const tag = isGentle ? "SIGTERM" : first.one(["SIGTERM", "SIGTERM", "SIGKILL", "SIGKILL", "SIGSTOP"] as const)
      return tag === "SIGSTOP"
        // Longer than any lease.
        ? { after, tag, machine: machine(first), for: first.between(expiration, 2.5 * expiration) }
        : { after, tag, machine: machine(first), away: first.between(0, 2_000), leavesFirst: first.next() < 0.5 }
    },
    between: () => {
      const after = second.between(200, 4_000)
      const tag = isGentle
        ? "peers cut"
        : second.one(["database restart", "database cut", "peers cut", "peers cut"] as const)
      const cut = second.one(["silent", "reset"] as const)
      switch (tag) {
        case "database restart":
          return { after, tag, away: second.between(0, 2_000) }
        case "database cut":
          return { after, tag, machine: machine(second), cut, for: duration(second) }
        case "peers cut": {
          const one = machine(second)
          const other = (one + second.between(1, machines - 1)) % machines
          return { after, tag, machine: one, other, isOneWay: second.next() < 0.3, cut, for: duration(second) }
        }
      }
    }
  }
}
