/**
 * Keeps the members that Scopes of this process hold in groups of other processes: renews the leases, and joins them again
 * when a group has lost them, because it was started elsewhere.
 *
 * There is one fiber for each group in which Scopes of this process hold members.
 */
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import type * as Scope from "effect/Scope"
import type { SessionKind } from "../../../contract/Session.ts"
import { type CallError, SessionsClosed, type StartError } from "../../../contract/SessionError.ts"
import { backoff } from "../../../internal/backoff.ts"
import type { Protocol, State } from "../../Groups.ts"
import type { Holds } from "./Holds.ts"

/** The first pause between attempts, in milliseconds. */
const firstPause = 50

interface Options {
  readonly groups: SessionKind<State, Protocol, void, never>
  readonly holds: Holds
  /** The name of this process. */
  readonly owner: string
  /** How often a lease is renewed, in milliseconds. */
  readonly interval: number
}

/** Makes the function that keeps what is held in a group. */
export const makeHoldKeeper = (
  { groups, holds, interval, owner }: Options
): Effect.Effect<(group: string) => Effect.Effect<void>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const keepers = yield* FiberMap.make<string, void>()

    /** Tells the group whom Scopes of this process hold. A group in this process knows. */
    const renew = (group: string): Effect.Effect<boolean, StartError | CallError> =>
      Effect.gen(function*() {
        const ref = yield* groups.start(group)
        if (groups.findUnsafe(group) !== undefined) return true
        const held = holds.holdersOf(group)
        const left = yield* ref.call("Hold", { owner, members: Array.from(held.keys()) })
        if (left === null) return false
        for (const member of left) holds.forget(group, member, held.get(member))
        return true
      })

    const keep = (group: string): Effect.Effect<void> =>
      Effect.gen(function*() {
        const ref = groups.ref(group)
        let failures = 0
        let pause = interval
        for (;;) {
          // Ends early when the group ends, or was not found where it has moved to.
          yield* failures > 0
            ? Effect.sleep(pause)
            : Effect.ignore(Effect.timeoutOption(ref.awaitEnd, interval))
          if (holds.of(group).length === 0) return
          const isKept = yield* Effect.catch(renew(group), (error) => Effect.succeed(error))
          if (isKept instanceof SessionsClosed) return
          failures = isKept === true ? 0 : failures + 1
          pause = backoff(failures, firstPause, interval)
        }
      })

    return (group) => Effect.asVoid(FiberMap.run(keepers, group, keep(group), { onlyIfMissing: true }))
  })
