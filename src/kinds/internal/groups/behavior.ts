/**
 * How a group handles its messages. Handlers are pure, except broadcasts to many members and those that set a timer.
 */
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Session from "../../../contract/Session.ts"
import type { SessionEvents } from "../../../runtime/SessionEvents.ts"
import type { AnyDefinition, Protocol, State } from "../../Groups.ts"
import type { Holds } from "./Holds.ts"
import type { Lanes, Members } from "./Lanes.ts"
import { Leases } from "./Leases.ts"
import { Roster } from "./Roster.ts"
import { Round } from "./Round.ts"

interface Options {
  /** The name of this process. */
  readonly owner: string
  /** May other processes hold members? Then it is how long they do without renewing it, in milliseconds. */
  readonly lease: number | undefined
  readonly members: Members
  readonly lanes: Lanes
  readonly holds: Holds
  /** How long a group without members stays, in milliseconds. */
  readonly emptyFor: number
  /** How often a group checks that its members exist, in milliseconds. */
  readonly checkEvery: number
  /** Gives those of the ids that no session has any more. */
  readonly absent: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<string>>
  readonly gone: (group: string) => (member: string) => void
  readonly events: SessionEvents["Service"] | undefined
  readonly now: () => number
  /** The monotonic time. */
  readonly time: () => number
}

type Self = Session.Self<Protocol>
type Reply<A> = readonly [state: State, reply: A]

export const makeBehavior = (definition: AnyDefinition, options: Options) => {
  const { absent, checkEvery, emptyFor, events, gone, holds, lanes, lease, now, owner: here, time } = options
  /** Groups that are ending for lack of members: a join must try again with their successor. */
  const retiring = new WeakSet<Self>()
  const rosters = new WeakMap<Self, Roster>()

  const rosterOf = (self: Self): Roster => {
    let roster = rosters.get(self)
    if (roster === undefined) rosters.set(self, roster = new Roster())
    return roster
  }

  const leases = new WeakMap<Self, Leases>()

  /** Is the member held by a Scope, here or in another process? */
  const isHeld = (self: Self, member: string): boolean =>
    holds.has(self.id, member) || leases.get(self)?.has(member) === true

  /** The leases of other processes. The first one sets the timer. */
  const leasesOf = (self: Self): Leases | Effect.Effect<Leases> => {
    const known = leases.get(self)
    if (known !== undefined) return known
    const made = new Leases(lease!)
    leases.set(self, made)
    return Effect.as(self.every(lease!, "Lapse", undefined, { key: "lapse" }), made)
  }

  const withLeases = <A>(self: Self, then: (leases: Leases) => A): A | Effect.Effect<A> => {
    const found = leasesOf(self)
    return Effect.isEffect(found) ? Effect.map(found, then) : then(found)
  }

  /** These are held no more, at least not by whom they were held. */
  const release = <A>(self: Self, state: State, members: Iterable<string>, reply: A) =>
    without(
      self,
      state,
      Array.from(members).filter((member) =>
        Option.contains(HashMap.get(state.members, member), false) && !isHeld(self, member)
      ),
      reply
    )

  const enter = (self: Self, state: State, member: string, stays: boolean): State => {
    const joined = HashMap.set(state.members, member, stays)
    rosterOf(self).joined(state.members, joined, member)
    return { members: joined }
  }

  /** Sets the timer that ends a group without members. */
  const retireLater = (self: Self): Effect.Effect<unknown> =>
    emptyFor === Infinity ? Effect.void : self.after(emptyFor, "Retire", undefined, { key: "retire" })

  const without = <A>(
    self: Self,
    state: State,
    leaving: ReadonlyArray<string>,
    reply: A
  ): Reply<A> | Effect.Effect<Reply<A>> => {
    const left = HashMap.removeMany(state.members, leaving)
    if (HashMap.size(left) === HashMap.size(state.members)) return [state, reply]
    rosterOf(self).left(state.members, left, leaving)
    const next: Reply<A> = [{ members: left }, reply]
    return HashMap.isEmpty(left) ? Effect.as(retireLater(self), next) : next
  }

  const answer = (self: Self, state: State, tag: string, round: Round) => {
    const { sent } = round
    if (events?.active === true) {
      events.publish({ _tag: "Broadcast", kind: self.kind, id: self.id, at: now(), tag, count: sent.delivered })
    }
    for (const member of round.gone) holds.forget(self.id, member)
    return round.gone.length === 0 ? [state, sent] as const : without(self, state, round.gone, sent)
  }

  const check = (self: Self, known: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.flatMap(absent(known), (left) => left.length === 0 ? Effect.void : Effect.ignore(self.cast("Gone", left)))

  return definition.kind.behavior({
    init: ({ id, self }) => {
      const held = holds.of(id).map((member) => [member, false] as const)
      const state: State = { members: HashMap.fromIterable(held) }
      return Effect.gen(function*() {
        if (held.length === 0) yield* retireLater(self)
        if (checkEvery < Infinity) yield* self.every(checkEvery, "Check", undefined, { key: "check" })
        return state
      })
    },
    restore: ({ id, self, state }) => {
      const isKept = (stays: boolean, member: string) => stays || lease !== undefined || holds.has(id, member)
      const left = HashMap.filter(state.members, isKept)
      const elsewhere = Array.from(HashMap.entries(left)).filter(([member, stays]) => !stays && !holds.has(id, member))
      return Effect.gen(function*() {
        if (HashMap.isEmpty(left) && !HashMap.isEmpty(state.members)) yield* retireLater(self)
        if (elsewhere.length > 0) {
          const leases = leasesOf(self)
          const known = Effect.isEffect(leases) ? yield* leases : leases
          known.restored(elsewhere.map(([member]) => member), time())
        }
        return { members: left }
      })
    },
    handlers: {
      Join: ({ payload: { member, owner, stays }, self, state }) => {
        if (retiring.has(self)) return [state, false]
        const before = HashMap.get(state.members, member)
        const isMember = Option.isSome(before) && (before.value || !stays)
        const next: Reply<boolean> = [isMember ? state : enter(self, state, member, stays), true]
        return stays || owner === here || lease === undefined ? next : withLeases(self, (leases) => {
          leases.add(owner, member, time())
          return next
        })
      },
      Leave: ({ payload: { held, member, owner }, self, state }) => {
        const before = HashMap.get(state.members, member)
        if (held && owner !== here) leases.get(self)?.remove(owner, member)
        // When a Scope closes, a member that joined without one stays, and so does one that another Scope holds.
        if (Option.isNone(before) || held && (before.value || isHeld(self, member))) return [state, false]
        return without(self, state, [member], true)
      },
      Hold: ({ payload: { members: held, owner }, self, state }) =>
        retiring.has(self) || lease === undefined ? [state, null] : Effect.suspend(() => {
          const leases = withLeases(self, (leases) => leases.renew(owner, held, time()))
          return Effect.flatMap(Effect.isEffect(leases) ? leases : Effect.succeed(leases), (before) => {
            const missing = held.filter((member) => !HashMap.has(state.members, member))
            // What it held before has left since; the rest this session has not heard of yet.
            const left = missing.filter((member) => before.has(member))
            let next = state
            for (const member of missing) if (!before.has(member)) next = enter(self, next, member, false)
            const released = release(self, next, before, left)
            return Effect.isEffect(released) ? released : Effect.succeed(released)
          })
        }),
      Lapse: ({ self, state }) => release(self, state, leases.get(self)?.lapse(time()) ?? [], undefined),
      Members: ({ state }) => [state, state.members],
      Broadcast: ({ payload: { except, payload, tag }, self, state }) => {
        const round = new Round(lanes, { tag, payload, from: self.id, gone: gone(self.id) }, except)
        const rest = round.toAll(rosterOf(self).of(state.members))
        return rest === undefined
          ? answer(self, state, tag, round)
          : Effect.flatMap(rest, () => {
            const next = answer(self, state, tag, round)
            return Effect.isEffect(next) ? next : Effect.succeed(next)
          })
      },
      Gone: ({ payload, self, state }) =>
        // They may have been started again meanwhile.
        Effect.flatMap(absent(payload), (left) => {
          for (const member of left) holds.forget(self.id, member)
          const next = without(self, state, left, undefined)
          return Effect.isEffect(next) ? next : Effect.succeed(next)
        }),
      Check: ({ self, state }) =>
        Effect.as(self.fork(check(self, Array.from(rosterOf(self).of(state.members)))), [state] as const),
      Retire: ({ self, state }) => {
        if (!HashMap.isEmpty(state.members)) return [state]
        retiring.add(self)
        return Effect.as(self.end("nobody is in it"), [state] as const)
      }
    }
  })
}
