/**
 * Snapshots in Redis, which any number of processes can share.
 *
 * **When to use:** for a program on several machines that has Redis anyway, and can accept Redis's durability.
 *
 * **Details:** scripts inside Redis decide whether a writer is the owner, so a former owner is refused however the processes
 * race.
 *
 * **Gotchas:** what was saved is as durable as Redis is configured to be. Turn its append-only file on, and set
 * `maxmemory-policy` to `noeviction`: otherwise Redis deletes snapshots when memory runs short. A failover to a replica can
 * lose the last writes, and with them the last claims. When Redis hangs, callers of sessions are answered after five seconds,
 * but closing `NodeRedis.layer` waits for the replies of the commands under way: limit the shutdown of the process from
 * outside.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import type { InvalidConfig } from "../../contract/SessionError.ts"
import {
  ClaimRefused,
  type Head,
  type Key,
  type Quarantined,
  type Snapshot,
  SnapshotStore,
  type SnapshotStoreError
} from "../../contract/SnapshotStore.ts"
import { duration } from "../../policy/SessionsConfig.ts"
import { causes, eachOnce, failed, inChunks, rangeOf } from "./internal/operations.ts"
import { identity, inOrder } from "./internal/quarantine.ts"
import * as scripts from "./internal/redisScripts.ts"
import { unescape } from "./internal/text.ts"

/**
 * Options of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The prefix of all keys. Default: `{effect-sessions}:`. A Redis Cluster needs the braces, which place all keys in one
   * slot; to spread the load, give each kind a store of its own.
   */
  readonly prefix?: string | undefined
  /** How long the epoch of a key is remembered after its snapshot is gone. Default: 1 hour. */
  readonly epochRetention?: Duration.Input | undefined
}

/** The largest number of keys per script: other clients wait while it runs, for some milliseconds. */
const maxKeys = 250

/** Something else is stored under the name of the key. */
const isOfKey = (error: unknown): boolean => {
  for (const cause of causes(error)) {
    if ("message" in cause && typeof cause.message === "string" && cause.message.includes("WRONGTYPE")) return true
  }
  return false
}

const timeOf = (text: string | null | undefined): number | null =>
  text === null || text === undefined || text === "" ? null : Number(text)

const toHead = (key: Key, values: ReadonlyArray<string | null>): Option.Option<Head> => {
  const [epoch, version, format, savedAt, expiresAt, alarmAt, user] = values
  return typeof epoch !== "string" ? Option.none() : Option.some({
    kind: key.kind,
    id: key.id,
    epoch: Number(epoch),
    version: Number(version),
    format: Number(format),
    savedAt: Number(savedAt),
    expiresAt: timeOf(expiresAt),
    alarmAt: timeOf(alarmAt),
    user: typeof user !== "string" || user === "" ? null : unescape(user.slice(1))
  })
}

const toSnapshot = (key: Key, values: ReadonlyArray<string | null>): Option.Option<Snapshot> =>
  Option.map(toHead(key, values), (head) => ({ ...head, body: unescape(values[headFields.length] ?? "") }))

/** The number of values that `list` returns for each id. */
const headFields = scripts.fields.slice(0, -1)
const listed = headFields.length + 1

/**
 * Stores snapshots in Redis, through the `Redis` service of a driver such as `NodeRedis.layer` of
 * `@effect/platform-node`. Fails with `InvalidConfig` when an option is out of range.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<SnapshotStore, InvalidConfig, Redis.Redis> =>
  Layer.effect(SnapshotStore, make(options))

const make = Effect.fnUntraced(function*(
  options: Options
): Effect.fn.Return<SnapshotStore["Service"], InvalidConfig, Redis.Redis> {
  const redis = yield* Redis.Redis
  const prefix = options.prefix ?? "{effect-sessions}:"
  const epochRetention = yield* duration("epochRetention", options.epochRetention ?? "1 hour")
  const [claim, save, remove, quarantine, alarms, list, sweep, forget] = [
    redis.eval(scripts.claim),
    redis.eval(scripts.save),
    redis.eval(scripts.remove),
    redis.eval(scripts.quarantine),
    redis.eval(scripts.alarms),
    redis.eval(scripts.list),
    redis.eval(scripts.sweep),
    redis.eval(scripts.forget)
  ]
  const attempt = <A>(
    operation: string,
    effect: Effect.Effect<A, Redis.RedisError>
  ): Effect.Effect<A, SnapshotStoreError> => Effect.mapError(effect, failed(operation, "Redis", isOfKey))

  const isOne = (answers: ReadonlyArray<number>): ReadonlyArray<boolean> => answers.map((answer) => answer === 1)

  /** Runs a script on a limited number of keys at a time until none is left, and gives their number. */
  const repeat = Effect.fnUntraced(function*(script: typeof sweep, time: number) {
    for (let total = 0;;) {
      const count = yield* script(prefix, time, maxKeys)
      total += count
      if (count < maxKeys) return total
    }
  })

  return {
    claim: (key, atLeast, term) =>
      Effect.flatMap(
        attempt("claim", Effect.flatMap(Clock.currentTimeMillis, (now) => claim(prefix, now, key, atLeast, term))),
        ([epoch, ...values]) =>
          typeof epoch !== "string"
            ? Effect.fail(ClaimRefused.of(key, Number(values[0])))
            : Effect.succeed({ epoch: Number(epoch), snapshot: toSnapshot(key, values) })
      ),

    save: (snapshots) =>
      eachOnce("save", snapshots, () =>
        attempt(
          "save",
          inChunks(snapshots, maxKeys, ({ body }) => body.length, (chunk) => Effect.map(save(prefix, chunk), isOne))
        )),

    remove: (keys) =>
      eachOnce("remove", keys, () =>
        attempt(
          "remove",
          Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => inChunks(keys, maxKeys, () => 0, (chunk) => Effect.map(remove(prefix, now, chunk), isOne))
          )
        )),

    peek: (key) =>
      attempt(
        "peek",
        Effect.map(
          redis.send<ReadonlyArray<string | null>>("HMGET", `${prefix}s/${key.kind}/${key.id}`, ...scripts.fields),
          (values) => toSnapshot(key, values)
        )
      ),

    stat: (key) =>
      attempt(
        "stat",
        Effect.map(
          redis.send<ReadonlyArray<string | null>>("HMGET", `${prefix}s/${key.kind}/${key.id}`, "e", ...headFields),
          ([epoch, ...values]) =>
            typeof epoch !== "string" ? Option.none() : Option.some({ epoch: Number(epoch), head: toHead(key, values) })
        )
      ),

    quarantine: (snapshot, reason) =>
      attempt(
        "quarantine",
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const entry: Quarantined = { snapshot, reason, at: now }
          return Effect.asVoid(quarantine(prefix, now, snapshot, identity(snapshot), JSON.stringify(entry)))
        })
      ),

    quarantined: attempt(
      "quarantined",
      Effect.map(
        redis.send<ReadonlyArray<string>>("HVALS", `${prefix}quarantine`),
        (texts) => texts.map((text): Quarantined => JSON.parse(text)).sort(inOrder)
      )
    ),

    discardQuarantined: (entry) =>
      attempt(
        "discardQuarantined",
        Effect.map(redis.send<number>("HDEL", `${prefix}quarantine`, identity(entry)), (deleted) => deleted === 1)
      ),

    alarms: (kind, until, limit) =>
      limit < 1 ? Effect.succeed([]) : attempt(
        "alarms",
        Effect.map(alarms(prefix, kind, until, Math.min(limit, 2 ** 31)), (answers) => {
          const found: Array<Key & { readonly alarmAt: number }> = []
          for (let i = 0; i < answers.length; i += 2) {
            found.push({ kind, id: answers[i]!, alarmAt: Number(answers[i + 1]) })
          }
          return found
        })
      ),

    nextAlarm: (kind) =>
      attempt(
        "nextAlarm",
        Effect.map(alarms(prefix, kind, Infinity, 1), ([, alarmAt]) =>
          Option.map(Option.fromUndefinedOr(alarmAt), Number))
      ),

    list: (options) => {
      const { kind, limit, user } = options
      const { after, before, from } = rangeOf(options)
      return attempt(
        "list",
        Effect.gen(function*() {
          const page: Array<Head> = []
          while (page.length < Math.floor(limit)) {
            const last = page.at(-1)?.id ?? after
            const size = Math.min(Math.floor(limit) - page.length, maxKeys)
            const found = yield* list(
              prefix,
              kind,
              scripts.userText(user ?? null),
              last !== "" && last >= from ? `(${last}` : `[${from}`,
              `(${before}`,
              size
            )
            for (let at = 0; at < found.length; at += listed) {
              const head = toHead({ kind, id: found[at]! }, found.slice(at + 1, at + listed))
              if (Option.isSome(head)) page.push(head.value)
            }
            if (found.length < size * listed) break
          }
          return page
        })
      )
    },

    sweep: (now) =>
      attempt(
        "sweep",
        Effect.tap(repeat(sweep, now), () => repeat(forget, now - epochRetention))
      )
  }
})
