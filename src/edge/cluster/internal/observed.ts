/**
 * A `RunnerStorage` through which `Sharding` does all that it does, so that the places learn of it: `acquire` opens places,
 * `refresh` prolongs their leases or closes them, `release` drains them first, `getRunners` tells who owns what.
 *
 * **Details:** a place is a shard, one to one. A lease is counted from before the statement that confirms the lock was sent,
 * and is shorter than the expiration of the lock, so it ends before another node can take the lock. A lock is certain to have
 * been held without a gap only if the confirmation arrives before the lease has ended. Otherwise another owner may have come
 * and gone: the place is lost, its sessions are dropped, and it opens again under a new term.
 *
 * On shutdown `Sharding` waits for a hand-over no longer than one interval and then releases all locks. So the hand-over takes
 * place in `unregister`, during which `Sharding` still refreshes the locks.
 */
import { PersistenceError } from "effect/cluster/ClusterError"
import type { Runner } from "effect/cluster/Runner"
import type { RunnerAddress } from "effect/cluster/RunnerAddress"
import type { RunnerStorage } from "effect/cluster/RunnerStorage"
import * as ShardId from "effect/cluster/ShardId"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HashRing from "effect/HashRing"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { type NodeAddress, nodeAddress } from "../NodeAddress.ts"
import type { Place } from "./Place.ts"
import type { Places } from "./Places.ts"
import type { Terms } from "./terms.ts"

type Storage = RunnerStorage["Service"]

/**
 * Empties places, which are closed already. `release`: sessions are stored, and the lock is released afterwards. `lost`: the
 * lock is gone, so what the sessions have in memory may be stale, and they are dropped.
 */
export type Drain = (places: ReadonlyArray<Place>, why: "release" | "lost") => Effect.Effect<void>

export interface ObservedOptions {
  readonly inner: Storage
  readonly places: Places
  readonly terms: Terms
  readonly drain: Drain
  /** The owner of drains. It outlives `Sharding`. */
  readonly scope: Scope.Scope
  /** The length of a lease in milliseconds. */
  readonly lease: number
  /** For how long a refresh is tried again when the database fails, in milliseconds. */
  readonly patience: number
  /** For how long `acquire` waits for former owners, in milliseconds: `Sharding` would try again after a second. */
  readonly eager: number
}

/** The pause between two attempts, in milliseconds. */
const pause = 50

/** The group of all shards. */
export const group = "default"

export class Observed {
  readonly storage: Storage
  private readonly options: ObservedOptions
  private readonly places: Places
  private readonly inner: Storage
  /** The ends of the drains under way. */
  private readonly drains = new Map<Place, Deferred.Deferred<void>>()
  /** The places whose locks are held, as far as known. */
  private readonly locked = new Set<Place>()
  private members = ""
  /** The members that `Sharding` knows, and their weights. */
  private weights = new Map<string, number>()
  /** This node, as it has registered. */
  private self: Runner | undefined
  private isFailing = false

  constructor(options: ObservedOptions) {
    this.options = options
    this.places = options.places
    this.inner = options.inner
    const { inner } = options
    this.storage = {
      register: (runner, healthy) => {
        this.self = runner
        return inner.register(runner, healthy)
      },
      setRunnerHealth: inner.setRunnerHealth,
      getRunners: Effect.map(inner.getRunners, (runners) => this.learn(runners)),
      acquire: (address, shards) => this.acquire(address, Array.from(shards)),
      refresh: (address, shards) => this.refresh(address, Array.from(shards)),
      release: (address, shard) => this.release(address, shard),
      releaseAll: (address) => Effect.andThen(this.empty(this.places.all), this.unlockAll(address)),
      unregister: (address) => this.unregister(address)
    }
  }

  /** Closes the places whose leases have run out. */
  readonly expire: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.places.now()
    return this.close(this.places.all.filter((place) => place.isOpen && now >= place.leaseUntil), "lost")
  })

  private placeOf(shard: ShardId.ShardId): Place {
    return this.places.all[shard.id - 1]!
  }

  /** Takes over who the members are, and gives what `Sharding` is to know. */
  private learn(runners: Array<readonly [runner: Runner, healthy: boolean]>): typeof runners {
    const healthy = runners.flatMap(([runner, isHealthy]) => isHealthy ? [runner] : [])
      .map((runner) => ({ runner, node: nodeAddress(runner.address.host, runner.address.port) }))
      .sort((a, b) => a.node.key < b.node.key ? -1 : 1)
    const members = healthy.map(({ node, runner }) => `${node.key}*${runner.weight}`).join()
    if (members !== this.members) {
      this.members = members
      const nodes = new Map(healthy.map(({ node, runner }) => [runner.address, node] as const))
      const ring = HashRing.make<RunnerAddress>()
      for (const { runner } of healthy) HashRing.add(ring, runner.address, { weight: runner.weight })
      const owners = HashRing.getShards(ring, this.places.count) ?? []
      this.places.learn(Array.from(nodes.values()), owners.map((owner): NodeAddress => nodes.get(owner)!))
    }
    const keyOf = ({ address }: Runner) => `${address.host}:${address.port}`
    // When the weight of a member changes, `Sharding` adds it and then removes it. So it sees the member go first.
    const shown = runners.filter(([runner]) => (this.weights.get(keyOf(runner)) ?? runner.weight) === runner.weight)
    this.weights = new Map(shown.map(([runner]) => [keyOf(runner), runner.weight]))
    // A node that leaves is not registered any more. Without any member `Sharding` would warn of that again and again.
    return this.places.isLeaving && this.self !== undefined ? [...shown, [this.self, true]] : shown
  }

  /** Closes places, and begins to drain those that were open. Waits for no drain. */
  private close(places: ReadonlyArray<Place>, why: "release" | "lost"): Effect.Effect<void> {
    const open = places.filter((place) => place.isOpen)
    if (open.length === 0) return Effect.void
    const drained = Deferred.makeUnsafe<void>()
    for (const place of open) {
      this.drains.set(place, drained)
      place.leave(why)
    }
    const end = Effect.sync(() => {
      for (const place of open) {
        this.drains.delete(place)
        if (why === "lost") place.close()
      }
      Deferred.doneUnsafe(drained, Effect.void)
    })
    const logged = why === "release"
      ? Effect.void
      : Effect.logWarning(`${open.length} places of sessions were lost`)
    return Effect.andThen(logged, this.options.drain(open, why)).pipe(
      Effect.catchCause((cause) => Effect.logError("Places of sessions could not be drained", cause)),
      Effect.ensuring(end),
      Effect.forkIn(this.options.scope, { startImmediately: true }),
      Effect.asVoid
    )
  }

  /** Closes places, and waits until they are drained, whoever began that. Each of them has a drain of its own. */
  private empty(places: ReadonlyArray<Place>): Effect.Effect<void> {
    return Effect.forEach(places, (place) => this.emptyOne(place), { concurrency: "unbounded", discard: true })
  }

  private emptyOne(place: Place): Effect.Effect<void> {
    return Effect.andThen(
      Effect.suspend(() => this.close([place], "release")),
      Effect.suspend(() => {
        const drained = this.drains.get(place)
        return drained === undefined ? Effect.void : Deferred.await(drained)
      })
    )
  }

  /** Drains a place, then releases its lock, once. */
  private release(address: RunnerAddress, shard: ShardId.ShardId): ReturnType<Storage["release"]> {
    const place = this.placeOf(shard)
    return Effect.andThen(
      this.emptyOne(place),
      Effect.suspend(() => {
        if (!this.locked.delete(place)) return Effect.sync(() => place.close())
        return this.inner.release(address, shard).pipe(
          Effect.onError(() => Effect.sync(() => this.locked.add(place))),
          Effect.andThen(Effect.sync(() => place.close()))
        )
      })
    )
  }

  private unlockAll(address: RunnerAddress): ReturnType<Storage["releaseAll"]> {
    return Effect.andThen(
      this.inner.releaseAll(address),
      Effect.sync(() => {
        this.locked.clear()
        for (const place of this.places.all) place.close()
      })
    )
  }

  /**
   * The other nodes hear of it first, so that they wait for the locks while the places are drained. Each lock is released as
   * soon as its place is drained.
   */
  private unregister(address: RunnerAddress): ReturnType<Storage["unregister"]> {
    return Effect.gen({ self: this }, function*() {
      this.places.leave()
      const unregistered = yield* Effect.exit(
        Effect.timeout(Effect.interruptible(this.inner.unregister(address)), this.options.patience)
      )
      yield* Effect.forEach(
        this.places.all,
        (place) => Effect.ignore(this.release(address, ShardId.make(group, place.index + 1))),
        { concurrency: "unbounded", discard: true }
      )
      return yield* Effect.catchTag(unregistered, "TimeoutError", (cause) => new PersistenceError({ cause }))
    })
  }

  /**
   * When the database fails, the refresh is tried again for a while. After that it tells which leases still hold: if it
   * failed, `Sharding` would give up all locks at once. It fails when no lease is left.
   */
  private refresh(address: RunnerAddress, shards: Array<ShardId.ShardId>): ReturnType<Storage["refresh"]> {
    // `Sharding` asks in this way whether the database works again.
    if (shards.length === 0) return this.inner.refresh(address, shards)
    const attempt = Effect.suspend(() => {
      const until = this.places.now() + this.options.lease
      return Effect.flatMap(this.inner.refresh(address, shards), (held) => this.confirm(shards, held, until))
    })
    return attempt.pipe(
      Effect.retry(Schedule.spaced(pause)),
      Effect.timeout(this.options.patience),
      Effect.tap(() => this.works),
      Effect.catch((cause) => {
        const now = this.places.now()
        const held = shards.filter((shard) => this.placeOf(shard).isHere(now))
        return Effect.andThen(
          this.fails,
          held.length > 0 ? Effect.succeed(held) : Effect.fail(new PersistenceError({ cause }))
        )
      })
    )
  }

  /** Prolongs the leases of places whose locks are still held, and closes the others. Gives those that stay open. */
  private confirm(
    asked: ReadonlyArray<ShardId.ShardId>,
    held: ReadonlyArray<ShardId.ShardId>,
    until: number
  ): Effect.Effect<Array<ShardId.ShardId>> {
    const ids = new Set(held.map(({ id }) => id))
    const now = this.places.now()
    const kept: Array<ShardId.ShardId> = []
    const lost: Array<Place> = []
    for (const shard of asked) {
      const place = this.placeOf(shard)
      const isHeld = ids.has(shard.id)
      if (!isHeld) this.locked.delete(place)
      // One that is handed over keeps its lease, so that it can finish what it has accepted, and its sessions are saved.
      if (isHeld && place.isHeld(now)) place.prolong(until)
      if (isHeld && place.isHere(now)) kept.push(shard)
      else if (place.isOpen) lost.push(place)
    }
    return Effect.as(this.close(lost, "lost"), kept)
  }

  /** Waits for the locks of former owners for a while, and opens the places whose locks are acquired. */
  private acquire(address: RunnerAddress, shards: ReadonlyArray<ShardId.ShardId>): ReturnType<Storage["acquire"]> {
    return Effect.gen({ self: this }, function*() {
      const { nodes, now } = this.places
      const latest = now() + this.options.eager
      const acquired = new Set<Place>()
      while (true) {
        const wanted = shards.filter((shard) => !acquired.has(this.placeOf(shard)))
        const until = now() + this.options.lease
        const more = Effect.flatMap(
          this.inner.acquire(address, wanted),
          (locked) => this.opened(locked.map((shard) => this.placeOf(shard)), until)
        )
        // What is acquired already must be told to `Sharding`, which refreshes only what it knows.
        const opened = yield* acquired.size === 0 ? more : Effect.catch(more, () => Effect.succeed([]))
        for (const place of opened) acquired.add(place)
        const isDone = acquired.size === shards.length || this.places.isLeaving || this.places.nodes !== nodes
        if (isDone || now() + pause > latest) return shards.filter((shard) => acquired.has(this.placeOf(shard)))
        yield* Effect.sleep(pause)
      }
    })
  }

  /** Opens places whose locks are acquired, under new terms. Gives those that `Sharding` is to refresh, or to release. */
  private opened(places: ReadonlyArray<Place>, until: number): Effect.Effect<ReadonlyArray<Place>, PersistenceError> {
    return Effect.gen({ self: this }, function*() {
      const now = this.places.now()
      for (const place of places) {
        this.locked.add(place)
        if (place.isHere(now)) place.prolong(until)
      }
      const here = places.filter((place) => place.isHere(now))
      yield* this.close(places.filter((place) => !place.isHere(now)), "lost")
      // A place opens after its drain only: until then it has sessions of an earlier term.
      const fresh = places.filter((place) => !place.isHere(now) && !this.drains.has(place))
      if (fresh.length === 0) return here
      // A node that leaves opens nothing: `Sharding` releases the locks again.
      if (this.places.isLeaving) return places
      const terms = yield* Effect.mapError(
        this.options.terms.raise(fresh.map(({ index }) => index)),
        (cause) => new PersistenceError({ cause })
      )
      if (this.places.isLeaving) return places
      const isHeld = this.places.now() < until
      for (const place of fresh) {
        const term = terms.get(place.index)
        if (term === undefined || !isHeld || !this.locked.has(place)) continue
        place.open(term, until)
        here.push(place)
      }
      return here
    })
  }

  private readonly fails = Effect.suspend(() => {
    if (this.isFailing) return Effect.void
    this.isFailing = true
    return Effect.logWarning("The locks of the cluster cannot be confirmed: places are served until their leases end")
  })

  private readonly works = Effect.suspend(() => {
    if (!this.isFailing) return Effect.void
    this.isFailing = false
    return Effect.logInfo("The locks of the cluster are confirmed again")
  })
}
