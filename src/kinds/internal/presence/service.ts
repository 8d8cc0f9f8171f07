/**
 * Builds a presence: registers the kind of its topics, and makes the tracker of this process.
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Session from "../../../contract/Session.ts"
import { InvalidConfig } from "../../../contract/SessionError.ts"
import type { SessionHost } from "../../../contract/SessionHost.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import * as SessionsConfig from "../../../policy/SessionsConfig.ts"
import type { Options, Protocol, State, Tracker } from "../../Presence.ts"
import { makeValueCheck, type ValueCheck } from "../valueCheck.ts"
import { makeBehavior } from "./behavior.ts"
import type { TopicKind } from "./PresenceHold.ts"
import { PresenceTracker } from "./PresenceTracker.ts"

type AnyKind = Session.Definition<any, string, Schema.Codec<State<any>>, Protocol, Schema.Void, Schema.Never>

const leastLease = 1_000
const leastIdleTimeout = 5 * 60_000

/** Checks the options and gives them with their defaults, in milliseconds. */
const checkOptions = (kind: string, options: Options) =>
  Effect.gen(function*() {
    const name = (option: string) => `${kind}.${option}`
    if ("snapshots" in options && options.snapshots !== undefined) {
      return yield* new InvalidConfig({
        setting: name("snapshots"),
        message: `${name("snapshots")} is not possible: presence is not stored`
      })
    }
    const isNone = Option.exists(Duration.fromInput(options.grace ?? "5 seconds"), Duration.isZero)
    const grace = isNone ? 0 : yield* SessionsConfig.duration(name("grace"), options.grace ?? "5 seconds")
    const lease = yield* SessionsConfig.duration(name("lease"), options.lease ?? "30 seconds")
    if (lease < leastLease) return yield* tooShort(name("lease"), `at least 1 second`)
    const longest = Math.max(grace, lease)
    const idleTimeout = options.idleTimeout ?? Math.max(leastIdleTimeout, 2 * longest)
    const idle = yield* SessionsConfig.duration(name("idleTimeout"), idleTimeout, { infinite: true })
    if (idle <= longest) {
      return yield* tooShort(name("idleTimeout"), `longer than the lease and the grace (${longest} ms)`)
    }
    return { grace, lease, idleTimeout: idle }
  })

const tooShort = (setting: string, must: string): InvalidConfig =>
  new InvalidConfig({ setting, message: `${setting} must be ${must}` })

/** Makes the tracker, which renews its leases until the Scope closes. */
const makeTracker = (
  kind: TopicKind,
  meta: ValueCheck,
  lease: number
): Effect.Effect<PresenceTracker, never, Scope.Scope> =>
  Effect.gen(function*() {
    const id = (yield* SessionId.make).slice(0, 16)
    const run = yield* FiberSet.makeRuntime<never, void, never>()
    const tracker = new PresenceTracker(id, kind, meta, lease / 3, run)
    yield* Effect.forkScoped(
      Effect.forever(Effect.andThen(Effect.sleep(tracker.interval), tracker.renewAll), { disableYield: true })
    )
    yield* Effect.addFinalizer(() => tracker.close)
    return tracker
  })

export const makeLayer = <Self>(
  key: Context.Key<Self, Tracker<any>>,
  kind: AnyKind,
  meta: Schema.Top,
  options: Options
): Layer.Layer<any, InvalidConfig, SessionHost> =>
  Layer.unwrap(Effect.gen(function*() {
    const { grace, idleTimeout, lease } = yield* checkOptions(kind.kind, options)
    const { grace: _grace, lease: _lease, ...kindOptions } = options
    const topics = kind.toLayer(
      Effect.map(
        makeBehavior({ grace, lease }, Schema.toEquivalence(meta)),
        (behavior) => kind.behavior(behavior as never)
      ),
      { ...kindOptions, idleTimeout, limitStarts: false }
    )
    const tracker = Layer.effect(
      key,
      Effect.flatMap(kind, (topics) => makeTracker(topics as TopicKind, makeValueCheck(meta, { json: true }), lease))
    )
    return Layer.provideMerge(tracker, topics)
  }))
