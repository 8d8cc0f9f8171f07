/**
 * The groups of a definition: registers the kind of their sessions, and makes the service.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { SessionKind } from "../../../contract/Session.ts"
import {
  type CallError,
  InvalidConfig,
  InvalidSessionId,
  SessionEnded,
  SessionNotFound
} from "../../../contract/SessionError.ts"
import { SessionHost } from "../../../contract/SessionHost.ts"
import * as SessionId from "../../../contract/SessionId.ts"
import type { SessionRef } from "../../../contract/SessionRef.ts"
import { SnapshotStore } from "../../../contract/SnapshotStore.ts"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import * as SessionsConfig from "../../../policy/SessionsConfig.ts"
import { DeadLetters } from "../../../runtime/DeadLetters.ts"
import { HostRouter } from "../../../runtime/internal/host/Placement.ts"
import { SessionEvents } from "../../../runtime/SessionEvents.ts"
import { Sessions } from "../../../runtime/Sessions.ts"
import type {
  AnyDefinition,
  BroadcastOptions,
  GroupError,
  Groups,
  Options,
  Protocol,
  Sent,
  State
} from "../../Groups.ts"
import { makeBehavior } from "./behavior.ts"
import { makeHoldKeeper } from "./HoldKeeper.ts"
import { Holds } from "./Holds.ts"
import { Lanes, type Members, stride } from "./Lanes.ts"
import { Round } from "./Round.ts"

type GroupKind = SessionKind<State, Protocol, void, never>

/** The shortest lease, in milliseconds. */
const leastLease = 1_000

/** How many members are looked up in the store at the same time. */
const lookups = 16

/** How often a join is tried when the group is ending. */
const attempts = 5

type GroupRef = SessionRef<State, Protocol>

/** Recovers from `SessionNotFound`. */
const unlessThere = <A>(
  effect: Effect.Effect<A, GroupError | SessionNotFound>,
  otherwise: Effect.Effect<A, GroupError>
): Effect.Effect<A, GroupError> =>
  Effect.catch(effect, (error) => error instanceof SessionNotFound ? otherwise : Effect.fail(error))

const nobody: Sent = { delivered: 0, waiting: 0, missed: 0 }

const optional = <I, S>(key: Context.Key<I, S>) => Effect.map(Effect.serviceOption(key), Option.getOrUndefined)

/** Makes the function that gives those of the ids that no session has any more. It loads no stored sessions if it can. */
const makeAbsent = (members: Members, store: SnapshotStore["Service"] | undefined, now: () => number) => {
  const isStored = (id: string) =>
    store === undefined ? Effect.succeed(false) : Effect.map(
      store.stat({ kind: members.kind, id }),
      Option.exists(({ head }) => Option.exists(head, ({ expiresAt }) => expiresAt === null || expiresAt > now()))
    )
  const exists = (id: string) =>
    Effect.catch(
      Effect.flatMap(isStored(id), (stored) => stored ? Effect.succeed(true) : members.has(id)),
      // A member that cannot be looked up stays a member.
      () => Effect.succeed(true)
    )
  return (ids: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<string>> =>
    Effect.gen(function*() {
      const away: Array<string> = []
      for (let i = 0; i < ids.length; i++) {
        if (members.findUnsafe(ids[i]!) === undefined) away.push(ids[i]!)
        if (i % stride === stride - 1) yield* Effect.yieldNow
      }
      return yield* Effect.filter(away, (id) => Effect.map(exists(id), (there) => !there), { concurrency: lookups })
    })
}

/** The groups' sessions and the service. */
const make = (definition: AnyDefinition, options: Options) =>
  Effect.gen(function*() {
    const {
      checkEvery = "10 minutes",
      idleTimeout = "1 minute",
      laneCapacity = 1_000,
      lease = "30 seconds",
      ...kindOptions
    } = options
    const { kind: name } = definition.kind
    const emptyFor = yield* SessionsConfig.duration(`${name}.idleTimeout`, idleTimeout, { infinite: true })
    const checkMillis = yield* SessionsConfig.duration(`${name}.checkEvery`, checkEvery, { infinite: true })
    const capacity = yield* SessionsConfig.wholeNumber(`${name}.laneCapacity`, laneCapacity, 1)
    const leaseMillis = yield* SessionsConfig.duration(`${name}.lease`, lease)
    if (leaseMillis < leastLease) {
      return yield* new InvalidConfig({ setting: `${name}.lease`, message: `${name}.lease must be at least 1 second` })
    }
    const members: Members = yield* definition.members as Context.Key<any, Members>
    const host = yield* SessionHost
    const sessions = yield* Sessions
    const clock = yield* Clock.Clock
    const config = yield* optional(SessionsConfig.SessionsConfig)
    const store = yield* optional(SnapshotStore)
    const events = yield* optional(SessionEvents)
    const letters = yield* optional(DeadLetters)
    const context = yield* Effect.context<never>()
    const run = Effect.runForkWith(context)
    const now = () => clock.currentTimeMillisUnsafe()
    const time = new MonotonicClock(clock)
    const owner = (yield* SessionId.make).slice(0, 16)
    const isShared = (yield* HostRouter) !== undefined

    const holds = new Holds()
    // Acquired first, so that lanes close after the groups, which may broadcast until they end.
    const lanes = yield* Effect.acquireRelease(
      Effect.sync(() => new Lanes({ members, capacity, run, now, events, letters })),
      (lanes) => lanes.close(config?.shutdownGrace ?? Duration.toMillis("10 seconds"))
    )
    const absent = makeAbsent(members, store, now)
    const gone = (group: string) => (member: string) => {
      run(Effect.ignore(groups.ref(group).cast("Gone", [member])))
    }
    const groups = (yield* host.register(
      definition.kind,
      makeBehavior(definition, {
        owner,
        lease: isShared ? leaseMillis : undefined,
        members,
        lanes,
        holds,
        emptyFor,
        checkEvery: checkMillis,
        absent,
        gone,
        events,
        now,
        time: () => time.now()
      }),
      { absoluteTimeout: "Infinity", ...kindOptions, idleTimeout: "Infinity", limitStarts: false },
      context
    )) as unknown as GroupKind
    const keep = isShared
      ? yield* makeHoldKeeper({ groups, holds, owner, interval: leaseMillis / 3 })
      : () => Effect.void
    const service = makeService({
      owner,
      definition,
      members,
      groups,
      sessions,
      holds,
      keep,
      lanes,
      absent,
      events,
      now
    })
    return Context.make(definition, service).pipe(Context.add(definition.kind, groups))
  })

export const makeLayer = (definition: AnyDefinition, options: Options) => Layer.effectContext(make(definition, options))

const makeService = (
  { absent, definition, events, groups, holds, keep, lanes, members, now, owner, sessions }: {
    readonly owner: string
    readonly definition: AnyDefinition
    readonly members: Members
    readonly groups: GroupKind
    readonly sessions: Sessions["Service"]
    readonly holds: Holds
    /** Keeps what is held in a group. */
    readonly keep: (group: string) => Effect.Effect<void>
    readonly lanes: Lanes
    readonly absent: ReturnType<typeof makeAbsent>
    readonly events: SessionEvents["Service"] | undefined
    readonly now: () => number
  }
): Groups<any> => {
  /** Asks a group. A group that is not live is started if Scopes hold members in it, and otherwise has none. */
  const ask = <A>(
    group: string,
    ifNone: A,
    question: (ref: GroupRef) => Effect.Effect<A, CallError>
  ): Effect.Effect<A, GroupError> =>
    Effect.suspend(() => {
      if (!SessionId.isValid(group)) return Effect.fail(InvalidSessionId.of(group))
      const isHeld = holds.of(group).length > 0
      const none = Effect.succeed(ifNone)
      return unlessThere(
        question(groups.ref(group)),
        isHeld ? unlessThere(Effect.flatMap(groups.start(group), question), none) : none
      )
    })

  const enter = (
    group: string,
    member: string,
    stays: boolean,
    left = attempts
  ): Effect.Effect<void, GroupError | SessionNotFound> => {
    const again = Effect.suspend(() => enter(group, member, stays, left - 1))
    const joined = Effect.flatMap(
      groups.start(group),
      (ref) => ref.call("Join", { member, stays, owner })
    )
    if (left === 0) return Effect.asVoid(joined)
    return Effect.flatMap(
      Effect.catchIf(
        joined,
        // The group ended before it had the member: try its successor.
        (error) => error instanceof SessionNotFound || error instanceof SessionEnded && !error.begun,
        () => Effect.succeed(false)
      ),
      (joined) => joined ? Effect.void : again
    )
  }

  const join = (group: string, member: string, stays: boolean) =>
    Effect.suspend(() =>
      SessionId.isValid(group)
        ? Effect.flatMap(
          exists(member),
          (found) => found ? enter(group, member, stays) : Effect.fail(notFound(member))
        )
        : Effect.fail(InvalidSessionId.of(group))
    )

  const exists = (member: string) =>
    members.findUnsafe(member) === undefined ? members.has(member) : Effect.succeed(true)

  const notFound = (member: string) => SessionNotFound.of(members.kind, member)

  /** Does not wait or fail: a group that cannot be reached drops members that nobody holds when it is restored. */
  const release = (group: string, member: string, holder: object) =>
    Effect.suspend(() =>
      holds.remove(group, member, holder)
        ? Effect.ignore(groups.ref(group).cast("Leave", { member, held: true, owner }))
        : Effect.void
    )

  const all = (group: string) =>
    ask<State["members"]>(group, HashMap.empty<string, boolean>(), (ref) => ref.call("Members"))

  /** A message that the members' protocol does not have is a defect of the program, even without members. */
  const checked = <A, E>(tag: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    definition.members.protocol.has(tag)
      ? effect
      : Effect.die(new TypeError(`session kind ${members.kind} has no message ${tag}`))

  const sendTo = (
    find: Effect.Effect<ReadonlyArray<{ readonly kind: string; readonly id: string }>>,
    tag: string,
    payload: unknown,
    options: BroadcastOptions | undefined
  ): Effect.Effect<Sent> =>
    checked(
      tag,
      Effect.uninterruptible(Effect.gen(function*() {
        const ids = (yield* find).filter(({ kind }) => kind === members.kind).map(({ id }) => id)
        const round = new Round(lanes, { tag, payload, from: "", gone: undefined }, options?.except)
        const rest = round.toAll(ids)
        if (rest !== undefined) yield* rest
        const { sent } = round
        if (events?.active === true) {
          const count = sent.delivered
          events.publish({ _tag: "Broadcast", kind: members.kind, id: "", at: now(), tag, count })
        }
        return sent
      }))
    )

  return {
    join: (group, member) => join(group, member, true),
    joinScoped: (group, member) => {
      const holder = {}
      return Effect.asVoid(Effect.acquireRelease(
        Effect.suspend(() => {
          holds.add(group, member, holder)
          const joined = Effect.onError(join(group, member, false), () => release(group, member, holder))
          return Effect.andThen(joined, keep(group))
        }),
        () => release(group, member, holder)
      ))
    },
    leave: (group, member) =>
      Effect.suspend(() => {
        holds.forget(group, member)
        return ask(group, false, (ref) => ref.call("Leave", { member, held: false, owner }))
      }),
    members: (group) =>
      Effect.gen(function*() {
        const known = Array.from(HashMap.keys(yield* all(group)))
        const left = yield* absent(known)
        if (left.length === 0) return known
        yield* Effect.ignore(groups.ref(group).cast("Gone", left))
        const without = new Set(left)
        return known.filter((member) => !without.has(member))
      }),
    has: (group, member) => Effect.map(all(group), HashMap.has(member)),
    size: (group) => Effect.map(all(group), HashMap.size),
    group: (group) => groups.start(group),
    broadcast: (group, tag, ...[payload, options]: [payload?: unknown, options?: BroadcastOptions]) =>
      checked(
        tag,
        ask(group, nobody, (ref) => ref.call("Broadcast", { tag, payload, except: options?.except ?? [] }))
      ),
    broadcastToUser: (user, tag, ...[payload, options]: [payload?: unknown, options?: BroadcastOptions]) =>
      sendTo(sessions.liveOfUser(user), tag, payload, options),
    broadcastToAll: (tag, ...[payload, options]: [payload?: unknown, options?: BroadcastOptions]) =>
      sendTo(members.list, tag, payload, options)
  }
}
