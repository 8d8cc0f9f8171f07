/**
 * How a topic handles its messages. Handlers are pure, except that some set the topic's one timer.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Rpc from "effect/rpc/Rpc"
import type * as Session from "../../../contract/Session.ts"
import { MonotonicClock } from "../../../internal/MonotonicClock.ts"
import type { Protocol, State } from "../../Presence.ts"
import { emptyState, PresenceDraft } from "./PresenceDraft.ts"
import { PresenceEntries, type Timing } from "./PresenceEntries.ts"

type Turn<Tag extends Protocol["_tag"]> = Session.Turn<
  State<unknown>,
  Rpc.Payload<Extract<Protocol, { readonly _tag: Tag }>>,
  Protocol
>

type Step<Reply> = readonly [state: State<unknown>, reply: Reply]

export const makeBehavior = (timing: Timing, sameMeta: (a: unknown, b: unknown) => boolean) =>
  Effect.map(Clock.Clock, (clock) => {
    const time = new MonotonicClock(clock)
    const ofTopic = new WeakMap<Session.Self, PresenceEntries>()
    /** Returns `out` once the timer is set for what is due next. */
    const timed = <A>(self: Session.Self, entries: PresenceEntries, out: A): A | Effect.Effect<A> => {
      const { next, timerAt } = entries
      if (next >= timerAt) return out
      const now = time.now()
      const at = Math.max(next, now)
      return Effect.map(self.after(at - now, "Tick", undefined, { key: "due" }), () => {
        entries.timerAt = at
        return out
      })
    }

    const handle = <A>(
      { self, state }: Session.Turn<State<unknown>, unknown, Protocol>,
      change: (entries: PresenceEntries, draft: PresenceDraft, now: number) => A
    ): Step<A> | Effect.Effect<Step<A>> => {
      const entries = ofTopic.get(self)!
      const draft = new PresenceDraft(state)
      const reply = change(entries, draft, time.now())
      return timed(self, entries, [draft.state, reply])
    }

    return {
      init: ({ self }: Session.Start<void, Protocol>): State<unknown> => {
        ofTopic.set(self, new PresenceEntries(timing, sameMeta, (at) => time.dateOf(at)))
        return emptyState
      },
      handlers: {
        Track: (turn: Turn<"Track">) =>
          handle(turn, (entries, draft, now) => {
            const { owner, tracking } = turn.payload
            entries.track(owner, tracking, now, draft)
            return draft.device(tracking.key, tracking.device).since
          }),
        Untrack: (turn: Turn<"Untrack">) =>
          handle(turn, (entries, draft, now) => {
            const { grace, id, owner } = turn.payload
            entries.untrack(owner, id, grace, now, draft)
          }),
        Renew: ({ payload: { count, digest, owner }, self, state }: Turn<"Renew">): Step<boolean> => [
          state,
          ofTopic.get(self)!.renew(owner, count, digest, time.now())
        ],
        Sync: (turn: Turn<"Sync">) =>
          handle(turn, (entries, draft, now) => {
            const { grace, owner, trackings } = turn.payload
            entries.sync(owner, trackings, grace, now, draft)
          }),
        Tick: (turn: Turn<"Tick">) => handle(turn, (entries, draft, now) => entries.tick(now, draft))
      }
    }
  })
