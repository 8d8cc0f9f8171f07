// oxlint-disable no-restricted-imports -- the modules are internal: the package does not export them
/** The tables of a cluster in memory, as the database has them: runners, locks that expire, and terms. */
import { Clock, Effect } from "effect"
import { PersistenceError } from "effect/cluster/ClusterError"
import * as MachineId from "effect/cluster/MachineId"
import type { Runner } from "effect/cluster/Runner"
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import type { Terms } from "../../src/edge/cluster/internal/terms.ts"

type Operation = keyof RunnerStorage["Service"] | "raise"

const lockOperations: ReadonlySet<Operation> = new Set(["acquire", "refresh", "release", "releaseAll"])

export class LockTable {
  readonly expiration: number
  /** What was carried out: the operation, and how many shards it was about. */
  readonly log: Array<string> = []
  readonly locks = new Map<number, { owner: string; at: number }>()
  readonly terms = new Map<number, number>()
  readonly runners = new Map<string, { readonly runner: Runner; healthy: boolean; at: number }>()
  /** Does the database answer? `stalls`: as soon as it works again. `hangs`: never what is asked meanwhile. */
  state: "works" | "fails" | "stalls" | "hangs" = "works"
  /** The processes that do not reach the database any more. */
  readonly gone = new Set<string>()
  /** Happens before an operation is carried out, or after it and before its answer. */
  before: (operation: Operation, owner: string) => Effect.Effect<void> = () => Effect.void
  after: (operation: Operation, owner: string) => Effect.Effect<void> = () => Effect.void

  constructor(expiration = 5000) {
    this.expiration = expiration
  }

  ownerOf(place: number): string | undefined {
    return this.locks.get(place + 1)?.owner
  }

  repair(): void {
    this.state = "works"
    this.gone.clear()
    this.before = this.after = () => Effect.void
  }

  private run<A>(operation: Operation, owner: string, f: (now: number) => A): Effect.Effect<A, PersistenceError> {
    return Effect.gen({ self: this }, function*() {
      yield* this.before(operation, owner)
      while (this.state === "stalls") yield* Effect.sleep(10)
      if (this.state === "hangs") {
        // So long the real storage waits for operations on locks, and for no others.
        if (!lockOperations.has(operation)) return yield* Effect.never
        yield* Effect.sleep(1500)
        return yield* new PersistenceError({ cause: new Error("The database does not answer") })
      }
      if (this.state === "fails" || this.gone.has(owner)) {
        return yield* new PersistenceError({ cause: new Error("The database is gone") })
      }
      const result = f(yield* Clock.currentTimeMillis)
      yield* this.after(operation, owner)
      return result
    })
  }

  /** The storage as seen by one node. */
  storage(owner: string): RunnerStorage["Service"] {
    const nameOf = (address: RunnerAddress) => `${address.host}:${address.port}`
    return RunnerStorage.of({
      register: (runner, healthy) =>
        this.run("register", owner, (now) => {
          this.runners.set(nameOf(runner.address), { runner, healthy, at: now })
          return MachineId.make(this.runners.size)
        }),
      unregister: (address) =>
        this.run("unregister", owner, () => {
          this.log.push(`unregister ${owner}`)
          this.runners.delete(nameOf(address))
        }),
      getRunners: this.run(
        "getRunners",
        owner,
        (now) =>
          Array.from(this.runners.values()).filter(({ at }) => at > now - this.expiration)
            .map(({ healthy, runner }) => [runner, healthy] as const)
      ),
      setRunnerHealth: (address, healthy) =>
        this.run("setRunnerHealth", owner, () => {
          const found = this.runners.get(nameOf(address))
          if (found !== undefined) found.healthy = healthy
        }),
      acquire: (address, shards) =>
        this.run("acquire", owner, (now) => {
          const acquired: Array<ShardId.ShardId> = []
          for (const shard of shards) {
            const lock = this.locks.get(shard.id)
            if (lock !== undefined && lock.owner !== nameOf(address) && lock.at >= now - this.expiration) continue
            this.locks.set(shard.id, { owner: nameOf(address), at: now })
            acquired.push(shard)
          }
          return acquired
        }),
      refresh: (address, shards) =>
        this.run("refresh", owner, (now) => {
          const runner = this.runners.get(nameOf(address))
          if (runner !== undefined) runner.at = now
          return Array.from(shards).filter((shard) => {
            const lock = this.locks.get(shard.id)
            if (lock?.owner !== nameOf(address)) return false
            lock.at = now
            return true
          })
        }),
      release: (address, shard) =>
        this.run("release", owner, () => {
          this.log.push(`release ${shard.id - 1}`)
          if (this.locks.get(shard.id)?.owner === nameOf(address)) this.locks.delete(shard.id)
        }),
      releaseAll: (address) =>
        this.run("releaseAll", owner, () => {
          this.log.push("releaseAll")
          for (const [id, lock] of this.locks) if (lock.owner === nameOf(address)) this.locks.delete(id)
        })
    })
  }

  termsFor(owner: string): Terms {
    return {
      raise: (places) =>
        Effect.orDie(this.run("raise", owner, () =>
          new Map(places.map((place) => {
            const term = (this.terms.get(place) ?? 0) + 1
            this.terms.set(place, term)
            return [place, term]
          }))))
    }
  }
}

export const shard = (place: number): ShardId.ShardId => ShardId.make("default", place + 1)
