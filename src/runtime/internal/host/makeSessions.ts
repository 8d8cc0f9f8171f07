/**
 * Builds a host of sessions: the shared context, the sweeper, the registration of kinds, and the `Sessions` service.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Rpc from "effect/rpc/Rpc"
import * as Scheduler from "effect/Scheduler"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as EndReason from "../../../contract/EndReason.ts"
import {
  InvalidConfig,
  InvalidMessage,
  isStartError,
  SessionNotFound,
  StartRefused,
  UnknownKind
} from "../../../contract/SessionError.ts"
import type { SessionHost } from "../../../contract/SessionHost.ts"
import type * as SessionRef from "../../../contract/SessionRef.ts"
import { SessionsConfig } from "../../../policy/SessionsConfig.ts"
import { DeadLetters } from "../../DeadLetters.ts"
import { Expiry } from "../../Expiry.ts"
import { MemoryUsage } from "../../MemoryUsage.ts"
import { MessageLimiter } from "../../MessageLimiter.ts"
import { SessionEvents } from "../../SessionEvents.ts"
import type { Address, Sessions } from "../../Sessions.ts"
import { StartLimiter } from "../../StartLimiter.ts"
import { WakeUps } from "../messages/WakeUps.ts"
import { monotonicMillis } from "../session/events.ts"
import { Activation } from "./Activation.ts"
import { HostContext } from "./HostContext.ts"
import { Kind } from "./Kind.ts"
import { showHub, showKind } from "./kindMetrics.ts"
import { KindSessions } from "./KindSessions.ts"
import { HostRouter } from "./Placement.ts"

/** A sweep yields after this many sessions. */
const stride = 512

export const make: Effect.Effect<
  { readonly sessionHost: SessionHost["Service"]; readonly sessions: Sessions["Service"] },
  never,
  SessionsConfig | Expiry | StartLimiter | MessageLimiter | SessionEvents | DeadLetters | Scope.Scope
> = Effect.gen(function*() {
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const memoryUsage = yield* MemoryUsage
  const heapBefore = memoryUsage()
  const host = new HostContext({
    clock,
    config: yield* SessionsConfig,
    expiry: yield* Expiry,
    context,
    wakeUps: new WakeUps(yield* Scheduler.Scheduler),
    events: yield* SessionEvents,
    letters: yield* DeadLetters,
    startLimiter: yield* StartLimiter,
    messageLimiter: yield* MessageLimiter,
    router: yield* HostRouter
  })
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      host.closed = true
      host.deadlines.close()
    })
  )

  yield* Effect.acquireRelease(Effect.sync(() => showHub(context, host)), (remove) => Effect.sync(remove))

  const sweep = makeSweep(host)
  yield* Effect.forkScoped(
    Effect.schedule(
      Effect.catchCause(sweep, (cause) => Effect.as(Effect.logError("a sweep of expired sessions failed", cause), 0)),
      host.expiry.schedule
    )
  )

  const byKind = new Map<string, KindSessions>()

  const sessionHost: SessionHost["Service"] = {
    register: (definition, behavior, options, context) =>
      Effect.gen(function*() {
        const kind = yield* Kind.make(
          host,
          definition,
          behavior,
          options,
          context,
          (kind) => new Activation(kind)
        )
        const sessions = host.router?.register(kind) ?? new KindSessions(kind)
        yield* Effect.acquireRelease(
          Effect.suspend(() => {
            if (byKind.has(kind.name)) {
              return Effect.fail(
                new InvalidConfig({
                  setting: "kind",
                  message: `a session kind "${kind.name}" is registered already: names must differ`
                })
              )
            }
            byKind.set(kind.name, sessions)
            return Effect.void
          }),
          () =>
            Effect.andThen(
              host.router?.leave ?? Effect.void,
              Effect.suspend(() => {
                kind.closed = true
                return sessions.stopAll(undefined, { reason: EndReason.shutdown })
              })
            ).pipe(
              Effect.andThen(kind.persistence?.close ?? Effect.void),
              Effect.andThen(Effect.sync(() => byKind.delete(kind.name)))
            )
        )
        yield* Effect.acquireRelease(Effect.sync(() => showKind(kind.context, kind)), (remove) => Effect.sync(remove))
        if (kind.persistence !== undefined) {
          yield* Effect.forkScoped(kind.persistence.alarms.watch)
          yield* Effect.forkScoped(kind.persistence.upkeep)
        }
        return sessions
      })
  }

  const get = ({ id, kind }: Address) =>
    Effect.suspend(() => byKind.get(kind)?.get(id) ?? Effect.fail(SessionNotFound.of(kind, id)))

  const liveOfUser = (user: string): Array<SessionRef.Any> => {
    const now = host.now()
    return Array.from(host.ofUser(user)).filter((session) => session.isLive(now)).map((session) => session.ref)
  }

  const ofKinds = (kind: string | undefined) =>
    Array.from(byKind.values()).filter((sessions) => kind === undefined || sessions.kind === kind)

  const countNow = () => {
    const limit = host.config.maxSessions
    const { count } = host
    const kinds = Object.fromEntries(Array.from(byKind.values(), ({ home }) => [home.name, home.count]))
    return { count, limit, utilisation: 100 * count / limit, kinds }
  }

  const sessions: Sessions["Service"] = {
    kinds: Effect.sync(() => Array.from(byKind.keys())),
    start: (id, options) =>
      Effect.gen(function*() {
        const name = options?.kind ?? host.config.defaultKind
        const kind = byKind.get(name)
        if (kind === undefined) return yield* UnknownKind.of(name, byKind.keys())
        const args = yield* decodeArgs(kind, options?.args)
        return yield* Effect.mapError(
          kind.start(id, { ...options, args }),
          (error) => isStartError(error) ? error : StartRefused.of(name, id, error)
        )
      }),
    find: ({ id, kind }) => Effect.suspend(() => byKind.get(kind)?.find(id) ?? Effect.succeedNone),
    get,
    list: (kind) => Effect.map(Effect.forEach(ofKinds(kind), (sessions) => sessions.list), (lists) => lists.flat()),
    match: (pattern) =>
      Effect.map(
        Effect.forEach(ofKinds(undefined), (sessions) =>
          Effect.map(sessions.match(pattern), (ids) => ids.map((id) => ({ kind: sessions.kind, id })))),
        (lists) =>
          lists.flat()
      ),
    liveOfUser: (user) => Effect.sync(() => liveOfUser(user)),
    ofUser: (user) =>
      Effect.gen(function*() {
        const stored = yield* Effect.forEach(
          ofKinds(undefined),
          (sessions) => Effect.map(sessions.storedOfUser(user), (ids) => ({ ids, sessions }))
        )
        const refs = liveOfUser(user)
        // For a session in memory, the memory is up to date and the store may not be.
        for (const { ids, sessions } of stored) {
          for (const id of ids) if (!sessions.home.sessions.has(id)) refs.push(sessions.ref(id))
        }
        return refs
      }),
    inspect: (address) => Effect.flatMap(get(address), (ref) => ref.info),
    end: ({ id, kind }, options) => byKind.get(kind)?.end(id, options) ?? Effect.succeed(false),
    endAll: (options) =>
      Effect.map(
        Effect.forEach(ofKinds(undefined), (sessions) => sessions.endAll(undefined, options), {
          concurrency: "unbounded"
        }),
        (ends) => ends.reduce((sum, results) => sum + Array.from(results.values()).filter(Boolean).length, 0)
      ),
    broadcast: (tag, payload) =>
      Effect.map(
        Effect.forEach(ofKinds(undefined), (sessions) => {
          const message = sessions.home.definition.protocol.get(tag) as Rpc.AnyWithProps | undefined
          return message !== undefined && Schema.is(message.payloadSchema)(payload)
            ? sessions.broadcast(tag, payload)
            : Effect.succeed(0)
        }),
        (counts) => counts.reduce((sum, count) => sum + count, 0)
      ),
    count: Effect.sync(countNow),
    stats: Effect.sync(() => {
      const heapBytes = memoryUsage()
      const counted = countNow()
      return {
        ...counted,
        totals: Object.fromEntries(
          Array.from(byKind.values(), ({ home: { counters, name } }) => [
            name,
            { ...counters, ended: { ...counters.ended } }
          ])
        ),
        heapBytes,
        averageBytes: heapBytes === undefined || heapBefore === undefined || counted.count === 0
          ? undefined
          : Math.max(0, Math.round((heapBytes - heapBefore) / counted.count))
      }
    }),
    health: Effect.sync(() => {
      let crashed = 0
      for (const { home } of byKind.values()) {
        for (const session of home.sessions.values()) if (session.recovering) crashed++
      }
      const { count: total } = host
      return { total, healthy: total - crashed, crashed }
    }),
    sweep,
    quarantined: Effect.suspend(() =>
      Effect.map(
        Effect.forEach(
          ofKinds(undefined),
          ({ home: { persistence } }) => persistence?.loader.quarantined ?? Effect.succeed([])
        ),
        (entries) => entries.flat()
      )
    ),
    discardQuarantined: (entry) =>
      Effect.suspend(() =>
        byKind.get(entry.kind)?.home.persistence?.loader.discardQuarantined(entry) ?? Effect.succeed(false)
      )
  }
  return { sessionHost, sessions }
})

/** Checks arguments for a kind that the caller knows by its name only. */
const decodeArgs = ({ home: { definition, name } }: KindSessions, args: unknown) =>
  Effect.mapError(
    Schema.decodeUnknownEffect(Schema.toType(definition.args))(args) as Effect.Effect<unknown, Error>,
    (error) =>
      new InvalidMessage({
        kind: name,
        tag: "start",
        message: `the arguments do not fit session kind ${name}: ${error.message}`
      })
  )

/** Ends the expired sessions. The cost depends on their number, not on the number of sessions. */
const makeSweep = (host: HostContext): Effect.Effect<number> =>
  Effect.gen(function*() {
    const began = monotonicMillis(host)
    const now = host.now()
    const expired = host.sweep(now)
    let count = 0
    for (let i = 0; i < expired.length; i++) {
      if (expired[i]!.expire(now)) count++
      if (i % stride === stride - 1) yield* Effect.yieldNow
    }
    if (host.events.active) {
      const duration = monotonicMillis(host) - began
      host.events.publish({ _tag: "AutoCleanup", kind: "", id: "", at: host.date(), count, duration })
    }
    if (count > 0) yield* Effect.logInfo(`swept ${count} expired ${count === 1 ? "session" : "sessions"}`)
    return count
  })
