/**
 * The Layer of a presence: the kind of its topics, and the tracker of this process.
 */
import * as Context from "effect/Context"
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
import { type Guard, guard } from "../valueCheck.ts"
import { makeBehavior } from "./behavior.ts"
import type { TopicKind } from "./PresenceHold.ts"
import { PresenceTracker } from "./PresenceTracker.ts"

type AnyKind = Session.Definition<any, string, Schema.Codec<State<any>>, Protocol, Schema.Void, Schema.Never>

const leastLease = 1_000
const leastIdleTimeout = 5 * 60_000

/** The options with their defaults, in milliseconds. */
const check = (kind: string, options: Options) =>
  Effect.gen(function*() {
    const name = (option: string) => `${kind}.${option}`
    if ("snapshots" in options && options.snapshots !== undefined) {
      return yield* new InvalidConfig({
        setting: name("snapshots"),
        message: `${name("snapshots")} is not possible: who is present is not kept in a store`
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

/** A tracker of its own, for as long as the Scope lives. */
const makeTracker = (kind: TopicKind, meta: Guard, lease: number): Effect.Effect<PresenceTracker, never, Scope.Scope> =>
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
): Layer.Layer<any, InvalidConfig, SessionHost> => {
  const { grace: _grace, lease: _lease, ...kindOptions } = options
  return Layer.unwrap(Effect.map(check(kind.kind, options), ({ grace, idleTimeout, lease }) =>
    Layer.provideMerge(
      Layer.effectContext(
        Effect.map(
          Effect.flatMap(kind, (topics) => makeTracker(topics as TopicKind, guard(meta, { json: true }), lease)),
          (tracker) => Context.make(key, tracker)
        )
      ),
      kind.toLayer(
        Effect.map(
          makeBehavior({ grace, lease }, Schema.toEquivalence(meta)),
          (behavior) => kind.behavior(behavior as never)
        ),
        { ...kindOptions, idleTimeout, limitStarts: false }
      )
    )))
}
