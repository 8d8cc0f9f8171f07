/**
 * The membership of a node in the cluster: `Sharding` of `effect/cluster` decides who owns which place and holds the locks in
 * PostgreSQL. It carries no messages, and runs no entities. Its modules are unstable: only this file and `observed.ts` use them.
 */
import * as MessageStorage from "effect/cluster/MessageStorage"
import * as RunnerAddress from "effect/cluster/RunnerAddress"
import { RunnerHealth } from "effect/cluster/RunnerHealth"
import * as Runners from "effect/cluster/Runners"
import { RunnerStorage } from "effect/cluster/RunnerStorage"
import * as Sharding from "effect/cluster/Sharding"
import * as ShardingConfig from "effect/cluster/ShardingConfig"
import * as SqlRunnerStorage from "effect/cluster/SqlRunnerStorage"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as SqlClient from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { InvalidConfig } from "../../../contract/SessionError.ts"
import { duration, wholeNumber } from "../../../policy/SessionsConfig.ts"
import { type NodeAddress, nodeAddress } from "../NodeAddress.ts"
import type * as Cluster from "../SessionCluster.ts"
import { type Drain, group, Observed } from "./observed.ts"
import type { Places } from "./Places.ts"
import { makeTerms, type Terms } from "./terms.ts"

/** The options of a node that concern its membership, as a program gives them. */
export type Options = Pick<
  Cluster.Options,
  "self" | "weight" | "shards" | "expiration" | "refresh" | "assignments" | "health" | "prefix"
>

/** Options, checked and complete. Durations are in milliseconds. */
export interface Settings {
  readonly self: NodeAddress
  readonly weight: number
  readonly shards: number
  readonly expiration: number
  readonly refresh: number
  readonly assignments: number
  readonly health: number
  readonly prefix: string
}

export interface Hooks {
  readonly drain: Drain
  /** Can this node be reached? */
  readonly isAlive: (address: NodeAddress) => Effect.Effect<boolean>
}

export interface Membership {
  /** Hands all places over, and leaves the cluster. Does so once, and is finished when that is. */
  readonly leave: Effect.Effect<void>
}

const refuse = (setting: string, message: string): Effect.Effect<never, InvalidConfig> =>
  Effect.fail(new InvalidConfig({ setting, message: `${setting} ${message}` }))

/** Checks options and fills in the defaults. Fails with `InvalidConfig` on the first that is not usable. */
export const check = Effect.fnUntraced(function*(options: Options): Effect.fn.Return<Settings, InvalidConfig> {
  const { host, port } = options.self
  // It becomes part of statements.
  if (!/^[\w.:%[\]-]{1,240}$/.test(host)) {
    return yield* refuse("self.host", `must be a host name or an address, got ${JSON.stringify(host)}`)
  }
  if (!(yield* wholeNumber("self.port", port, 1)) || port > 65_535) {
    return yield* refuse("self.port", `must be at most 65535, got ${port}`)
  }
  const settings: Settings = {
    self: nodeAddress(host, port),
    weight: yield* wholeNumber("weight", options.weight ?? 1, 1),
    shards: yield* wholeNumber("shards", options.shards ?? 300, 1),
    expiration: yield* duration("expiration", options.expiration ?? "5 seconds"),
    refresh: yield* duration("refresh", options.refresh ?? "1.5 seconds"),
    assignments: yield* duration("assignments", options.assignments ?? "250 millis"),
    health: yield* duration("health", options.health ?? "1 second"),
    prefix: options.prefix ?? "effect_sessions_cluster"
  }
  if (settings.expiration < 3000) return yield* refuse("expiration", "must be at least 3 seconds")
  if (settings.refresh * 3 > settings.expiration) {
    return yield* refuse("refresh", "must be at most a third of expiration")
  }
  if (settings.refresh < 300) return yield* refuse("refresh", "must be at least 300 milliseconds")
  if (settings.assignments > settings.expiration / 3) {
    return yield* refuse("assignments", "must be at most a third of expiration")
  }
  if (!/^[a-z_][a-z0-9_]{0,40}$/.test(settings.prefix)) {
    return yield* refuse(
      "prefix",
      `must be a name in lower case, of at most 41 letters, digits and _, got ${JSON.stringify(settings.prefix)}`
    )
  }
  return settings
})

/**
 * Joins the cluster. Closing the scope leaves it, as `leave` does.
 *
 * Fails with `InvalidConfig` when the client is not one for PostgreSQL, or the time zone of its sessions
 * is not UTC, and with `SqlError` when the tables cannot be created.
 */
export const join = Effect.fnUntraced(function*(
  settings: Settings,
  places: Places,
  hooks: Hooks
): Effect.fn.Return<Membership, InvalidConfig | SqlError, SqlClient.SqlClient | Scope.Scope> {
  const sql = yield* SqlClient.SqlClient
  if (!sql.onDialectOrElse({ pg: () => true, orElse: () => false })) {
    return yield* refuse("SqlClient", `must be for PostgreSQL, this one is for ${sql.driver}`)
  }
  yield* checkTimeZone(sql)
  const terms = yield* makeTerms(settings.prefix, settings.shards)
  const storage = SqlRunnerStorage.layerWith({ prefix: settings.prefix }).pipe(
    Layer.provide(configuration(settings))
  )
  return yield* joinWith(settings, places, hooks, terms, storage)
})

/**
 * The times of locks are stored without a time zone. With sessions of different zones, or when a zone changes between summer and
 * winter time, all locks would seem to have expired, and places would have two owners.
 */
const checkTimeZone = Effect.fnUntraced(function*(sql: SqlClient.SqlClient) {
  const [found] = yield* sql.unsafe<{ readonly zone: string; readonly is_utc: boolean }>(
    `SELECT current_setting('TimeZone') AS zone,
      EXTRACT(TIMEZONE FROM TIMESTAMPTZ '2026-01-01Z') = 0 AND EXTRACT(TIMEZONE FROM TIMESTAMPTZ '2026-07-01Z') = 0 AS is_utc`
  )
  if (!found!.is_utc) {
    return yield* refuse(
      "TimeZone",
      `must be UTC in the client's sessions, it is ${
        found!.zone
      }: give the client the startup parameter TimeZone, or the role`
    )
  }
})

/** As `join`, with locks and terms that are stored elsewhere. */
export const joinWith = Effect.fnUntraced(function*<E, R>(
  settings: Settings,
  places: Places,
  hooks: Hooks,
  terms: Terms,
  storage: Layer.Layer<RunnerStorage, E, R>
): Effect.fn.Return<Membership, E, R | Scope.Scope> {
  const [scope, drains] = [yield* Scope.make(), yield* Scope.make()]
  const observed = Layer.effect(
    RunnerStorage,
    Effect.gen(function*() {
      const observed = new Observed({
        inner: yield* RunnerStorage,
        places,
        terms,
        drain: hooks.drain,
        scope: drains,
        lease: settings.expiration * 0.8,
        // Both end before `Sharding` gives up waiting, which it does after one interval.
        patience: settings.refresh * 0.9,
        eager: settings.refresh * 0.6
      })
      yield* Effect.forkScoped(Effect.repeat(observed.expire, Schedule.spaced(settings.assignments)))
      return observed.storage
    })
  )
  const health = Layer.succeed(RunnerHealth, {
    isAlive: ({ host, port }) => hooks.isAlive(nodeAddress(host, port))
  })
  // The program may have entities of its own, and with them another `Sharding`.
  const sharding = Layer.fresh(Sharding.layer.pipe(
    Layer.provide([Runners.layerNoop, health, Layer.provide(observed, storage)]),
    Layer.provide([MessageStorage.layerNoop, configuration(settings)])
  ))
  const leave = yield* Effect.cached(Effect.uninterruptible(
    Effect.andThen(Scope.close(scope, Exit.void), Scope.close(drains, Exit.void))
  ))
  yield* Effect.addFinalizer(() => leave)
  yield* Layer.buildWithScope(sharding, scope)
  return { leave }
})

const configuration = (settings: Settings): Layer.Layer<ShardingConfig.ShardingConfig> =>
  ShardingConfig.layer({
    runnerAddress: Option.some(RunnerAddress.make(settings.self.host, settings.self.port)),
    runnerShardWeight: settings.weight,
    availableShardGroups: [group],
    assignedShardGroups: [group],
    shardsPerGroup: settings.shards,
    shardLockExpiration: settings.expiration,
    shardLockRefreshInterval: settings.refresh,
    // A session of the database that is lost frees its advisory locks, while the owner goes on serving.
    shardLockDisableAdvisory: true,
    refreshAssignmentsInterval: settings.assignments,
    runnerHealthCheckInterval: settings.health,
    // So long it also takes until a lost place is acquired again.
    entityMessagePollInterval: 500
  })
